// What the analysis noticed, newest first; each opens its series around that time.

import { clock, plain, words } from "../format";
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
            <tbody>{all.map((f) => <Row key={f.id} finding={f} />)}</tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Row({ finding }: { finding: Finding }) {
  const at = finding.at_ms / 1000;
  const target = link("explore", { expr: expression(finding.series), from: (at - AROUND_S).toFixed(0), to: (at + AROUND_S).toFixed(0) });
  return (
    <tr>
      <td class="time">{clock(finding.at_ms)}</td>
      <td><span class={`tag ${finding.kind}`}>{words(finding.kind)}</span></td>
      <td class="right"><Severity value={finding.severity} /></td>
      <td>
        <a class="series" href={target}>{finding.series}</a>
        <div class="summary">{finding.summary}</div>
      </td>
    </tr>
  );
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
