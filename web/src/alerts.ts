// What fires, in Alertmanager's shape with what this server adds; acknowledged and silenced here.

import { request, send } from "./http";
import type { Labels } from "./prometheus";

export interface Alert {
  fingerprint: string;
  labels: Labels;
  annotations: Record<string, string>;
  startsAt: string;
  generatorURL: string;
  receivers: { name: string }[];
  status: { state: string; silencedBy: string[]; inhibitedBy: string[] };
  /** Absent of alerts that others have posted. */
  value: string | null;
  /** The alert it probably follows from. */
  root: string | null;
  /** Whether anybody was told. */
  told: boolean;
  /** Steps of the escalation taken. */
  escalation: number;
  acknowledged: { by: string; comment: string; at: string } | null;
}

export type AlertState = "firing" | "acknowledged" | "silenced" | "inhibited" | "follows";

export const getAlerts = (): Promise<Alert[]> => request<Alert[]>("/api/v2/alerts");

/** Says who knows of an alert. */
export const acknowledge = (alert: Alert, by: string): Promise<unknown> =>
  send("POST", `/api/v1/alerts/${alert.fingerprint}/ack`, { by });

/** Silences exactly this alert for so long. */
export function silence(alert: Alert, by: string, hours: number): Promise<unknown> {
  const matchers = Object.entries(alert.labels).map(([name, value]) => ({ name, value, isRegex: false, isEqual: true }));
  const now = Date.now();
  const [startsAt, endsAt] = [now, now + hours * 3_600_000].map((ms) => new Date(ms).toISOString());
  return send("POST", "/api/v2/silences", { matchers, startsAt, endsAt, createdBy: by, comment: "silenced on the dashboard" });
}

/** Ends what silences an alert. */
export async function unsilence(alert: Alert): Promise<void> {
  for (const id of alert.status.silencedBy) await request(`/api/v2/silence/${id}`, { method: "DELETE" });
}

/** The one word for what is done about an alert. */
export function stateOf({ status, root, acknowledged }: Alert): AlertState {
  if (status.silencedBy.length > 0) return "silenced";
  if (root !== null) return "follows";
  if (status.inhibitedBy.length > 0) return "inhibited";
  return acknowledged === null ? "firing" : "acknowledged";
}

/** What somebody has to look at first: what fires, then what is known, then what is held back; newest first. */
export function inOrder(alerts: Alert[]): Alert[] {
  const order: AlertState[] = ["firing", "acknowledged", "follows", "inhibited", "silenced"];
  const rank = (alert: Alert): number => order.indexOf(stateOf(alert));
  return [...alerts].sort((a, b) => rank(a) - rank(b) || b.startsAt.localeCompare(a.startsAt));
}

/** An address to follow: a path or http(s), nothing that could run. */
export function safeLink(url: string): string | null {
  return /^(https?:\/\/|\/|#\/)/.test(url) && !url.startsWith("//") ? url : null;
}
