// Where a knob's value lies in its domain, on its own scale; and the step a live change may take.

import type { Domain, Knob, Value } from "./wire";

/** From 0 to 1; null where the value does not belong to the domain. */
export function position(domain: Domain, value: Value): number | null {
  switch (domain.kind) {
    case "bool":
      return typeof value === "boolean" ? Number(value) : null;
    case "choice": {
      const index = domain.choices.indexOf(String(value));
      return index < 0 ? null : domain.choices.length < 2 ? 0 : index / (domain.choices.length - 1);
    }
    default:
      return typeof value === "number" ? onScale(domain, value) : null;
  }
}

type Numeric = Extract<Domain, { min: number }>;

function onScale({ min, max, log }: Numeric, value: number): number {
  if (max <= min) return 0;
  const at = log && min > 0 ? Math.log(value / min) / Math.log(max / min) : (value - min) / (max - min);
  return Math.min(1, Math.max(0, at));
}

/** The values one step from the baseline, for a hint; null where steps are not limited. */
export function reach(knob: Knob): { low: number; high: number } | null {
  const { domain, baseline, max_step: step } = knob;
  if ((domain.kind !== "int" && domain.kind !== "float") || typeof baseline !== "number" || step >= 1) return null;
  const at = onScale(domain, baseline);
  const ends = [Math.max(0, at - step), Math.min(1, at + step)].map((p) => valueAt(domain, p));
  const [low = domain.min, high = domain.max] = ends;
  return domain.kind === "int" ? { low: Math.ceil(low), high: Math.floor(high) } : { low, high };
}

function valueAt({ min, max, log }: Numeric, at: number): number {
  return log && min > 0 ? min * (max / min) ** at : min + (max - min) * at;
}

/** Reads what was typed for a knob; a sentence where it cannot be a value of its kind at all.
 * Whether it is in range is the governor's to say. */
export function parseValue(domain: Domain, text: string): Value | { error: string } {
  const typed = text.trim();
  if (domain.kind === "choice") return typed;
  if (domain.kind === "bool") return typed === "true";
  if (typed === "") return { error: "Type a number." };
  const value = Number(typed.replaceAll(/[\s_]/g, ""));
  return Number.isFinite(value) ? value : { error: `“${typed}” is not a number.` };
}
