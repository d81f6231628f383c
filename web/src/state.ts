// What the loop said last: lists loaded once, then kept current by the events of the stream.

import { computed, signal } from "@preact/signals";
import { sentence } from "./http";
import { getChanges, getDecisions, getFindings, getStatus, getStudies, getTargets } from "./loop";
import type { Change, Decision, Finding, LiveEvent, Status, Study, Target } from "./wire";

/** Entries kept of each list. */
const KEPT_MOST = 300;

export const status = signal<Status | null>(null);
export const targets = signal<Target[]>([]);
/** Newest first. */
export const changes = signal<Change[]>([]);
export const decisions = signal<Decision[]>([]);
export const findings = signal<Finding[]>([]);
export const studies = signal<Study[]>([]);
/** Why the lists could not be loaded, when they could not. */
export const trouble = signal<string | null>(null);
/** Whether the lists have been loaded at all. */
export const loaded = signal(false);

/** Who pressed the red button, while it is pressed; by itself, so that a new status each second redraws nothing. */
export const frozen = computed(() => status.value?.red_button ?? null);

/** Loads everything: at the start, and when the stream was lost. */
export async function load(): Promise<void> {
  try {
    const all = await Promise.all([getStatus(), getTargets(), getChanges(), getDecisions(), getFindings(), getStudies()]);
    [status.value, targets.value, changes.value, decisions.value, findings.value, studies.value] = all;
    trouble.value = null;
    loaded.value = true;
  } catch (error) {
    trouble.value = sentence(error);
  }
}

/** Loads what no event carries: knobs and guards as they stand, studies. */
export async function refreshTargets(): Promise<void> {
  try {
    [targets.value, studies.value] = await Promise.all([getTargets(), getStudies()]);
  } catch (error) {
    trouble.value = sentence(error);
  }
}

/** Takes in an event. */
export function take(event: LiveEvent): void {
  switch (event.event) {
    case "status":
      status.value = event.status;
      break;
    case "change":
      takeChange(event.change);
      break;
    case "decision":
      decisions.value = newestFirst(decisions.value, event.decision, (d) => d.proposal);
      break;
    case "finding":
      findings.value = newestFirst(findings.value, event.finding, (f) => f.id);
      break;
    case "points":
      break;
  }
}

export function takeChange(change: Change): void {
  changes.value = newestFirst(changes.value, change, (c) => c.id);
}

/** The list with an entry put in or replaced, newest first. */
export function newestFirst<T>(list: T[], entry: T, id: (entry: T) => number): T[] {
  const at = list.findIndex((other) => id(other) === id(entry));
  if (at >= 0) return list.with(at, entry);
  return [entry, ...list].sort((a, b) => id(b) - id(a)).slice(0, KEPT_MOST);
}

/** Who acts, for the record; kept on this machine. */
const NAME_KEY = "alluse.name";
export const actor = signal(globalThis.localStorage?.getItem(NAME_KEY) ?? "dashboard");

export function rename(name: string): void {
  actor.value = name;
  localStorage.setItem(NAME_KEY, name);
}

/** Error rate of a decision: as the newest verdict states it. */
export const alpha = computed(() => changes.value.find((c) => c.verdict)?.verdict?.alpha ?? null);
