// What a person may do with a change, where it applies.

import { useSignal } from "@preact/signals";
import { sentence } from "../http";
import { act } from "../loop";
import { actor, takeChange } from "../state";
import type { Change } from "../wire";

type Verb = "undo" | "approve" | "reject";

/** The verbs that apply to a change in its state. */
export function verbsFor(state: string): Verb[] {
  if (state === "waiting") return ["approve", "reject"];
  return state === "trying" || state === "keeping" || state === "kept" ? ["undo"] : [];
}

export function ChangeActions({ change }: { change: Change }) {
  const error = useSignal<string | null>(null);
  const busy = useSignal(false);
  const carryOut = async (verb: Verb): Promise<void> => {
    busy.value = true;
    error.value = null;
    try {
      takeChange(await act(change.id, verb, actor.peek()));
    } catch (failed) {
      error.value = sentence(failed);
    } finally {
      busy.value = false;
    }
  };
  return (
    <span class="change-actions">
      {verbsFor(change.state).map((verb) => (
        <button key={verb} type="button" class={verb} disabled={busy.value} onClick={() => void carryOut(verb)} aria-label={`${verb} change ${change.id}`}>
          {verb}
        </button>
      ))}
      {error.value !== null && <span class="error" role="alert">{error.value}</span>}
    </span>
  );
}
