// Where a knob's value lies, how far one step reaches, and what was typed.

import { describe, expect, test } from "vitest";
import { parseValue, position, reach } from "./scale";
import type { Knob } from "./wire";

const log = { kind: "int" as const, min: 1, max: 256, log: true };
const linear = { kind: "int" as const, min: 0, max: 100, log: false };
const knob = (over: Partial<Knob>): Knob => ({ name: "k", help: "", unit: "", domain: log, default: 1, baseline: 16, value: 16, max_step: 0.5, apply: "free", ...over });

describe("scales", () => {
  test("a value lies by ratio on a log scale and by difference on a linear one", () => {
    expect(position(log, 16)).toBeCloseTo(0.5, 12);
    expect(position(linear, 25)).toBe(0.25);
    expect(position(linear, 500)).toBe(1);
    expect(position({ kind: "choice", choices: ["a", "b", "c"], ordered: true }, "b")).toBe(0.5);
    expect(position({ kind: "choice", choices: ["a"], ordered: true }, "z")).toBe(null);
    expect(position({ kind: "bool" }, true)).toBe(1);
    expect(position(linear, "x")).toBe(null);
  });

  test("one step reaches a share of the range on its scale", () => {
    expect(reach(knob({}))).toEqual({ low: 1, high: 256 });
    expect(reach(knob({ max_step: 0.25 }))).toEqual({ low: 4, high: 64 });
    expect(reach(knob({ max_step: 1 }))).toBe(null);
    expect(reach(knob({ domain: { kind: "bool" }, baseline: true }))).toBe(null);
  });

  test("typed values are read; out of range is not for the form to judge", () => {
    expect(parseValue(log, "12")).toBe(12);
    expect(parseValue(log, "99 999")).toBe(99_999);
    expect(parseValue(log, "twelve")).toHaveProperty("error");
    expect(parseValue(log, " ")).toHaveProperty("error");
    expect(parseValue({ kind: "bool" }, "true")).toBe(true);
  });
});
