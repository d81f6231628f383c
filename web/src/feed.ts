// A feed: the frames of a page's queries, loaded from history and grown by the stream.

import { signal } from "@preact/signals";
import { sentence } from "./http";
import { QUERIES_MOST, listen } from "./live";
import { range } from "./prometheus";
import { type Frame, append, emptyFrame, fromMatrix, trim } from "./series";
import { zoom } from "./view";
import type { Point } from "./wire";

export interface Span {
  /** Seconds shown. */
  seconds: number;
  /** End of the span in seconds, where it is not now. */
  until?: number;
}

/** Ticks kept while history is on its way: it never takes as long as this. */
const WAITING_MOST = 120;

/** Points on a chart's axis: about one for each two pixels of a panel. */
const POINTS_AIM = 300;

/** Whole seconds between points, so that the grid meets the ticks of the collector. */
export function stepOf(span: number): number {
  return Math.max(1, Math.ceil(span / POINTS_AIM));
}

/** Range of a rate that shows each second but survives a sample that came late. */
export function rateWindow(span: number): string {
  return `${Math.max(5, stepOf(span) + 2)}s`;
}

export class Feed {
  /** One for each query, in order. */
  readonly frames: Frame[];
  readonly errors: (string | null)[];
  /** Grows with each change of the frames. */
  readonly revision = signal(0);
  readonly loaded = signal(false);
  private readonly step: number;
  private readonly abort = new AbortController();
  private waiting: { at: number; points: Point[] }[] = [];

  constructor(
    readonly queries: string[],
    readonly span: Span,
  ) {
    this.frames = queries.map(emptyFrame);
    this.errors = queries.map(() => null);
    this.step = stepOf(span.seconds);
  }

  /** Loads and listens; returns how to stop. */
  start(): () => void {
    const unlisten = listen({
      queries: this.span.until === undefined ? this.queries.slice(0, QUERIES_MOST) : [],
      points: (atMs, points) => this.points(atMs / 1000, points),
      again: () => void this.history(),
    });
    void this.history();
    return () => {
      this.abort.abort();
      unlisten();
    };
  }

  private async history(): Promise<void> {
    this.loaded.value = false;
    const now = this.span.until ?? Date.now() / 1000;
    const end = Math.floor(now / this.step) * this.step;
    const start = Math.floor((now - this.span.seconds) / this.step) * this.step;
    await Promise.all(this.queries.map((_, i) => this.one(i, start, end)));
    if (this.abort.signal.aborted) return;
    this.loaded.value = true;
    for (const { at, points } of this.waiting) this.points(at, points);
    this.waiting = [];
    this.revision.value += 1;
  }

  private async one(index: number, start: number, end: number): Promise<void> {
    try {
      const { data } = await range(this.queries[index] ?? "", start, end, this.step, this.abort.signal);
      this.frames[index] = fromMatrix(data, start, end, this.step);
      this.errors[index] = null;
    } catch (error) {
      if (!this.abort.signal.aborted) this.errors[index] = sentence(error);
    }
  }

  private points(at: number, points: Point[]): void {
    // What arrives while history is on its way is appended after it, not lost under it.
    if (!this.loaded.value) {
      if (this.waiting.length < WAITING_MOST) this.waiting.push({ at, points });
      return;
    }
    let grown = false;
    this.frames.forEach((frame, i) => {
      grown = append(frame, at, points.filter((p) => p.query === i), this.step) || grown;
      // What somebody is looking at stays, however old it grows.
      trim(frame, Math.min(at - this.span.seconds - this.step, zoom.peek()?.from ?? Infinity));
    });
    if (grown) this.revision.value += 1;
  }
}
