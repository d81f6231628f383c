// The knobs of a service: what each is now, where that lies in its range, and what it was built with.

import { knobValue } from "../format";
import { ScaleBar } from "../marks";
import type { Domain, Knob } from "../wire";

export function Knobs({ knobs }: { knobs: Knob[] }) {
  return (
    <section class="card knobs" aria-label="Knobs">
      <header>
        <h2>Knobs</h2>
        <ul class="scale-legend" aria-label="Marks on a scale">
          <li><i class="mark value" aria-hidden="true" /> value</li>
          <li><i class="mark baseline" aria-hidden="true" /> baseline</li>
          <li><i class="mark default" aria-hidden="true" /> default</li>
        </ul>
      </header>
      <div class="scroll" tabIndex={0} role="region" aria-label="Table of knobs">
        <table>
          <thead>
            <tr>
              <th>Knob</th>
              <th class="right">Value</th>
              <th class="right">Baseline</th>
              <th class="right">Default</th>
              <th class="scale-cell">Where it lies</th>
              <th>Range</th>
            </tr>
          </thead>
          <tbody>{knobs.map((k) => <Row key={k.name} knob={k} />)}</tbody>
        </table>
      </div>
    </section>
  );
}

function Row({ knob }: { knob: Knob }) {
  const state = knob.value !== knob.baseline ? "trying" : knob.baseline !== knob.default ? "tuned" : "";
  return (
    <tr class={state} data-knob={knob.name}>
      <td>
        <span class="knob-name">{knob.name}</span>
        <span class="help">{knob.help}</span>
      </td>
      <td class="right number">
        <b>{knobValue(knob.value)}</b> <span class="quiet">{knob.unit}</span>
      </td>
      <td class="right number">{knobValue(knob.baseline)}</td>
      <td class="right number quiet">{knobValue(knob.default)}</td>
      <td class="scale-cell"><ScaleBar knob={knob} /></td>
      <td class="quiet number">{rangeText(knob.domain)}</td>
    </tr>
  );
}

export function rangeText(domain: Domain): string {
  switch (domain.kind) {
    case "bool":
      return "on, off";
    case "choice":
      return domain.choices.join(", ");
    default:
      return `${knobValue(domain.min)} – ${knobValue(domain.max)}${domain.log ? " log" : ""}`;
  }
}
