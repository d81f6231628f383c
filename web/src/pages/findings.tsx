// What the analysis noticed, newest first; each opens its series around that time.

import { clock, plain, words } from "../format";
import { parseSeries } from "../labels";
import { link } from "../route";
import { findings, loaded } from "../state";
import type { Finding } from "../wire";

/** Seconds shown on each side of a finding. */
const AROUND_S = 120;

export function Findings() {
  const all = findings.value;
  return (
    <section class="page-findings" aria-label="Findings">
      <header class="page-head">
        <h2>Findings</h2>
        <p class="quiet">Anomalies, change points and forecasts of exhaustion, with the odds against chance.</p>
      </header>
      {all.length === 0 ? (
        <p class="empty-note">{loaded.value ? "Nothing has been found so far: every series moves as it did before." : "Loading…"}</p>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label="List of findings">
          <table class="findings">
            <thead>
              <tr>
                <th>Time</th>
                <th>Kind</th>
                <th class="right" title="−log10 of the chance that nothing happened">Severity</th>
                <th>Series and summary</th>
              </tr>
            </thead>
            <tbody>{grouped(all).map((group) => <Row key={group[0]?.id} group={group} />)}</tbody>
          </table>
        </div>
      )}
    </section>
  );
}

/** What befell several series of one metric at one time is one row. */
export function grouped(all: Finding[]): Finding[][] {
  const groups: Finding[][] = [];
  for (const finding of all) {
    const last = groups.at(-1)?.[0];
    const same = last && last.kind === finding.kind && last.at_ms === finding.at_ms && family(last.series) === family(finding.series);
    if (same) groups.at(-1)?.push(finding);
    else groups.push([finding]);
  }
  return groups;
}

function family(series: string): string {
  return (parseSeries(series)["__name__"] ?? series).replace(/_(bucket|count|sum)$/, "");
}

function Row({ group }: { group: Finding[] }) {
  const [first, ...rest] = [...group].sort((a, b) => b.severity - a.severity);
  if (!first) return null;
  return (
    <tr>
      <td class="time">{clock(first.at_ms)}</td>
      <td><span class={`tag ${first.kind}`}>{words(first.kind)}</span></td>
      <td class="right"><Severity value={first.severity} /></td>
      <td>
        <SeriesLink finding={first} />
        <div class="summary">{summary(first)}</div>
        {rest.length > 0 && (
          <details>
            <summary>{rest.length} more series of it</summary>
            <ul>{rest.map((f) => <li key={f.id}><SeriesLink finding={f} /></li>)}</ul>
          </details>
        )}
      </td>
    </tr>
  );
}

function SeriesLink({ finding }: { finding: Finding }) {
  const at = finding.at_ms / 1000;
  const around = { from: (at - AROUND_S).toFixed(0), to: (at + AROUND_S).toFixed(0) };
  return <a class="series" href={link("explore", { expr: expression(finding.series), ...around })}>{finding.series}</a>;
}

/** The sentence, without the name of the series that stands above it. */
function summary({ series, summary: text }: Finding): string {
  return text.replace(`The rate of ${series}`, "Its rate").replace(series, "It");
}

/** A counter only ever grows: what was found is in its rate. */
function expression(series: string): string {
  return /^\w+_(total|sum|count|bucket)(\{|$)/.test(series) ? `rate(${series}[5s])` : series;
}

/** Severity at which the bar is full: one in ten billion. */
const SEVERITY_FULL = 10;

function Severity({ value }: { value: number }) {
  return (
    <span class="severity">
      <span class="bar" style={{ width: `${Math.min(1, value / SEVERITY_FULL) * 36}px` }} aria-hidden="true" />
      <span class="number">{plain(value)}</span>
    </span>
  );
}
