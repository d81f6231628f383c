// Autocomplete: what the word at the caret is (a metric or function, a label's name, a label's
// value), and how a choice is put in its place. The candidates come from the API.

import { AGGREGATIONS, FUNCTIONS } from "./promql";

export interface Wanted {
  kind: "name" | "label" | "value" | "none";
  /** The word under the caret: from here ... */
  from: number;
  /** ... to here is replaced. */
  to: number;
  /** What of it stands before the caret. */
  prefix: string;
  /** The metric of the selector, where it is known. */
  metric?: string;
  /** The label whose value is wanted. */
  label?: string;
}

export interface Candidate {
  text: string;
  kind: "metric" | "function" | "aggregation" | "label" | "value";
}

const WORD = /[\w:.]/;

/** What is wanted at the caret. */
export function wantedAt(text: string, caret: number): Wanted {
  const open = opened(text, caret);
  if (open.quote !== null) {
    return open.brace === null ? nothing(caret) : wantedValue(text, caret, open.brace, open.quote);
  }
  const from = wordStart(text, caret);
  const to = wordEnd(text, caret);
  const prefix = text.slice(from, caret);
  if (open.bracket) return nothing(caret);
  if (open.brace !== null) {
    const metric = wordBefore(text, open.brace);
    return { kind: "label", from, to, prefix, ...(metric ? { metric } : {}) };
  }
  if (/\b(by|without|on|ignoring|group_left|group_right)\s*\([^()]*$/.test(text.slice(0, from))) {
    return { kind: "label", from, to, prefix };
  }
  if (/^\d/.test(prefix)) return nothing(caret);
  return { kind: "name", from, to, prefix };
}

function nothing(caret: number): Wanted {
  return { kind: "none", from: caret, to: caret, prefix: "" };
}

/** Which brackets and quotes are open at the caret. */
function opened(text: string, caret: number): { brace: number | null; bracket: boolean; quote: number | null } {
  let brace: number | null = null;
  let bracket = false;
  let quote: number | null = null;
  for (let i = 0; i < caret; i++) {
    const c = text[i] ?? "";
    if (quote !== null) {
      if (c === "\\") i++;
      else if (c === text[quote]) quote = null;
    } else if (c === '"' || c === "'" || c === "`") quote = i;
    else if (c === "{") brace = i;
    else if (c === "}") brace = null;
    else if (c === "[") bracket = true;
    else if (c === "]") bracket = false;
  }
  return { brace, bracket, quote };
}

function wantedValue(text: string, caret: number, brace: number, quote: number): Wanted {
  const label = /([\w.]+)\s*(?:=|!=|=~|!~)\s*$/.exec(text.slice(brace + 1, quote))?.[1];
  const closing = text.indexOf(text[quote] ?? '"', caret);
  const to = closing < 0 ? caret : closing;
  const metric = wordBefore(text, brace);
  return {
    kind: "value",
    from: quote + 1,
    to,
    prefix: text.slice(quote + 1, caret),
    ...(metric ? { metric } : {}),
    ...(label ? { label } : {}),
  };
}

function wordStart(text: string, caret: number): number {
  let at = caret;
  while (at > 0 && WORD.test(text[at - 1] ?? "")) at--;
  return at;
}

function wordEnd(text: string, caret: number): number {
  let at = caret;
  while (at < text.length && WORD.test(text[at] ?? "")) at++;
  return at;
}

function wordBefore(text: string, at: number): string {
  const end = text.slice(0, at).trimEnd().length;
  return text.slice(wordStart(text, end), end);
}

/** Names that fit, those that begin with what was typed first. */
export function ranked(names: readonly string[], prefix: string, most: number): string[] {
  const typed = prefix.toLowerCase();
  const begin: string[] = [];
  const within: string[] = [];
  for (const name of names) {
    const at = name.toLowerCase().indexOf(typed);
    if (at === 0) begin.push(name);
    else if (at > 0) within.push(name);
    if (begin.length >= most) break;
  }
  return [...begin, ...within].slice(0, most);
}

/** Metrics, functions and aggregations for a name. */
export function nameCandidates(metrics: readonly string[], prefix: string, most: number): Candidate[] {
  if (prefix === "") return [];
  const of = (kind: Candidate["kind"], names: readonly string[]) =>
    ranked(names, prefix, most).map((text): Candidate => ({ text, kind }));
  const called = [...of("function", FUNCTIONS), ...of("aggregation", AGGREGATIONS)].filter((c) => c.text.startsWith(prefix));
  return [...called.slice(0, 5), ...of("metric", metrics)].slice(0, most);
}

/** The text with a candidate put in, and where the caret stands then. */
export function accept(text: string, wanted: Wanted, candidate: Candidate): { text: string; caret: number } {
  const rest = text.slice(wanted.to);
  let insert = candidate.text;
  let within = insert.length;
  if (candidate.kind === "function" || candidate.kind === "aggregation") {
    insert += rest.startsWith("(") ? "" : "()";
    within += 1;
  } else if (candidate.kind === "label" && wanted.metric !== undefined && !/^\s*(=|!)/.test(rest)) {
    insert += '=""';
    within = insert.length - 1;
  } else if (candidate.kind === "value") {
    insert = insert.replaceAll("\\", "\\\\").replaceAll('"', '\\"');
    within = insert.length;
    if (!/^["'`]/.test(rest)) insert += '"';
    within += 1;
  }
  return { text: text.slice(0, wanted.from) + insert + rest, caret: wanted.from + within };
}
