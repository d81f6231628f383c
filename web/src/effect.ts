// Effect sizes: how they read, whether they are good, and where they lie on a picture.

import type { Effect } from "./wire";

const MINUS = "\u2212";
const THIN = "\u202f";

/** A relative change as a signed percentage; above tenfold as a factor, which reads better. */
export function change(value: number): string {
  if (value >= 9) return `×${trim(1 + value)}`;
  const percent = value * 100;
  const digits = Math.abs(percent) >= 10 ? 0 : 1;
  const text = Math.abs(percent).toFixed(digits);
  const sign = Number(text) === 0 ? "" : percent < 0 ? MINUS : "+";
  return `${sign}${text}${THIN}%`;
}

function trim(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(1);
}

/** `−85 % [−96 %, −1.3 %]`; an end that is not bounded is an infinity. */
export function effectText(effect: Effect): string {
  return `${change(effect.estimate)} ${intervalText(effect)}`;
}

export function intervalText(effect: Effect): string {
  // A ratio cannot fall by more than all of it: an end at -1 says no more than an absent one.
  const low = effect.low === null || effect.low <= -1 ? `${MINUS}∞` : change(effect.low);
  const high = effect.high === null ? "∞" : change(effect.high);
  return `[${low}, ${high}]`;
}

/** Whether the interval lies on one side of no effect, and on which. */
export function side(effect: Effect, goal: "minimize" | "maximize"): "good" | "bad" | "open" {
  const below = effect.high !== null && effect.high < 0;
  const above = effect.low !== null && effect.low > 0;
  if (!below && !above) return "open";
  return below === (goal === "minimize") ? "good" : "bad";
}

/** Factor at which a picture of effects ends on both sides. */
export const PICTURE_FACTOR = 8;

/** Place of a relative change on a picture from 0 to 1: no effect in the middle, ratios on a log
 * scale so that halving and doubling lie equally far from it. */
export function place(value: number): { at: number; clipped: boolean } {
  const ratio = Math.max(1 + value, Number.MIN_VALUE);
  const raw = Math.log(ratio) / Math.log(PICTURE_FACTOR);
  const at = Math.min(1, Math.max(-1, raw));
  return { at: (at + 1) / 2, clipped: raw !== at };
}

/** Places of an interval; an unbounded end runs out of the picture. */
export function placeInterval(effect: Effect): { low: number; high: number; openLow: boolean; openHigh: boolean } {
  const low = effect.low === null ? { at: 0, clipped: true } : place(effect.low);
  const high = effect.high === null ? { at: 1, clipped: true } : place(effect.high);
  return { low: low.at, high: high.at, openLow: low.clipped, openHigh: high.clipped };
}

/** Share of the way to a decision: evidence multiplies, so its logarithm is what grows evenly. */
export function evidenceShare(eValue: number, alpha: number): number {
  if (!(eValue > 1) || !(alpha > 0 && alpha < 1)) return 0;
  return Math.min(1, Math.log(eValue) / Math.log(1 / alpha));
}
