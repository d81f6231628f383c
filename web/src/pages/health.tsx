// How each subsystem fares and whose fault it is; then the data: who has how many series, and what
// was refused.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { clock, grouped, words } from "../format";
import { type Cardinality, type Health as Fares, type Named, type Refusal, type Subsystem, getCardinality, getHealth, getRefusals, tally } from "../health";
import { sentence } from "../http";
import { link } from "../route";

/** Between two looks, ms. */
const LOOK_EVERY = 5_000;

interface Seen {
  health: Fares;
  cardinality: Cardinality | null;
  refusals: Refusal[];
}

export function Health() {
  const seen = useSignal<Seen | null>(null);
  const trouble = useSignal("");
  useEffect(() => {
    let live = true;
    const look = async () => {
      try {
        const [health, cardinality, refusals] = await Promise.all([getHealth(), getCardinality(), getRefusals()]);
        if (live) [seen.value, trouble.value] = [{ health, cardinality, refusals }, ""];
      } catch (error) {
        if (live) trouble.value = sentence(error);
      }
    };
    void look();
    const beat = setInterval(() => void look(), LOOK_EVERY);
    return () => {
      live = false;
      clearInterval(beat);
    };
  }, []);
  const now = seen.value;
  return (
    <section class="page-health" aria-label="Health">
      <header class="page-head">
        <h2>Health</h2>
        <p class="quiet">Each subsystem by its own check; what is unhealthy degrades whatever depends on it.</p>
      </header>
      {trouble.value !== "" && <p class="empty-note">{trouble.value}</p>}
      {now === null ? (
        trouble.value === "" && <p class="empty-note">Loading…</p>
      ) : (
        <>
          <Subsystems all={now.health.subsystems} />
          {now.cardinality && <Series of={now.cardinality} />}
          <Refusals all={now.refusals} />
        </>
      )}
    </section>
  );
}

const TONES = { healthy: "good", degraded: "warn", unhealthy: "bad" } as const;

function Subsystems({ all }: { all: Subsystem[] }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Subsystems">
      <table>
        <thead>
          <tr>
            <th>Subsystem</th>
            <th>State</th>
            <th>Since</th>
            <th>Reason</th>
          </tr>
        </thead>
        <tbody>
          {all.map((s) => (
            <tr key={s.name}>
              <td>{s.name}</td>
              <td class={TONES[s.status]}>{s.status}</td>
              <td class="time">{clock(s.since * 1000)}</td>
              <td>
                {s.reason}
                {s.causes.length > 0 && <span class="quiet"> Because of {s.causes.join(", ")}.</span>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Series({ of }: { of: Cardinality }) {
  return (
    <>
      <h3>Series</h3>
      <p class="quiet">
        {grouped(of.headStats.numSeries)} active, with {grouped(of.headStats.numLabelPairs)} label pairs.
      </p>
      <Names title="Most series" all={of.seriesCountByMetricName} />
      <Names title="New series lately" all={of.newSeriesByMetricName} />
      {of.refusedSeriesByName.length > 0 && (
        <Names title="Refused by a limit" all={of.refusedSeriesByName.map((r) => ({ name: `${r.name} (${words(r.reason)})`, value: r.value }))} />
      )}
    </>
  );
}

function Names({ title, all }: { title: string; all: Named[] }) {
  if (all.length === 0) return null;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={title}>
      <table>
        <thead>
          <tr>
            <th>{title}</th>
            <th class="right">Series</th>
          </tr>
        </thead>
        <tbody>
          {all.map(({ name, value }) => (
            <tr key={name}>
              <td>{/^[a-zA-Z_:][\w:]*$/.test(name) ? <a href={link("explore", { expr: name })}>{name}</a> : name}</td>
              <td class="right">{grouped(value)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Refusals({ all }: { all: Refusal[] }) {
  const rows = tally(all);
  return (
    <>
      <h3>Refused lately</h3>
      {rows.length === 0 ? (
        <p class="empty-note">Nothing was refused.</p>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label="Refusals">
          <table>
            <thead>
              <tr>
                <th>Door</th>
                <th>Reason</th>
                <th class="right">Of the newest {all.length}</th>
                <th>Newest</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={`${row.door} ${row.reason}`}>
                  <td>{words(row.door)}</td>
                  <td>{words(row.reason)}</td>
                  <td class="right">{row.count}</td>
                  <td>
                    {clock(row.newest.at * 1000)} {row.newest.series} <span class="quiet">{row.newest.detail}</span>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}
