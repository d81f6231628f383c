// The loop's own API under /api/v1/loop: what it sees, tries and decided; proposals; red button.

import { Refused, request, send } from "./http";
import type {
  Change,
  Decision,
  Finding,
  ProposalRequest,
  Status,
  Study,
  Target,
  TrustLevel,
} from "./wire";

const BASE = "/api/v1/loop";

/** Entries a list is asked for: what a page can show and a person can scroll. */
const LIST_MOST = 300;

export const getStatus = () => request<Status>(`${BASE}/status`);
export const getTargets = () => request<Target[]>(`${BASE}/targets`);
export const getChanges = () => request<Change[]>(`${BASE}/changes?limit=${LIST_MOST}`);
export const getDecisions = () => request<Decision[]>(`${BASE}/decisions?limit=${LIST_MOST}`);
export const getFindings = () => request<Finding[]>(`${BASE}/findings?limit=${LIST_MOST}`);
export const getStudies = () => request<Study[]>(`${BASE}/studies`);

/** `undo`, `approve` or `reject`. */
export const act = (change: number, verb: "undo" | "approve" | "reject", by: string) =>
  send<Change>("POST", `${BASE}/changes/${change}/${verb}`, { by });

export const pressRedButton = (by: string) => send<Status>("POST", `${BASE}/red-button`, { by });
export const releaseRedButton = (by: string) =>
  send<Status>("DELETE", `${BASE}/red-button`, { by });
export const setTrust = (trust: TrustLevel) => send<Status>("PUT", `${BASE}/trust`, { trust });
export const stopStudy = (study: number) => send<Study[]>("POST", `${BASE}/studies/${study}/stop`, {});
export const unfreeze = (target: string, by: string) =>
  send<Status>("POST", `${BASE}/targets/${encodeURIComponent(target)}/unfreeze`, { by });

/** The governor's ruling; a refusal is a ruling too and comes back, only failures are thrown. */
export async function propose(proposal: ProposalRequest): Promise<Decision> {
  try {
    return await send<Decision>("POST", `${BASE}/proposals`, proposal);
  } catch (error) {
    if (error instanceof Refused && isDecision(error.body)) return error.body;
    throw error;
  }
}

function isDecision(body: unknown): body is Decision {
  return typeof body === "object" && body !== null && "ruling" in body;
}
