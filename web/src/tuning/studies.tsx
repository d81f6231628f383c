// Searches: what each tried, as a picture of its trials, and the way to stop one.

import { useSignal } from "@preact/signals";
import { knobValue, plain } from "../format";
import { change as percent } from "../effect";
import { sentence } from "../http";
import { stopStudy } from "../loop";
import { link } from "../route";
import { studies } from "../state";
import type { Study, Trial } from "../wire";

export function Studies() {
  return (
    <section class="card studies" aria-label="Studies">
      <h2>Studies</h2>
      {studies.value.length === 0 && <p class="quiet">No study is running.</p>}
      {studies.value.map((s) => <StudyView key={s.id} study={s} />)}
    </section>
  );
}

function StudyView({ study }: { study: Study }) {
  const error = useSignal<string | null>(null);
  const stop = async (): Promise<void> => {
    try {
      studies.value = await stopStudy(study.id);
    } catch (failed) {
      error.value = sentence(failed);
    }
  };
  const complete = study.trials.filter((t) => t.value !== null);
  return (
    <div class="study">
      <p>
        <b>Study {study.id}</b> <span class="quiet">{study.method}, seed {study.seed}, {study.state}, {study.trials.length} trials</span>
        {study.state === "running" && (
          <button type="button" class="plain" onClick={() => void stop()} aria-label={`Stop study ${study.id}`}>
            stop
          </button>
        )}
      </p>
      {complete.length === 0 ? <p class="quiet">No trial is complete yet.</p> : <Scatter trials={complete} />}
      {error.value !== null && <p class="error" role="alert">{error.value}</p>}
    </div>
  );
}

const WIDTH = 300;
const HEIGHT = 120;
const LEFT = 46;

/** Trials in order against the objective's log ratio to the incumbent's: below the line is less. */
function Scatter({ trials }: { trials: Trial[] }) {
  const values = trials.map((t) => t.value ?? 0);
  const most = Math.max(0.05, ...values);
  const least = Math.min(-0.05, ...values);
  const last = Math.max(2, ...trials.map((t) => t.id));
  const x = (id: number) => LEFT + 8 + ((id - 1) / (last - 1)) * (WIDTH - LEFT - 16);
  const y = (value: number) => 8 + ((most - value) / (most - least)) * (HEIGHT - 26);
  return (
    <svg class="scatter" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="group" aria-label="Trials in order, by their effect on the objective">
      <line class="zero" x1={LEFT} x2={WIDTH} y1={y(0)} y2={y(0)} />
      {[most, 0, least].map((v, i) =>
        i !== 1 && Math.abs(y(v) - y(0)) < 12 ? null : (
          <text key={i} x={LEFT - 6} y={y(v) + 4} text-anchor="end">
            {percent(Math.exp(v) - 1)}
          </text>
        ),
      )}
      <text x={LEFT + 8} y={HEIGHT - 3}>trial 1</text>
      <text x={WIDTH - 4} y={HEIGHT - 3} text-anchor="end">{last}</text>
      {trials.map((t) => (
        <a key={t.id} href={link("tuning", { change: t.change === null ? undefined : String(t.change) })} aria-label={describe(t)}>
          <circle class={(t.value ?? 0) < 0 ? "less" : "more"} cx={x(t.id)} cy={y(t.value ?? 0)} r="4">
            <title>{describe(t)}</title>
          </circle>
        </a>
      ))}
    </svg>
  );
}

function describe(trial: Trial): string {
  const params = Object.entries(trial.params).map(([k, v]) => `${k} ${knobValue(v)}`);
  return `Trial ${trial.id}: log ratio ${plain(trial.value ?? 0)}; ${params.join(", ")}`;
}
