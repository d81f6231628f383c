// Frames: the lines of one query on one time axis, first from history, then grown by the live
// stream. A value that is not there is null and leaves a gap; it is never a zero.

import { parseSeries, seriesKey } from "./labels";
import { type Labels, type Matrix, number } from "./prometheus";
import type { Point } from "./wire";

export interface Line {
  labels: Labels;
  /** As long as the frame's axis. */
  ys: (number | null)[];
}

export interface Frame {
  /** Seconds, ascending. */
  xs: number[];
  /** By the key of the series. */
  lines: Map<string, Line>;
}

export function emptyFrame(): Frame {
  return { xs: [], lines: new Map() };
}

/** History: every time of the grid is on the axis, whether or not a series has a value there. */
export function fromMatrix(matrix: Matrix, start: number, end: number, step: number): Frame {
  const count = Math.floor((end - start) / step + 1e-9) + 1;
  const xs = Array.from({ length: count }, (_, i) => start + i * step);
  const lines = new Map<string, Line>();
  for (const { metric, values = [] } of matrix.result) {
    const ys: (number | null)[] = Array.from({ length: count }, () => null);
    for (const [at, text] of values) {
      const index = Math.round((at - start) / step);
      if (index >= 0 && index < count) ys[index] = number(text);
    }
    lines.set(seriesKey(metric), { labels: metric, ys });
  }
  return { xs, lines };
}

/** Adds what the stream said at `at` seconds; false when that is not yet a step after the last. */
export function append(frame: Frame, at: number, points: Point[], step: number): boolean {
  const last = frame.xs.at(-1);
  if (last !== undefined && at - last < step - 1e-6) return false;
  frame.xs.push(at);
  for (const line of frame.lines.values()) line.ys.push(null);
  for (const { series, value } of points) {
    const labels = parseSeries(series);
    const key = seriesKey(labels);
    const line = frame.lines.get(key) ?? newLine(frame, key, labels);
    line.ys[frame.xs.length - 1] = value;
  }
  return true;
}

function newLine(frame: Frame, key: string, labels: Labels): Line {
  const line = { labels, ys: frame.xs.map(() => null) };
  frame.lines.set(key, line);
  return line;
}

/** Drops what is older than `from` seconds, and lines of which nothing is left. */
export function trim(frame: Frame, from: number): void {
  const keep = frame.xs.findIndex((x) => x >= from);
  if (keep <= 0) return;
  frame.xs.splice(0, keep);
  for (const [key, line] of frame.lines) {
    line.ys.splice(0, keep);
    if (line.ys.every((y) => y === null)) frame.lines.delete(key);
  }
}

/** Lines of several frames on one axis: the union of their times. */
export function joined(frames: Frame[]): { xs: number[]; columns: (number | null)[][] } {
  const first = frames[0];
  if (first && frames.every((f) => sameAxis(f.xs, first.xs))) {
    return { xs: first.xs, columns: frames.flatMap((f) => [...f.lines.values()].map((l) => l.ys)) };
  }
  const xs = [...new Set(frames.flatMap((f) => f.xs))].sort((a, b) => a - b);
  const columns = frames.flatMap((frame) => {
    const where = new Map(frame.xs.map((x, i) => [x, i]));
    return [...frame.lines.values()].map((line) =>
      xs.map((x) => {
        const index = where.get(x);
        return index === undefined ? null : (line.ys[index] ?? null);
      }),
    );
  });
  return { xs, columns };
}

function sameAxis(a: number[], b: number[]): boolean {
  return a === b || (a.length === b.length && a[0] === b[0] && a.at(-1) === b.at(-1));
}

/** Running sums from the first column up, so that each area stands on the one below it. */
export function stacked(columns: (number | null)[][]): (number | null)[][] {
  let below: number[] | undefined;
  return columns.map((column) => {
    const sums = column.map((y, i) => (y ?? 0) + (below?.[i] ?? 0));
    below = sums;
    return sums.map((sum, i) => (columns.every((c) => c[i] === null) ? null : sum));
  });
}

/** The newest value of a line that is there. */
export function newest(ys: (number | null)[]): number | null {
  for (let i = ys.length - 1; i >= Math.max(0, ys.length - 3); i--) {
    const y = ys[i];
    if (y !== null && y !== undefined) return y;
  }
  return null;
}
