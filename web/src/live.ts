// The stream: one connection a page, over which the values of its queries and everything the loop
// does arrive once a second. Opened anew when the page asks for other queries or it was lost.

import { batch, signal } from "@preact/signals";
import { load, refreshTargets, take } from "./state";
import type { LiveEvent, Point } from "./wire";

export type Connection = "connecting" | "live" | "lost";
export const connection = signal<Connection>("connecting");

/** Wall time of the newest tick, ms; the charts' "now". */
export const tick = signal<number>(Date.now());

/** Queries one stream may carry (the server's limit). */
export const QUERIES_MOST = 32;

/** Until a lost stream is opened again, ms. */
const RETRY_MS = 2000;

export interface Listener {
  queries: string[];
  points: (atMs: number, points: Point[]) => void;
  /** The stream is back after it was lost: there is a hole to fill. */
  again: () => void;
}

let listener: Listener | null = null;
let source: EventSource | null = null;
let retry: ReturnType<typeof setTimeout> | undefined;
let wasLost = false;

/** Listens for a page; what listened before is let go. Returns how to stop. */
export function listen(next: Listener): () => void {
  listener = next;
  open();
  return () => {
    if (listener === next) {
      listener = null;
      open();
    }
  };
}

/** Opens the stream, at most once a turn: a page that goes and the next that comes share one. */
let opening = false;
export function open(): void {
  if (opening) return;
  opening = true;
  queueMicrotask(() => {
    opening = false;
    connect();
  });
}

function connect(): void {
  clearTimeout(retry);
  source?.close();
  const query = new URLSearchParams((listener?.queries ?? []).map((q) => ["query", q]));
  const stream = new EventSource(`/api/v1/loop/live?${query}`);
  source = stream;
  stream.onopen = opened;
  stream.onmessage = (message: MessageEvent<string>) => {
    const event = JSON.parse(message.data) as LiveEvent;
    batch(() => received(event));
  };
  stream.onerror = () => lost(stream);
}

function opened(): void {
  connection.value = "live";
  if (!wasLost) return;
  wasLost = false;
  void load();
  listener?.again();
}

function lost(stream: EventSource): void {
  if (stream !== source) return;
  connection.value = "lost";
  wasLost = true;
  stream.close();
  retry = setTimeout(connect, RETRY_MS);
}

function received(event: LiveEvent): void {
  take(event);
  if (event.event === "points") {
    tick.value = event.at_ms;
    listener?.points(event.at_ms, event.points);
  } else if (event.event === "change") {
    void refreshTargets();
  } else if (event.event === "status" && !listener?.queries.length) {
    // Without queries no points arrive; time goes on all the same.
    tick.value = Math.floor(event.status.now_ms / 1000) * 1000;
  }
}
