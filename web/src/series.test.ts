// Frames: history, the stream after it, and what neither may invent.

import { describe, expect, test } from "vitest";
import { append, emptyFrame, fromMatrix, joined, newest, stacked, trim } from "./series";

const matrix = {
  resultType: "matrix" as const,
  result: [
    { metric: { __name__: "up", job: "a" }, values: [[10, "1"], [12, "3"]] as [number, string][] },
    { metric: { __name__: "up", job: "b" }, values: [[11, "NaN"], [12, "+Inf"]] as [number, string][] },
  ],
};

describe("frames", () => {
  test("history stands on its grid, and what is missing or no number is a gap", () => {
    const frame = fromMatrix(matrix, 10, 12, 1);
    expect(frame.xs).toEqual([10, 11, 12]);
    expect([...frame.lines.values()].map((l) => l.ys)).toEqual([[1, null, 3], [null, null, null]]);
  });

  test("the stream goes on with the same series whatever the order of its labels", () => {
    const frame = fromMatrix(matrix, 10, 12, 1);
    expect(append(frame, 13, [{ query: 0, series: 'up{job="a"}', value: 7 }], 1)).toBe(true);
    expect([...frame.lines.values()].map((l) => l.ys)).toEqual([[1, null, 3, 7], [null, null, null, null]]);
  });

  test("a series that appears late has gaps before, never zeros", () => {
    const frame = fromMatrix(matrix, 10, 12, 1);
    append(frame, 13, [{ query: 0, series: 'up{job="c"}', value: 5 }], 1);
    expect([...frame.lines.values()].at(-1)?.ys).toEqual([null, null, null, 5]);
  });

  test("points closer than a step are left out, so that the axis stays as dense as it was", () => {
    const frame = fromMatrix(matrix, 0, 20, 10);
    expect(append(frame, 25, [], 10)).toBe(false);
    expect(append(frame, 30, [], 10)).toBe(true);
    expect(frame.xs).toEqual([0, 10, 20, 30]);
  });

  test("old points go, and series of which nothing is left go with them", () => {
    const frame = fromMatrix(matrix, 10, 12, 1);
    trim(frame, 12);
    expect(frame.xs).toEqual([12]);
    expect([...frame.lines.values()].map((l) => l.ys)).toEqual([[3]]);
  });

  test("frames on one axis are joined as they are, others on the union of their times", () => {
    const a = fromMatrix(matrix, 10, 12, 1);
    expect(joined([a, a]).xs).toBe(a.xs);
    const b = emptyFrame();
    append(b, 12, [{ query: 0, series: "x", value: 1 }], 1);
    append(b, 14, [{ query: 0, series: "x", value: 2 }], 1);
    expect(joined([a, b])).toEqual({
      xs: [10, 11, 12, 14],
      columns: [[1, null, 3, null], [null, null, null, null], [null, null, 1, 2]],
    });
  });

  test("areas stand on each other; where nothing is known nothing is drawn", () => {
    expect(stacked([[1, null, 2], [3, null, null]])).toEqual([[1, null, 2], [4, null, 2]]);
  });

  test("the newest value is a recent one or none", () => {
    expect(newest([1, 2, null])).toBe(2);
    expect(newest([1, null, null, null])).toBe(null);
  });
});
