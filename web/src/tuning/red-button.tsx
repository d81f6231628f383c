// THE RED BUTTON: rolls back whatever is being tried and freezes everything. One press arms it, a
// second within three seconds does it, so that neither a slip nor a stray key can.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { sentence } from "../http";
import { pressRedButton, releaseRedButton } from "../loop";
import { actor, frozen, status } from "../state";

const CONFIRM_MS = 3000;

export function RedButton() {
  const armed = useSignal(false);
  const busy = useSignal(false);
  const error = useSignal<string | null>(null);
  const why = frozen.value;

  useEffect(() => {
    if (!armed.value) return undefined;
    const timer = setTimeout(() => (armed.value = false), CONFIRM_MS);
    return () => clearTimeout(timer);
  }, [armed.value]);

  const carryOut = async (order: typeof pressRedButton): Promise<void> => {
    busy.value = true;
    error.value = null;
    armed.value = false;
    try {
      status.value = await order(actor.peek());
    } catch (failed) {
      error.value = sentence(failed);
    } finally {
      busy.value = false;
    }
  };

  const pressed = (): void => {
    if (armed.value) void carryOut(pressRedButton);
    else armed.value = true;
  };

  return (
    <section class={`card red ${why === null ? "" : "pressed"}`} aria-label="Red button">
      {why === null ? (
        <>
          <button type="button" class={`red-button ${armed.value ? "armed" : ""}`} disabled={busy.value} onClick={pressed}>
            {armed.value ? "Press again to stop" : "Stop everything"}
          </button>
          <p class="quiet" role="status">
            {armed.value ? "A second press within 3 seconds rolls back and freezes." : "Rolls back what is being tried, then freezes every target."}
          </p>
        </>
      ) : (
        <>
          <p class="frozen" role="status">
            <b>Stopped.</b> Pressed by {why}; nothing is tried until it is released.
          </p>
          <button type="button" class="release" disabled={busy.value} onClick={() => void carryOut(releaseRedButton)}>
            Release
          </button>
        </>
      )}
      {error.value !== null && <p class="error" role="alert">{error.value}</p>}
    </section>
  );
}
