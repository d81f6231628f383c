// Above the charts of a page: how much time they show, whether they move, and the tuning lane with
// its legend.

import { Spans } from "./chart";
import { adjust } from "./route";
import { SPANS, type SpanName, paused, spanName, spanNamed, zoom, zoomOut } from "./view";
import { connection } from "./live";
import { clock } from "./format";

export function Toolbar() {
  return (
    <div class="toolbar">
      <SpanPicker />
      <Motion />
      <div class="page-lane" role="group" aria-label="Tuning lane: changes over the time shown">
        <Spans focusable />
      </div>
      <LaneLegend />
    </div>
  );
}

export function SpanPicker() {
  const pick = (name: string) => adjust({ range: spanNamed(name), from: undefined, to: undefined });
  return (
    <div class="segments" role="group" aria-label="Time shown">
      {(Object.keys(SPANS) as SpanName[]).map((name) => (
        <button key={name} type="button" aria-pressed={spanName.value === name && zoom.value === null} onClick={() => pick(name)}>
          {name}
        </button>
      ))}
    </div>
  );
}

/** Whether the charts move, and the way back to now. */
export function Motion() {
  const part = zoom.value;
  if (part) {
    return (
      <button type="button" class="motion zoomed" onClick={zoomOut} title="Back to now (.)">
        {clock(part.from * 1000)} – {clock(part.to * 1000)} <span aria-hidden="true">✕</span>
      </button>
    );
  }
  const state = connection.value !== "live" ? connection.value : paused.value ? "paused" : "live";
  return (
    <span class={`motion ${state}`} title={state === "paused" ? "The charts stand still under the pointer" : undefined}>
      <i aria-hidden="true" /> {state}
    </span>
  );
}

export function LaneLegend() {
  return (
    <ul class="lane-legend" aria-label="Colours of changes">
      <li><i class="trying" aria-hidden="true" /> trying</li>
      <li><i class="kept" aria-hidden="true" /> kept</li>
      <li><i class="undone" aria-hidden="true" /> undone</li>
    </ul>
  );
}
