// What all charts of a page share: the time they show, a part of it zoomed in on, the cursor, and
// whether they stand still because somebody is reading them.

import { computed, effect, signal } from "@preact/signals";
import { tick } from "./live";
import { adjust, route } from "./route";

export const SPANS = { "1m": 60, "5m": 300, "15m": 900, "1h": 3600 } as const;
export type SpanName = keyof typeof SPANS;

export function spanNamed(name: string | null): SpanName {
  return name !== null && name in SPANS ? (name as SpanName) : "5m";
}

/** Seconds of wall time. */
export interface TimeRange {
  from: number;
  to: number;
}

/** How much time is shown; the URL says. */
export const spanName = computed<SpanName>(() => spanNamed(route.value.params.get("range")));

const fromText = computed(() => route.value.params.get("from"));
const toText = computed(() => route.value.params.get("to"));

/** The part zoomed in on; null is all of the span up to now. */
export const zoom = computed<TimeRange | null>(() => {
  const from = Number(fromText.value ?? Number.NaN);
  const to = Number(toText.value ?? Number.NaN);
  return from < to ? { from, to } : null;
});

/** Shorter than this there is nothing to see at a sample a second. */
const ZOOM_LEAST_S = 3;

export function zoomTo(from: number, to: number): void {
  if (to - from >= ZOOM_LEAST_S) adjust({ from: from.toFixed(1), to: to.toFixed(1) });
}

export function zoomOut(): void {
  if (zoom.value) adjust({ from: undefined, to: undefined });
}

/** Time under the cursor in seconds; the legends of all charts read there. */
export const cursor = signal<number | null>(null);

/** Charts stand still while the pointer is over one of them. */
export const paused = signal(false);

/** The charts' "now" in seconds: the newest tick, held while they stand still. */
export const now = signal(Date.now() / 1000);
effect(() => {
  if (!paused.value) now.value = tick.value / 1000;
});

/** What every chart of the page shows. */
export const shown = computed<TimeRange>(
  () => zoom.value ?? { from: now.value - SPANS[spanName.value], to: now.value },
);
