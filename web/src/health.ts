// How the server fares, and its data: as /api/v1/health, /api/v1/status/tsdb and
// /api/v1/quarantine tell it.

import { Refused, request } from "./http";

export type State = "healthy" | "degraded" | "unhealthy";

export interface Subsystem {
  name: string;
  status: State;
  reason: string;
  /** The subsystems below it whose fault it is. */
  causes: string[];
  dependsOn: string[];
  required: boolean;
  /** In seconds. */
  since: number;
}

export interface Health {
  status: State;
  subsystems: Subsystem[];
}

export interface Named {
  name: string;
  value: number;
}

export interface Cardinality {
  headStats: { numSeries: number; numLabelPairs: number; chunkCount: number };
  seriesCountByMetricName: Named[];
  newSeriesByMetricName: Named[];
  refusedSeriesByName: (Named & { reason: string })[];
}

export interface Refusal {
  id: number;
  /** In seconds. */
  at: number;
  door: string;
  reason: string;
  series: string;
  detail: string;
}

/** Of each list of names. */
const NAMES_SHOWN = 8;

/** Of the newest refusals. */
const REFUSALS_SHOWN = 20;

interface Envelope<T> {
  data: T;
}

async function data<T>(path: string): Promise<T> {
  return (await request<Envelope<T>>(`/api/v1/${path}`)).data;
}

export const getHealth = () => data<Health>("health");
export const getRefusals = () => data<Refusal[]>(`quarantine?limit=${REFUSALS_SHOWN}`);

/** `null` where the series are in another store. */
export async function getCardinality(): Promise<Cardinality | null> {
  try {
    return await data<Cardinality>(`status/tsdb?limit=${NAMES_SHOWN}`);
  } catch (error) {
    if (error instanceof Refused && error.status === 503) return null;
    throw error;
  }
}

/** Refusals by door and reason, most first. */
export function tally(refusals: Refusal[]): { door: string; reason: string; count: number; newest: Refusal }[] {
  const rows = new Map<string, { door: string; reason: string; count: number; newest: Refusal }>();
  for (const refusal of refusals) {
    const key = `${refusal.door}\n${refusal.reason}`;
    const row = rows.get(key) ?? { door: refusal.door, reason: refusal.reason, count: 0, newest: refusal };
    row.count += 1;
    if (refusal.at > row.newest.at) row.newest = refusal;
    rows.set(key, row);
  }
  return [...rows.values()].sort((a, b) => b.count - a.count);
}
