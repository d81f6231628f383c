// Tuning: what is being tried and why, what became of what was, and the means to step in.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { sentence } from "../http";
import { unfreeze } from "../loop";
import { link, route } from "../route";
import { actor, loaded, refreshTargets, status, targets } from "../state";
import { Toolbar } from "../toolbar";
import { Changes } from "../tuning/changes";
import { Decisions } from "../tuning/decisions";
import { Knobs } from "../tuning/knobs";
import { Objective } from "../tuning/objective";
import { Propose } from "../tuning/propose";
import { RedButton } from "../tuning/red-button";
import { Running } from "../tuning/running";
import { Studies } from "../tuning/studies";
import { Trust } from "../tuning/trust";
import type { Target } from "../wire";

/** No event carries guards as they are measured: they are asked for this often, ms. */
const REFRESH_MS = 2000;

export function Tuning() {
  useEffect(() => {
    const timer = setInterval(() => void refreshTargets(), REFRESH_MS);
    return () => clearInterval(timer);
  }, []);
  const all = targets.value;
  const wanted = route.value.params.get("target");
  const target = all.find((t) => t.name === wanted) ?? all[0];
  return (
    <>
      <Toolbar />
      <div class="tuning">
        <div class="main-column">
          {target ? (
            <>
              <TargetHead all={all} target={target} />
              <Objective key={target.name} target={target} />
            </>
          ) : (
            <p class="empty-note">
              {loaded.value ? "No service is being tuned. Start one with " : "Loading…"}
              {loaded.value && <code>alluse demo</code>}
            </p>
          )}
          <Running all={all} />
          <Changes all={all} />
          {target && <Knobs knobs={target.knobs} />}
        </div>
        <aside class="side-column" aria-label="Control">
          <RedButton />
          <Trust />
          {target && <Propose key={target.name} target={target} />}
          <Studies />
          <Decisions />
        </aside>
      </div>
    </>
  );
}

function TargetHead({ all, target }: { all: Target[]; target: Target }) {
  const error = useSignal<string | null>(null);
  const thaw = async (): Promise<void> => {
    try {
      status.value = await unfreeze(target.name, actor.peek());
      await refreshTargets();
    } catch (failed) {
      error.value = sentence(failed);
    }
  };
  return (
    <header class="target-head">
      <h2>{target.name}</h2>
      <span class={`pill ${target.up ? "good" : "bad"}`}>
        <i aria-hidden="true" /> {target.up ? "answers" : "does not answer"}
      </span>
      <span class="quiet">{target.url}</span>
      {all.length > 1 &&
        all.filter((t) => t !== target).map((t) => (
          <a key={t.name} href={link("tuning", { target: t.name })}>
            {t.name}
          </a>
        ))}
      {target.frozen !== null && (
        <span class="pill bad">
          frozen: {target.frozen}
          <button type="button" onClick={() => void thaw()}>
            Unfreeze
          </button>
        </span>
      )}
      {error.value !== null && <span class="error" role="alert">{error.value}</span>}
    </header>
  );
}
