// How much the loop may do by itself.

import { useSignal } from "@preact/signals";
import { sentence } from "../http";
import { setTrust } from "../loop";
import { actor, rename, status } from "../state";
import type { TrustLevel } from "../wire";

const LEVELS: [TrustLevel, string][] = [
  ["recommend", "Proposals are recorded; nothing is changed."],
  ["approve", "Each change waits for a person."],
  ["autonomous", "Admitted changes are carried out at once."],
];

export function Trust() {
  const error = useSignal<string | null>(null);
  const level = status.value?.trust;
  const choose = async (next: TrustLevel): Promise<void> => {
    try {
      error.value = null;
      status.value = await setTrust(next);
    } catch (failed) {
      error.value = sentence(failed);
    }
  };
  return (
    <section class="card trust" aria-label="Trust">
      <fieldset>
        <legend>Trust</legend>
        {LEVELS.map(([name, help]) => (
          <label key={name} class={level === name ? "chosen" : ""}>
            <input type="radio" name="trust" checked={level === name} onChange={() => void choose(name)} />
            <b>{name}</b>
            <span class="quiet">{help}</span>
          </label>
        ))}
      </fieldset>
      <label class="actor">
        <span>You are</span>
        <input type="text" value={actor.value} maxLength={64} onInput={(e) => rename(e.currentTarget.value)} />
        <span class="quiet">in the record</span>
      </label>
      {error.value !== null && <p class="error" role="alert">{error.value}</p>}
    </section>
  );
}
