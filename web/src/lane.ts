// The tuning lane: which changes touched the time a chart shows, and as what they are drawn.

import { computed } from "@preact/signals";
import { knobValue } from "./format";
import { changes } from "./state";
import { type TimeRange, now, shown } from "./view";
import type { Change } from "./wire";

/** How a change is drawn. */
export type Fate = "trying" | "kept" | "undone";

export interface Span {
  change: Change;
  fate: Fate;
  /** Seconds, cut to what is shown. */
  from: number;
  to: number;
}

/** What became of a change; null where it never touched the service. */
export function fateOf(state: string): Fate | null {
  switch (state) {
    case "trying":
    case "keeping":
    case "undoing":
      return "trying";
    case "kept":
      return "kept";
    case "undone":
    case "failed":
      return "undone";
    default:
      return null;
  }
}

/** The changes that touch a range of time, oldest first. */
export function spansIn(all: Change[], range: TimeRange, nowSeconds: number): Span[] {
  const spans: Span[] = [];
  for (const change of all) {
    const fate = fateOf(change.state);
    if (fate === null) continue;
    const from = Math.max(range.from, change.begun_ms / 1000);
    const to = Math.min(range.to, change.ended_ms === null ? nowSeconds : change.ended_ms / 1000);
    if (to > from) spans.push({ change, fate, from, to });
  }
  return spans.reverse();
}

export const spans = computed(() => spansIn(changes.value, shown.value, now.value));

/** A change in one line: what it sets. */
export function settingsText(change: Change): string {
  const moved = change.settings.filter((s) => s.old !== s.new);
  const named = moved.length > 0 ? moved : change.settings;
  return named.map((s) => `${s.knob} ${knobValue(s.old)} → ${knobValue(s.new)}`).join(", ");
}
