// A proposal by hand. The form hints at ranges and steps, but what is allowed is the governor's to
// say: its ruling is shown word for word.

import { useSignal } from "@preact/signals";
import { knobValue, words } from "../format";
import { sentence } from "../http";
import { propose } from "../loop";
import { link } from "../route";
import { parseValue, reach } from "../scale";
import { actor } from "../state";
import type { Decision, Knob, Target, Value } from "../wire";
import { rangeText } from "./knobs";

interface Draft {
  knob: string;
  text: string;
}

export function Propose({ target }: { target: Target }) {
  const drafts = useSignal<Draft[]>([{ knob: target.knobs[0]?.name ?? "", text: "" }]);
  const reason = useSignal("");
  const ruling = useSignal<Decision | null>(null);
  const error = useSignal<string | null>(null);
  const busy = useSignal(false);

  const edit = (index: number, next: Partial<Draft>): void => {
    drafts.value = drafts.value.map((d, i) => (i === index ? { ...d, ...next } : d));
  };
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    ruling.value = null;
    error.value = null;
    const values = collected(target.knobs, drafts.value);
    if (typeof values === "string") {
      error.value = values;
      return;
    }
    busy.value = true;
    try {
      ruling.value = await propose({ target: target.name, values, reason: reason.value, by: actor.peek() });
    } catch (failed) {
      error.value = sentence(failed);
    } finally {
      busy.value = false;
    }
  };

  return (
    <section class="card propose" aria-label="Propose a change">
      <h2>Propose a change</h2>
      <form onSubmit={(e) => void submit(e)} noValidate>
        {drafts.value.map((draft, i) => (
          <DraftRow key={i} index={i} draft={draft} knobs={target.knobs} edit={(next) => edit(i, next)} />
        ))}
        <button type="button" class="plain" onClick={() => (drafts.value = [...drafts.value, { knob: target.knobs[0]?.name ?? "", text: "" }])}>
          + another knob
        </button>
        <label class="reason">
          <span>Reason</span>
          <input type="text" value={reason.value} onInput={(e) => (reason.value = e.currentTarget.value)} />
        </label>
        <button type="submit" class="primary" disabled={busy.value}>
          Propose
        </button>
      </form>
      <div role="status" class="ruling-place">
        {ruling.value && <Ruling decision={ruling.value} />}
        {error.value !== null && <p class="error">{error.value}</p>}
      </div>
    </section>
  );
}

function collected(knobs: Knob[], drafts: Draft[]): Record<string, Value> | string {
  const values: Record<string, Value> = {};
  for (const { knob: name, text } of drafts) {
    const knob = knobs.find((k) => k.name === name);
    if (!knob) continue;
    const value = parseValue(knob.domain, text);
    if (typeof value === "object") return `${name}: ${value.error}`;
    values[name] = value;
  }
  return values;
}

function DraftRow({ index, draft, knobs, edit }: { index: number; draft: Draft; knobs: Knob[]; edit: (next: Partial<Draft>) => void }) {
  const knob = knobs.find((k) => k.name === draft.knob);
  return (
    <div class="draft">
      <label>
        <span>Knob</span>
        <select value={draft.knob} onChange={(e) => edit({ knob: e.currentTarget.value, text: "" })}>
          {knobs.map((k) => <option key={k.name} value={k.name}>{k.name}</option>)}
        </select>
      </label>
      {knob && (
        <label>
          <span>Value</span>
          <ValueField knob={knob} text={draft.text} hint={`hint-${index}`} edit={(text) => edit({ text })} />
        </label>
      )}
      {knob && <p class="hint" id={`hint-${index}`}>{hint(knob)}</p>}
    </div>
  );
}

function ValueField({ knob, text, hint: described, edit }: { knob: Knob; text: string; hint: string; edit: (text: string) => void }) {
  const { domain } = knob;
  if (domain.kind === "choice" || domain.kind === "bool") {
    const choices = domain.kind === "bool" ? ["true", "false"] : domain.choices;
    return (
      <select value={text === "" ? String(knob.value) : text} aria-describedby={described} onChange={(e) => edit(e.currentTarget.value)}>
        {choices.map((c) => <option key={c} value={c}>{c}</option>)}
      </select>
    );
  }
  return <input type="text" inputMode="decimal" value={text} placeholder={String(knob.value)} aria-describedby={described} onInput={(e) => edit(e.currentTarget.value)} />;
}

function hint(knob: Knob): string {
  const near = reach(knob);
  const step = near ? `; one step reaches ${knobValue(near.low)} – ${knobValue(near.high)}` : "";
  return `Now ${knobValue(knob.value)} ${knob.unit}. Range ${rangeText(knob.domain)}${step}.`;
}

export function Ruling({ decision }: { decision: Decision }) {
  return (
    <div class={`ruling ${decision.ruling}`}>
      <b>{words(decision.ruling)}</b>
      {decision.rule !== null && <code>{decision.rule}</code>}
      <span>{decision.message}</span>
      {decision.change !== null && <a href={link("tuning", { change: String(decision.change) })}>change {decision.change}</a>}
    </div>
  );
}
