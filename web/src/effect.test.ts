// Effects: words, sides, and places on the picture.

import { describe, expect, test } from "vitest";
import { PICTURE_FACTOR, change, effectText, evidenceShare, place, placeInterval, side } from "./effect";

const tight = (text: string) => text.replaceAll("\u202f", " ");
const effect = (estimate: number, low: number | null, high: number | null) => ({ estimate, low, high, level: 0.95 });

describe("effects", () => {
  test("a relative change reads as a signed percentage, a large one as a factor", () => {
    expect([-0.849, -0.0134, 0, 0.063, 11.5].map(change).map(tight)).toEqual(["−85 %", "−1.3 %", "0.0 %", "+6.3 %", "×12.5"]);
  });

  test("an interval without an end says so", () => {
    expect(tight(effectText(effect(0.06, -1, null)))).toBe("+6.3 % [−∞, ∞]".replace("6.3", "6.0"));
    expect(tight(effectText(effect(-0.849, -0.962, -0.0134)))).toBe("−85 % [−96 %, −1.3 %]");
  });

  test("which side of no effect is good depends on the goal", () => {
    const lower = effect(-0.5, -0.7, -0.1);
    expect(side(lower, "minimize")).toBe("good");
    expect(side(lower, "maximize")).toBe("bad");
    expect(side(effect(-0.5, -0.7, 0.1), "minimize")).toBe("open");
    expect(side(effect(-0.5, -0.7, null), "minimize")).toBe("open");
  });

  test("halving and doubling lie equally far from the middle; beyond the factor is clipped", () => {
    expect(place(0)).toEqual({ at: 0.5, clipped: false });
    expect(place(1).at + place(-0.5).at).toBeCloseTo(1, 12);
    expect(place(PICTURE_FACTOR)).toEqual({ at: 1, clipped: true });
    expect(place(-1)).toEqual({ at: 0, clipped: true });
    expect(placeInterval(effect(0, null, null))).toEqual({ low: 0, high: 1, openLow: true, openHigh: true });
  });

  test("evidence grows on a log scale up to a decision", () => {
    expect(evidenceShare(20, 0.05)).toBe(1);
    expect(evidenceShare(Math.sqrt(20), 0.05)).toBeCloseTo(0.5, 12);
    expect(evidenceShare(0.5, 0.05)).toBe(0);
    expect(evidenceShare(Number.NaN, 0.05)).toBe(0);
  });
});
