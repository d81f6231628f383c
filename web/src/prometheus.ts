// Prometheus's HTTP API: queries, and the names and values there are to query.

import { request } from "./http";

export type Labels = Record<string, string>;

/** `[seconds, value]`: the value is text because JSON has no NaN and no infinity. */
export type Sample = [number, string];

export interface Matrix {
  resultType: "matrix";
  result: { metric: Labels; values?: Sample[] }[];
}

export interface Vector {
  resultType: "vector";
  result: { metric: Labels; value?: Sample }[];
}

export interface Scalar {
  resultType: "scalar";
  result: Sample;
}

export interface Text {
  resultType: "string";
  result: Sample;
}

export type Answer = Matrix | Vector | Scalar | Text;

interface Envelope<T> {
  data: T;
  warnings?: string[];
  infos?: string[];
}

const BASE = "/api/v1";

async function ask<T>(path: string, params: Record<string, string>, signal?: AbortSignal): Promise<Envelope<T>> {
  const query = new URLSearchParams(params);
  return request<Envelope<T>>(`${BASE}/${path}?${query}`, signal ? { signal } : undefined);
}

/** Evaluates an expression at one time (seconds); now when absent. */
export function instant(expr: string, time?: number, signal?: AbortSignal): Promise<Envelope<Answer>> {
  return ask<Answer>("query", time === undefined ? { query: expr } : { query: expr, time: String(time) }, signal);
}

/** Evaluates an expression from `start` to `end` every `step` seconds. */
export async function range(expr: string, start: number, end: number, step: number, signal?: AbortSignal): Promise<Envelope<Matrix>> {
  const params = { query: expr, start: String(start), end: String(end), step: String(step) };
  return ask<Matrix>("query_range", params, signal);
}

/** Names of labels, of one metric where given. */
export async function labelNames(metric?: string): Promise<string[]> {
  return (await ask<string[]>("labels", matching(metric))).data;
}

/** Values of a label; metric names are the values of `__name__`. */
export async function labelValues(label: string, metric?: string): Promise<string[]> {
  return (await ask<string[]>(`label/${encodeURIComponent(label)}/values`, matching(metric))).data;
}

/** What is known of each metric family. */
export interface Metadata {
  type: string;
  help: string;
  unit: string;
}

export async function metadata(): Promise<Record<string, Metadata[]>> {
  return (await ask<Record<string, Metadata[]>>("metadata", {})).data;
}

function matching(metric?: string): Record<string, string> {
  return metric ? { "match[]": `{__name__=${JSON.stringify(metric)}}` } : {};
}

/** A value of Prometheus's JSON; null where there is nothing to draw. */
export function number(text: string): number | null {
  const value = Number(text);
  return text.trim() !== "" && Number.isFinite(value) ? value : null;
}

/** The same question for a terminal. */
export function asCurl(origin: string, path: string, params: Record<string, string>): string {
  const parts = Object.entries(params).map(([key, value]) => ` \\\n  --data-urlencode ${quoted(`${key}=${value}`)}`);
  return `curl -sG ${quoted(`${origin}${BASE}/${path}`)}${parts.join("")}`;
}

/** One word of a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
