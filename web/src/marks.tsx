// Small pictures: an effect with its interval around zero, a knob's place on its scale, the
// evidence on its way to a decision. Each says in words what it shows.

import { type ComponentChildren } from "preact";
import { change as percent, effectText, evidenceShare, place, placeInterval, side } from "./effect";
import { knobValue, plain } from "./format";
import { position } from "./scale";
import type { Effect, Knob, Value } from "./wire";

const WIDTH = 132;
const MID = 11;

/** Best estimate and interval on a log scale of ratios; zero in the middle. */
export function EffectBar({ effect, goal }: { effect: Effect; goal: "minimize" | "maximize" }) {
  const x = (at: number) => 4 + at * (WIDTH - 8);
  const { low, high, openLow, openHigh } = placeInterval(effect);
  const estimate = place(effect.estimate);
  return (
    <svg class={`effect ${side(effect, goal)}`} viewBox={`0 0 ${WIDTH} 22`} width={WIDTH} height="22" role="img" aria-label={`Effect ${effectText(effect)}, interval at ${percent(effect.level)} coverage`}>
      {[0.5, 2, 0.2, 5].map((ratio) => (
        <line key={ratio} class="tick" x1={x(place(ratio - 1).at)} x2={x(place(ratio - 1).at)} y1={MID - 3} y2={MID + 3} />
      ))}
      <line class="zero" x1={x(0.5)} x2={x(0.5)} y1="1" y2="21" />
      <line class="interval" x1={x(low)} x2={x(high)} y1={MID} y2={MID} />
      <End at={x(low)} open={openLow} towards={-1} />
      <End at={x(high)} open={openHigh} towards={1} />
      <circle class="estimate" cx={x(estimate.at)} cy={MID} r="3.5" />
    </svg>
  );
}

/** A whisker, or an arrow where the interval goes on beyond the picture. */
function End({ at, open, towards }: { at: number; open: boolean; towards: number }) {
  if (!open) return <line class="interval" x1={at} x2={at} y1={MID - 4} y2={MID + 4} />;
  const back = at - 5 * towards;
  return <polyline class="interval" fill="none" points={`${back},${MID - 4} ${at},${MID} ${back},${MID + 4}`} />;
}

/** The picture with its numbers beside it. */
export function EffectLine({ effect, goal, children }: { effect: Effect; goal: "minimize" | "maximize"; children?: ComponentChildren }) {
  return (
    <span class="effect-line">
      <EffectBar effect={effect} goal={goal} />
      <span class={`number ${side(effect, goal)}`}>{effectText(effect)}</span>
      {children}
    </span>
  );
}

/** Value, baseline and default of a knob on its scale. */
export function ScaleBar({ knob }: { knob: Knob }) {
  const mark = (kind: string, value: Value) => {
    const at = position(knob.domain, value);
    return at === null ? null : <span class={`mark ${kind}`} style={{ left: `${at * 100}%` }} />;
  };
  const label = `${knobValue(knob.value)}; baseline ${knobValue(knob.baseline)}, default ${knobValue(knob.default)}`;
  const steps = knob.domain.kind === "int" || knob.domain.kind === "float" ? (knob.domain.log ? "log scale" : "linear scale") : knob.domain.kind;
  return (
    <span class="scale" role="img" aria-label={`${label}; ${steps}`} title={`${label} (${steps})`}>
      {mark("default", knob.default)}
      {mark("baseline", knob.baseline)}
      {mark("value", knob.value)}
    </span>
  );
}

/** Evidence so far against what a decision needs. */
export function EvidenceBar({ eValue, alpha }: { eValue: number; alpha: number }) {
  const done = evidenceShare(eValue, alpha);
  return (
    <span class="evidence">
      <meter min={0} max={1} value={done} aria-label="Evidence on its way to a decision, on a log scale" />
      <span class="number">
        e = {plain(eValue)} of {plain(1 / alpha)}
      </span>
    </span>
  );
}
