// One uPlot canvas: axes, lines or stacked areas, the spans of changes behind them. It knows pixels
// and colours; what it shows is handed in.

import uPlot from "uplot";
import { type Unit, inUnit } from "./format";
import { type Span, spans } from "./lane";
import { colour, paletteName } from "./theme";
import { cursor, shown, zoomOut, zoomTo } from "./view";

export interface PlotOptions {
  unit: Unit;
  stacked: boolean;
  lines: number;
  width: number;
  height: number;
  /** A level to compare with: a bound. */
  bound: number | null;
}

/** Width of the value axis: the same on every chart, so that the times of all stand in line. */
export const AXIS_WIDTH = 58;
export const PAD_RIGHT = 10;
/** Half the width of a time below an axis, CSS pixels. */
const LABEL_HALF = 20;
const FONT = "11px system-ui, sans-serif";

export function createPlot(into: HTMLElement, options: PlotOptions): uPlot {
  const config: uPlot.Options = {
    width: options.width,
    height: options.height,
    padding: [6, PAD_RIGHT, 0, 0],
    legend: { show: false },
    cursor: {
      points: { size: 5 },
      y: false,
      drag: { x: true, y: false, setScale: false },
      // Other charts follow the cursor, but only the one under the pointer selects.
      sync: { key: "page", scales: ["x", null], filters: { pub: (type) => type === "mousemove" || type === "mouseleave", sub: () => true } },
      bind: { dblclick: () => () => (zoomOut(), null) },
    },
    scales: {
      x: { time: true, range: () => [shown.peek().from, shown.peek().to] },
      y: { range: (_u, low, high) => valueRange(low, high, options.bound) },
    },
    axes: [timeAxis(), valueAxis(options.unit)],
    series: [{}, ...Array.from({ length: options.lines }, (_, i) => lineStyle(i, options))],
    bands: options.stacked ? bands(options.lines) : [],
    hooks: {
      drawClear: [(u) => drawSpans(u, spans.peek())],
      draw: [(u) => drawBound(u, options.bound)],
      setSelect: [selected],
      setCursor: [pointed],
    },
  };
  return new uPlot(config, [[], ...Array.from({ length: options.lines }, () => [])] as uPlot.AlignedData, into);
}

/** From zero (or below) to a little above the highest; one where everything is zero. */
function valueRange(low: number | null, high: number | null, bound: number | null): [number, number] {
  const most = Math.max(high ?? 0, 0);
  // A bound far above what happens would flatten it; then it is only told, not drawn.
  const top = bound !== null && bound > most && bound < most * 3 ? bound : most;
  const least = Math.min(low ?? 0, 0);
  return [least * 1.1, top === 0 ? (least < 0 ? 0 : 1) : top * 1.1];
}

function timeAxis(): uPlot.Axis {
  return {
    stroke: colour("muted"),
    font: FONT,
    size: 24,
    gap: 3,
    space: 66,
    incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400],
    grid: { show: false },
    ticks: { stroke: colour("grid"), size: 4, width: 1 },
    // A label that would be cut off at the edge is left out.
    values: (u, splits, _i, _s, increment) =>
      splits.map((s) => (u.valToPos(s, "x") > u.over.clientWidth + PAD_RIGHT - LABEL_HALF ? "" : timeOfDay(s, increment))),
  };
}

function timeOfDay(at: number, increment: number): string {
  const date = new Date(at * 1000);
  const text = [date.getHours(), date.getMinutes()].map((n) => String(n).padStart(2, "0")).join(":");
  return increment < 60 ? `${text}:${String(date.getSeconds()).padStart(2, "0")}` : text;
}

function valueAxis(unit: Unit): uPlot.Axis {
  return {
    stroke: colour("muted"),
    font: FONT,
    size: AXIS_WIDTH,
    gap: 6,
    space: 26,
    grid: { stroke: colour("grid"), width: 1 },
    ticks: { show: false },
    // Multiples of 1024 are round numbers of bytes.
    ...(unit.startsWith("bytes") ? { incrs: binarySteps() } : {}),
    values: (_u, splits) => splits.map((s) => inUnit(s, unit)),
  };
}

function binarySteps(): number[] {
  return Array.from({ length: 16 }, (_, i) => [1, 2, 5, 10, 20, 50, 100, 200, 500].map((n) => n * 1024 ** i)).flat();
}

function lineStyle(index: number, { stacked }: PlotOptions): uPlot.Series {
  const stroke = colour(paletteName(index));
  return {
    stroke,
    width: stacked ? 1 : 1.5,
    points: { show: false },
    ...(stacked && index === 0 ? { fill: faded(stroke) } : {}),
  };
}

/** Each area reaches down to the one below it. */
function bands(lines: number): uPlot.Band[] {
  return Array.from({ length: Math.max(0, lines - 1) }, (_, i) => ({
    series: [i + 2, i + 1] as [number, number],
    fill: faded(colour(paletteName(i + 1))),
  }));
}

function faded(stroke: string): string {
  return `color-mix(in srgb, ${stroke} 38%, transparent)`;
}

function drawSpans(u: uPlot, all: Span[]): void {
  const { ctx, bbox } = u;
  ctx.save();
  for (const { from, to, fate } of all) {
    const left = u.valToPos(from, "x", true);
    const width = Math.max(1, u.valToPos(to, "x", true) - left);
    ctx.fillStyle = `color-mix(in srgb, ${colour(fate)} 7%, transparent)`;
    ctx.fillRect(left, bbox.top, width, bbox.height);
    ctx.fillStyle = `color-mix(in srgb, ${colour(fate)} 40%, transparent)`;
    ctx.fillRect(left, bbox.top, Math.max(1, devicePixelRatio), bbox.height);
  }
  ctx.restore();
}

function drawBound(u: uPlot, bound: number | null): void {
  if (bound === null) return;
  const y = u.valToPos(bound, "y", true);
  const { ctx, bbox } = u;
  if (y < bbox.top || y > bbox.top + bbox.height) return;
  ctx.save();
  ctx.strokeStyle = colour("undone");
  ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.restore();
}

function selected(u: uPlot): void {
  const { left, width } = u.select;
  if (width < 4) return;
  u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  zoomTo(u.posToVal(left, "x"), u.posToVal(left + width, "x"));
}

function pointed(u: uPlot): void {
  if (!u.over.matches(":hover, :focus-within")) return;
  const { left } = u.cursor;
  cursor.value = left === undefined || left < 0 ? null : u.posToVal(left, "x");
}
