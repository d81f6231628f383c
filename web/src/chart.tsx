// A chart in its panel: title, legend with values under the cursor, the tuning lane, the canvas;
// or, where there is nothing to draw, what is missing.

import { computed, useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import type uPlot from "uplot";
import type { Feed } from "./feed";
import { type Unit, inUnit, words } from "./format";
import { distinguishing, shortName } from "./labels";
import { settingsText, spans } from "./lane";
import { AXIS_WIDTH, PAD_RIGHT, createPlot } from "./plot";
import { link } from "./route";
import { type Line, joined, newest, stacked } from "./series";
import { paletteName, theme } from "./theme";
import { cursor, paused, shown, zoomOut, zoomTo } from "./view";

/** One query of a chart: its place in the feed, and a name for it in the legend. */
export interface Part {
  query: number;
  name?: string;
}

export interface ChartProps {
  title: string;
  note?: string;
  unit: Unit;
  feed: Feed;
  parts: Part[];
  stack?: boolean;
  /** Takes two columns of its grid. */
  wide?: boolean;
  height?: number;
  /** Metrics this is drawn from, named where they are absent. */
  metrics: string[];
  /** A bound to draw. */
  bound?: number;
  /** The expression, for a link to explore it. */
  expr?: string;
}

interface Drawn {
  key: string;
  name: string;
  line: Line;
  xs: number[];
}

/** Lines more than these nobody tells apart; the legend says how many are left out. */
const LINES_MOST = 16;

function drawn(feed: Feed, parts: Part[]): Drawn[] {
  return parts.flatMap(({ query, name }) => {
    const frame = feed.frames[query];
    if (!frame) return [];
    const lines = [...frame.lines].sort(([a], [b]) => (a < b ? -1 : 1));
    const by = distinguishing(lines.map(([, line]) => line.labels));
    return lines.map(([key, line]) => {
      const own = by.length > 0 || name === undefined ? shortName(line.labels, by) : "";
      return { key: `${query} ${key}`, name: [name, own].filter(Boolean).join(" "), line, xs: frame.xs };
    });
  });
}

export function Chart(props: ChartProps) {
  const { title, note, feed, parts, metrics, expr } = props;
  const lines = useMemo(
    () =>
      computed(() => {
        void feed.revision.value;
        return drawn(feed, parts);
      }),
    [feed, parts.map((p) => p.query).join()],
  );
  const empty = useMemo(() => computed(() => lines.value.length === 0), [lines]);
  const errors = parts.map((p) => feed.errors[p.query]).filter((e) => e !== null && e !== undefined);
  return (
    <figure class={props.wide ? "chart wide" : "chart"} aria-label={title}>
      <figcaption>
        <h3>
          {expr === undefined ? title : <a href={link("explore", { expr })} title="Explore this">{title}</a>}
        </h3>
        {note !== undefined && <span class="note">{note}</span>}
        {!empty.value && <Legend lines={lines} unit={props.unit} />}
      </figcaption>
      {empty.value ? <Empty feed={feed} metrics={metrics} errors={errors} height={props.height} /> : <Canvas {...props} lines={lines} />}
    </figure>
  );
}

function Legend({ lines, unit }: { lines: { value: Drawn[] }; unit: Unit }) {
  const at = cursor.value;
  const all = lines.value;
  return (
    <ul class="legend">
      {all.slice(0, LINES_MOST).map(({ key, name, line, xs }, i) => (
        <li key={key}>
          <span class="swatch" style={{ background: `var(--${paletteName(i)})` }} />
          <span class="name">{name}</span> <b>{inUnit(at === null ? newest(line.ys) : valueAt(xs, line.ys, at), unit)}</b>
        </li>
      ))}
      {all.length > LINES_MOST && <li>and {all.length - LINES_MOST} more</li>}
    </ul>
  );
}

/** The value nearest to a time. */
function valueAt(xs: number[], ys: (number | null)[], at: number): number | null {
  let low = 0;
  let high = xs.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((xs[middle] ?? 0) < at) low = middle + 1;
    else high = middle;
  }
  const before = xs[low - 1];
  const nearer = before !== undefined && at - before < (xs[low] ?? Infinity) - at ? low - 1 : low;
  return ys[nearer] ?? null;
}

function Empty({ feed, metrics, errors, height }: { feed: Feed; metrics: string[]; errors: string[]; height?: number | undefined }) {
  return (
    <div class="empty" style={{ minHeight: `${height ?? HEIGHT}px` }}>
      {errors.length > 0 ? (
        <p class="error">{errors[0]}</p>
      ) : !feed.loaded.value ? (
        <p class="quiet">Loading…</p>
      ) : (
        <p>
          No samples of {metrics.map((m, i) => [i > 0 ? ", " : "", <code key={m}>{m}</code>])} in this time.
        </p>
      )}
    </div>
  );
}

const HEIGHT = 140;

function Canvas({ feed, unit, stack = false, height = HEIGHT, bound, lines, title }: ChartProps & { lines: { value: Drawn[] } }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const width = useSignal(0);
  const signature = lines.value.slice(0, LINES_MOST).map((l) => l.key).join("\n");
  const theming = theme.value;

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => {
      width.value = element.clientWidth;
    });
    observer.observe(element);
    width.value = element.clientWidth;
    return () => observer.disconnect();
  }, []);

  // The set of lines or the theme has changed: colours on a canvas are set once.
  useLayoutEffect(() => {
    const element = box.current;
    if (!element || element.clientWidth === 0) return undefined;
    const count = Math.min(lines.value.length, LINES_MOST);
    plot.current = createPlot(element, { unit, stacked: stack, lines: count, width: element.clientWidth, height, bound: bound ?? null });
    fill(plot.current, lines.value, stack);
    return () => {
      plot.current?.destroy();
      plot.current = null;
    };
  }, [signature, theming, unit, stack, height, bound, width.value === 0]);

  useEffect(() => {
    if (plot.current && width.value > 0) plot.current.setSize({ width: width.value, height });
  }, [width.value, height]);

  const revision = feed.revision.value;
  const { from, to } = shown.value;
  const marks = spans.value;
  const still = paused.value;
  useEffect(() => {
    if (plot.current && !still) fill(plot.current, lines.value, stack);
  }, [revision, from, to, marks, still]);

  return (
    <div
      class="plot"
      onPointerEnter={(e) => {
        if (e.pointerType === "mouse") paused.value = true;
      }}
      onPointerLeave={() => {
        paused.value = false;
        cursor.value = null;
      }}
    >
      <Lane />
      <div ref={box} class="canvas" role="img" tabIndex={0} aria-label={`${title}: chart. Arrow keys move the cursor, plus and minus zoom.`} onKeyDown={(e) => keyed(e, plot.current)} onBlur={() => (cursor.value = null)} />
    </div>
  );
}

function fill(plot: uPlot, lines: Drawn[], stack: boolean): void {
  const kept = lines.slice(0, LINES_MOST);
  const { xs, columns } = joined(kept.map(({ xs, line }) => ({ xs, lines: new Map([["", line]]) })));
  plot.setData([xs, ...(stack ? stacked(columns) : columns)] as uPlot.AlignedData);
}

/** Arrows move the cursor of all charts, plus and minus zoom around it. */
function keyed(event: KeyboardEvent, plot: uPlot | null): void {
  if (!plot || event.ctrlKey || event.metaKey || event.altKey) return;
  const { from, to } = shown.peek();
  const at = cursor.peek() ?? (from + to) / 2;
  const step = (to - from) / 60;
  switch (event.key) {
    case "ArrowLeft":
    case "ArrowRight": {
      const next = Math.min(to, Math.max(from, at + (event.key === "ArrowLeft" ? -step : step)));
      plot.setCursor({ left: plot.valToPos(next, "x"), top: 10 });
      cursor.value = next;
      break;
    }
    case "+":
    case "=":
      zoomTo(at - (to - from) / 4, at + (to - from) / 4);
      break;
    case "-":
      zoomOut();
      break;
    default:
      return;
  }
  event.preventDefault();
}

/** The changes over the time shown, each a link to its record. One place for the keyboard is the
 * page's own lane; on every chart they would be in the way. */
function Lane() {
  return (
    <div class="lane" style={{ left: `${AXIS_WIDTH}px`, right: `${PAD_RIGHT}px` }} aria-hidden="true">
      <Spans focusable={false} />
    </div>
  );
}

export function Spans({ focusable }: { focusable: boolean }) {
  const { from, to } = shown.value;
  return (
    <>
      {spans.value.map(({ change, fate, ...span }) => (
        <a
          key={change.id}
          class={`span ${fate}`}
          href={link("tuning", { change: String(change.id) })}
          tabIndex={focusable ? 0 : -1}
          data-change={change.id}
          style={{
            left: `${((span.from - from) / (to - from)) * 100}%`,
            width: `${((span.to - span.from) / (to - from)) * 100}%`,
          }}
          title={`Change ${change.id}, ${words(change.state)}: ${settingsText(change)} (${change.author})`}
          aria-label={`Change ${change.id}, ${words(change.state)}: ${settingsText(change)}`}
        >
          {focusable ? <span>{change.id}</span> : null}
        </a>
      ))}
    </>
  );
}
