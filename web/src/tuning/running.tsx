// The trial under way: what is tried, which arm is in force, how far the evidence is.

import { settingsText } from "../lane";
import { EffectLine, EvidenceBar } from "../marks";
import { alpha, changes, status } from "../state";
import { link } from "../route";
import { ChangeActions } from "./actions";
import type { Target } from "../wire";

export function Running({ all }: { all: Target[] }) {
  const running = status.value?.running ?? null;
  const change = changes.value.find((c) => c.id === running?.change);
  const goal = all.find((t) => t.name === change?.target)?.objective.goal ?? "minimize";
  const rate = running?.effect ? 1 - running.effect.level : alpha.value;
  return (
    <section class="card running" aria-label="Running trial">
      <header>
        <h2>Running trial</h2>
        {running && (
          <a class="pill trying" href={link("tuning", { change: String(running.change) })}>
            <i aria-hidden="true" /> change {running.change}
          </a>
        )}
        {change && <ChangeActions change={change} />}
      </header>
      {running === null ? (
        <p class="quiet">Nothing is being tried at the moment.</p>
      ) : (
        <>
          <p class="settings">{change ? settingsText(change) : ""}</p>
          <dl>
            <div>
              <dt>In force</dt>
              <dd class={`arm ${running.arm ?? ""}`}>{running.arm ?? "neither arm yet"}</dd>
            </div>
            <div>
              <dt>Pairs</dt>
              <dd>
                <Pairs done={running.pairs} most={running.pairs_max} />
              </dd>
            </div>
            <div>
              <dt>Evidence</dt>
              <dd>{rate === null ? `e = ${running.e_value.toPrecision(3)}` : <EvidenceBar eValue={running.e_value} alpha={rate} />}</dd>
            </div>
            <div class="wide">
              <dt>Effect so far</dt>
              <dd>{running.effect ? <EffectLine effect={running.effect} goal={goal} /> : <span class="quiet">no pair measured yet</span>}</dd>
            </div>
          </dl>
        </>
      )}
    </section>
  );
}

function Pairs({ done, most }: { done: number; most: number }) {
  return (
    <span class="pairs">
      <span class="dots" aria-hidden="true">
        {Array.from({ length: most }, (_, i) => <i key={i} class={i < done ? "done" : ""} />)}
      </span>
      <span class="number">
        {done} of {most}
      </span>
    </span>
  );
}
