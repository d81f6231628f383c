// Every change and its fate, newest first; one unfolds for the details.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { clock, elapsed, inUnit, knobValue, milliseconds, plain, unitOf, words } from "../format";
import { fateOf } from "../lane";
import { EffectLine } from "../marks";
import { adjust, link, route } from "../route";
import { changes } from "../state";
import type { Change, Setting, Target } from "../wire";
import { ChangeActions } from "./actions";

/** Changes listed before one asks for more. */
const LISTED_FIRST = 6;

export function Changes({ all }: { all: Target[] }) {
  const open = route.value.params.get("change");
  const most = useSignal(LISTED_FIRST);
  const list = changes.value;
  const shownList = list.filter((c, i) => i < most.value || String(c.id) === open);
  return (
    <section class="card changes" aria-label="Changes">
      <header>
        <h2>Changes</h2>
        <span class="quiet">{list.length === 0 ? "" : `${list.length}, newest first`}</span>
      </header>
      {list.length === 0 && <p class="quiet">No change has been proposed yet.</p>}
      <ol>
        {shownList.map((c) => (
          <Entry key={c.id} change={c} open={String(c.id) === open} target={all.find((t) => t.name === c.target)} />
        ))}
      </ol>
      {list.length > most.value && (
        <button type="button" class="plain" onClick={() => (most.value += 50)}>
          Show {Math.min(50, list.length - most.value)} more
        </button>
      )}
    </section>
  );
}

function Entry({ change, open, target }: { change: Change; open: boolean; target: Target | undefined }) {
  const entry = useRef<HTMLLIElement>(null);
  // A link to a change leads to it.
  useEffect(() => {
    if (open) entry.current?.scrollIntoView({ block: "nearest" });
  }, [open]);
  const { verdict } = change;
  const goal = target?.objective.goal ?? "minimize";
  return (
    <li ref={entry} class={`entry ${fateOf(change.state) ?? "none"}`} data-change={change.id} data-state={change.state}>
      <div class="row">
        <button type="button" class="unfold" aria-expanded={open} aria-label={`Details of change ${change.id}`} onClick={() => adjust({ change: open ? undefined : String(change.id) })}>
          <span class="id">{change.id}</span>
        </button>
        <span class="when">
          <span class={`state ${fateOf(change.state) ?? "none"}`}>{words(change.state)}</span>
          <span class="quiet time">{clock(change.begun_ms)}</span>
        </span>
        <span class="settings"><Moves settings={change.settings} /></span>
        <span class="effect-cell">
          {verdict?.effect ? <EffectLine effect={verdict.effect} goal={goal} /> : verdict ? <span class="quiet">no effect measured</span> : null}
        </span>
        <ChangeActions change={change} />
      </div>
      {change.breach && (
        <p class="breach">
          Guard <b>{change.breach.guard}</b>: {change.breach.value === null ? "its metric went missing" : `${plain(change.breach.value)} against a bound of ${plain(change.breach.bound)}`}
          {change.rollback_ms !== null && <>; rolled back and read back in <b>{milliseconds(change.rollback_ms)}</b></>}
        </p>
      )}
      {open && <Details change={change} unit={target?.objective.unit ?? ""} />}
    </li>
  );
}

/** What moved, old to new; knobs proposed at the value they had say nothing. */
function Moves({ settings }: { settings: Setting[] }) {
  const moved = settings.filter((s) => s.old !== s.new);
  return (
    <>
      {(moved.length > 0 ? moved : settings).map((s) => (
        <span key={s.knob} class="move">
          <span class="knob-name">{s.knob}</span> {knobValue(s.old)} <span aria-label="to">→</span> <b>{knobValue(s.new)}</b>
        </span>
      ))}
    </>
  );
}

function Details({ change, unit }: { change: Change; unit: string }) {
  const { verdict } = change;
  const reads = unitOf(unit);
  const facts: [string, string][] = [
    ["Author", change.author],
    ["Reason", change.reason || "none given"],
    ["Began", clock(change.begun_ms)],
    ["Lasted", change.ended_ms === null ? "still going" : elapsed(change.ended_ms - change.begun_ms)],
    ["Applied in", change.apply_ms === null ? "not applied" : milliseconds(change.apply_ms)],
    ["Read back", change.verified ? "exactly as ordered" : "not yet as ordered"],
  ];
  if (verdict) {
    facts.push(["Verdict", `${verdict.call}, by ${words(verdict.ending)}`]);
    facts.push(["Pairs", String(verdict.pairs)]);
    facts.push(["Evidence", `e = ${plain(verdict.e_value)} (decided at ${plain(1 / verdict.alpha)})`]);
    facts.push(["Medians", `${inUnit(verdict.baseline, reads)} baseline, ${inUnit(verdict.variant, reads)} variant`]);
  }
  const around = { from: String(change.begun_ms / 1000 - 10), to: String((change.ended_ms ?? Date.now()) / 1000 + 10) };
  return (
    <div class="details">
      <dl>
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <div class="scroll" tabIndex={0} role="region" aria-label={`Settings of change ${change.id}`}>
        <table>
          <thead>
            <tr>
              <th>Knob</th>
              <th class="right">Old</th>
              <th class="right">New</th>
              <th class="right">Read back</th>
            </tr>
          </thead>
          <tbody>
            {change.settings.map((s) => (
              <tr key={s.knob}>
                <td class="knob-name">{s.knob}</td>
                <td class="right number">{knobValue(s.old)}</td>
                <td class="right number">{knobValue(s.new)}</td>
                <td class="right number">{knobValue(s.read_back)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <a href={link("overview", around)}>See the charts of that time</a>
    </div>
  );
}
