// Numbers, times and durations as people read them.

import type { Value } from "./wire";

/** How a chart's values read. */
export type Unit = "seconds" | "bytes" | "bytes/s" | "share" | "per second" | "cores" | "count";

const MINUS = "\u2212";
const THIN = "\u202f";

/** At most three significant digits, no exponent between a thousandth and a million. */
export function plain(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e15 || size < 1e-6) return signed(value.toExponential(2));
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : Math.min(9, 2 - Math.floor(Math.log10(size)));
  return signed(trimZeros(value.toFixed(digits)));
}

function trimZeros(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

function signed(text: string): string {
  return text.startsWith("-") ? MINUS + text.slice(1) : text;
}

function scaled(value: number, base: number, names: string[]): string {
  let size = value;
  let index = 0;
  while (Math.abs(size) >= base && index < names.length - 1) {
    size /= base;
    index += 1;
  }
  const name = names[index] ?? "";
  return name === "" ? plain(size) : `${plain(size)}${THIN}${name}`;
}

export function seconds(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 1e-3) return `${plain(value * 1e6)}${THIN}µs`;
  if (size < 1) return `${plain(value * 1e3)}${THIN}ms`;
  return `${plain(value)}${THIN}s`;
}

export function bytes(value: number): string {
  return scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);
}

export function count(value: number): string {
  return scaled(value, 1000, ["", "k", "M", "G", "T"]);
}

export function share(value: number): string {
  return `${plain(value * 100)}${THIN}%`;
}

/** A value in its unit; a dash where there is none. */
export function inUnit(value: number | null | undefined, unit: Unit): string {
  if (value === null || value === undefined) return "–";
  switch (unit) {
    case "seconds":
      return seconds(value);
    case "bytes":
      return bytes(value);
    case "bytes/s":
      return `${bytes(value)}/s`;
    case "share":
      return share(value);
    case "per second":
      return `${count(value)}/s`;
    case "cores":
    case "count":
      return count(value);
  }
}

/** A unit as the API names it. */
export function unitOf(name: string): Unit {
  if (name === "s" || name === "seconds") return "seconds";
  if (name === "bytes" || name === "B") return "bytes";
  if (name === "ratio" || name === "share") return "share";
  return "count";
}

/** A guess by Prometheus's naming rules, for expressions nobody described. */
export function unitOfExpression(expr: string): Unit {
  if (/^\s*(count|up\b)/.test(expr)) return "count";
  const counted = /\b(rate|irate)\s*\(/.test(expr);
  if (/_(ratio|utilization)\b/.test(expr)) return "share";
  if (/_bytes(_total)?\b/.test(expr)) return counted ? "bytes/s" : "bytes";
  if (/histogram_quantile/.test(expr) && /_seconds/.test(expr)) return "seconds";
  if (/_seconds(_total|_sum|_count|_bucket)?\b/.test(expr) && !counted) return "seconds";
  if (/_total\b/.test(expr) && counted && !/_seconds/.test(expr)) return "per second";
  return "count";
}

/** A knob's value. */
export function knobValue(value: Value | null | undefined): string {
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return value ? "on" : "off";
  if (typeof value === "string") return value;
  if (Number.isInteger(value)) return signed(grouped(value));
  return plain(value);
}

/** Thousands set apart. */
export function grouped(value: number): string {
  return Math.trunc(value).toString().replace(/\B(?=(\d{3})+$)/g, THIN);
}

/** `1 h 4 min`, `38 s`. */
export function elapsed(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s}${THIN}s`;
  if (s < 3600) return `${Math.floor(s / 60)}${THIN}min ${s % 60}${THIN}s`;
  if (s < 86_400) return `${Math.floor(s / 3600)}${THIN}h ${Math.floor((s % 3600) / 60)}${THIN}min`;
  return `${Math.floor(s / 86_400)}${THIN}d ${Math.floor((s % 86_400) / 3600)}${THIN}h`;
}

/** A duration of at most a few seconds. */
export function milliseconds(ms: number): string {
  return ms < 1000 ? `${ms}${THIN}ms` : `${plain(ms / 1000)}${THIN}s`;
}

/** Time of day on this machine. */
export function clock(ms: number): string {
  const date = new Date(ms);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((n) => String(n).padStart(2, "0")).join(":");
}

/** Words of the API without underscores. */
export function words(name: string): string {
  return name.replaceAll("_", " ");
}
