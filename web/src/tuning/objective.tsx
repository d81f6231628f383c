// What is optimized, live, and what must hold meanwhile.

import { Chart } from "../chart";
import { rateWindow } from "../feed";
import { type Unit, inUnit, unitOf } from "../format";
import { metricsOf, withWindow } from "../promql";
import { useFeed } from "../use-feed";
import { SPANS, spanName } from "../view";
import type { Guard, Target } from "../wire";

export function Objective({ target }: { target: Target }) {
  const { name, query, goal, unit } = target.objective;
  const seconds = SPANS[spanName.value];
  const expr = withWindow(query, rateWindow(seconds));
  const feed = useFeed([expr], seconds);
  return (
    <section class="card objective" aria-label="Objective">
      <Chart title={`${goal} ${name}`} unit={unitOf(unit)} feed={feed} parts={[{ query: 0, name: "now" }]} height={170} metrics={metricsOf(expr)} expr={expr} />
      <ul class="guards" aria-label="Guards">
        {target.guards.map((g) => <GuardLine key={g.name} guard={g} objective={target.objective.name} unit={unit} />)}
      </ul>
    </section>
  );
}

function GuardLine({ guard, objective, unit }: { guard: Guard; objective: string; unit: string }) {
  const { name, bound, value, last } = guard;
  const reads = guardUnit(guard, objective, unit);
  const holds = last === null ? null : bound === "at_most" ? last <= value : last >= value;
  const used = last === null ? 0 : bound === "at_most" ? last / value : value / Math.max(last, Number.MIN_VALUE);
  return (
    <li class={holds === null ? "unknown" : holds ? "holds" : "broken"} title={guard.query}>
      <span class="name">{name}</span>
      <span class="track" aria-hidden="true">
        <span style={{ width: `${Math.min(1, used) * 100}%` }} />
      </span>
      <span class="number">
        <b>{last === null ? "no value" : inUnit(last, reads)}</b> {bound === "at_most" ? "≤" : "≥"} {inUnit(value, reads)}
      </span>
    </li>
  );
}

/** A guard has no unit of its own: it is read by its name and its expression. */
function guardUnit(guard: Guard, objective: string, unit: string): Unit {
  if (/\bshare\b|\bratio\b/.test(guard.name)) return "share";
  if (guard.name.startsWith(objective) || /_seconds/.test(guard.query)) return unitOf(unit === "" ? "s" : unit);
  return "count";
}
