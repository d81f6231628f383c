// Label sets: reading a series as PromQL writes it, a key to compare it by, and a short name.

import type { Labels } from "./prometheus";

/** Reads `name{a="b", "c.d"="e"}`; what cannot be read stands as a name of its own. */
export function parseSeries(text: string): Labels {
  const open = text.indexOf("{");
  if (open < 0) return text === "" ? {} : { __name__: text };
  const labels: Labels = {};
  const name = text.slice(0, open).trim();
  if (name !== "") labels["__name__"] = name;
  const pair = /\s*(?:("(?:[^"\\]|\\.)*")|([^\s=,"{}]+))\s*(?:=\s*("(?:[^"\\]|\\.)*"))?\s*,?/y;
  pair.lastIndex = open + 1;
  for (let at = pair.exec(text); at !== null; at = pair.exec(text)) {
    const [, quoted, plain, value] = at;
    const key = quoted !== undefined ? unquoted(quoted) : (plain ?? "");
    // A quoted word alone is the name of a metric that is no identifier.
    if (value === undefined) labels["__name__"] = key;
    else labels[key] = unquoted(value);
  }
  return labels;
}

function unquoted(text: string): string {
  const escapes: Record<string, string> = { n: "\n", t: "\t", r: "\r" };
  return text.slice(1, -1).replace(/\\(.)/gs, (_, c: string) => escapes[c] ?? c);
}

/** Equal for equal label sets, whatever their order. */
export function seriesKey(labels: Labels): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}

/** A label set as PromQL writes it. */
export function seriesText(labels: Labels): string {
  const { __name__: name = "", ...rest } = labels;
  const pairs = Object.entries(rest).map(([k, v]) => `${k}=${JSON.stringify(v)}`);
  return pairs.length === 0 && name !== "" ? name : `${name}{${pairs.join(", ")}}`;
}

/** What tells the series of one chart apart: the labels that differ between them. */
export function distinguishing(all: Labels[]): string[] {
  const names = new Set(all.flatMap((labels) => Object.keys(labels)));
  return [...names].filter((n) => new Set(all.map((labels) => labels[n] ?? "")).size > 1).sort();
}

/** A short name for a legend by those labels. */
export function shortName(labels: Labels, by: string[]): string {
  const parts = by.map((n) => labels[n] ?? "").filter((v) => v !== "");
  if (parts.length > 0) return parts.join(" ");
  return labels["__name__"] ?? (Object.values(labels).join(" ") || "value");
}
