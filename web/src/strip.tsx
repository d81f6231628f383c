// The loop at a glance: one line of facts.

import { count, elapsed, grouped, words } from "./format";
import { link } from "./route";
import { status } from "./state";

export function StatusStrip() {
  const now = status.value;
  if (!now) return <dl class="strip" aria-busy="true" />;
  const kept = now.changes["kept"] ?? 0;
  const undone = now.changes["undone"] ?? 0;
  return (
    <dl class="strip" aria-label="Status">
      <Fact name="Up">{elapsed(now.now_ms - now.started_ms)}</Fact>
      <Fact name="Trust">{now.trust}</Fact>
      <Fact name="Red button" tone={now.red_button ? "bad" : undefined}>
        <a href={link("tuning")}>{now.red_button ? "pressed" : "not pressed"}</a>
      </Fact>
      <Fact name="Store" tone={now.store === "healthy" ? "good" : "bad"}><a href={link("health")}>{words(now.store)}</a></Fact>
      <Fact name="Series">{grouped(now.series)}</Fact>
      <Fact name="Samples">{count(now.samples)}</Fact>
      <Fact name="Trial">
        {now.running ? (
          <a href={link("tuning", { change: String(now.running.change) })}>
            change {now.running.change}, pair {now.running.pairs} of {now.running.pairs_max}
          </a>
        ) : (
          "none running"
        )}
      </Fact>
      <Fact name="Changes">
        <a href={link("tuning")}>
          {kept} kept, {undone} undone
        </a>
      </Fact>
    </dl>
  );
}

function Fact({ name, tone, children }: { name: string; tone?: string | undefined; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd class={tone}>{children}</dd>
    </div>
  );
}
