// The feed of a page's queries, made anew when they or the time they cover change.

import { useEffect, useMemo } from "preact/hooks";
import { Feed } from "./feed";
import { now, zoom } from "./view";

/** `seconds` up to now; or, where somebody zoomed in on what lies before that, just that part. */
export function useFeed(queries: string[], seconds: number, ready = true): Feed {
  const part = zoom.value;
  const old = part !== null && part.from < now.peek() - seconds ? part : null;
  const feed = useMemo(
    () => new Feed(queries, old ? { seconds: Math.ceil(old.to - old.from), until: Math.ceil(old.to) } : { seconds }),
    [queries.join("\n"), seconds, old?.from, old?.to],
  );
  useEffect(() => (ready ? feed.start() : undefined), [feed, ready]);
  return feed;
}
