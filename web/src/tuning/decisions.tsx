// The governor's rulings, newest first.

import { clock } from "../format";
import { decisions } from "../state";
import { Ruling } from "./propose";

/** Rulings listed: older ones are in the journal. */
const LISTED_MOST = 30;

export function Decisions() {
  const list = decisions.value.slice(0, LISTED_MOST);
  return (
    <section class="card decisions" aria-label="Decisions">
      <h2>Decisions</h2>
      {list.length === 0 && <p class="quiet">The governor has not been asked yet.</p>}
      <ol tabIndex={0} aria-label="Rulings, newest first">
        {list.map((d) => (
          <li key={d.proposal}>
            <span class="time quiet">{clock(d.at_ms)}</span>
            <Ruling decision={d} />
          </li>
        ))}
      </ol>
    </section>
  );
}
