// What fires and what is done about it: acknowledge, silence, look at the expression.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { type Alert, type AlertState, acknowledge, getAlerts, inOrder, safeLink, silence, stateOf, unsilence } from "../alerts";
import { clock, elapsed, plain } from "../format";
import { sentence } from "../http";
import { actor } from "../state";

/** Between two looks, ms. */
const LOOK_MS = 2000;

/** Rows shown; more are counted. */
const ROWS_MOST = 300;

/** Hours a silence of the button lasts. */
const SILENCE_HOURS = 2;

const WORDS: Record<AlertState, string> = {
  firing: "firing",
  acknowledged: "acknowledged",
  silenced: "silenced",
  inhibited: "inhibited",
  follows: "follows from another",
};

export function Alerts() {
  const alerts = useSignal<Alert[] | null>(null);
  const error = useSignal<string | null>(null);
  const look = async (): Promise<void> => {
    try {
      alerts.value = inOrder(await getAlerts());
      error.value = null;
    } catch (failed) {
      error.value = sentence(failed);
    }
  };
  useEffect(() => {
    void look();
    const timer = setInterval(() => void look(), LOOK_MS);
    return () => clearInterval(timer);
  }, []);
  const all = alerts.value;
  return (
    <section class="page-alerts" aria-label="Alerts">
      <header class="page-head">
        <h2>Alerts</h2>
        <p class="quiet">{all === null ? "Loading…" : summary(all)}</p>
      </header>
      {error.value !== null && <p class="error" role="alert">{error.value}</p>}
      {all !== null && all.length === 0 && <Empty />}
      {all !== null && all.length > 0 && <Table all={all} look={look} />}
    </section>
  );
}

function summary(all: Alert[]): string {
  const count = (state: AlertState): number => all.filter((a) => stateOf(a) === state).length;
  const firing = count("firing");
  const rest = all.length - firing;
  const held = rest === 0 ? "" : `, ${rest} known or held back`;
  return firing === 0 && rest === 0 ? "Nothing fires." : `${firing} to look at${held}.`;
}

function Empty() {
  return (
    <p class="empty-note">
      Nothing fires. Who is told when something does stands under <code>[notify]</code> in the file given to <code>alluse serve --config</code>; whether they are reached shows{" "}
      <code>alluse notify test RECEIVER</code>.
    </p>
  );
}

function Table({ all, look }: { all: Alert[]; look: () => Promise<void> }) {
  const names = new Map(all.map((alert) => [alert.fingerprint, alert.labels["alertname"] ?? alert.fingerprint]));
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="List of alerts">
      <table class="alerts">
        <thead>
          <tr>
            <th>State</th>
            <th>Since</th>
            <th>Alert</th>
            <th class="right">Value</th>
            <th><span class="unseen">Actions</span></th>
          </tr>
        </thead>
        <tbody>
          {all.slice(0, ROWS_MOST).map((alert) => (
            <Row key={alert.fingerprint} alert={alert} names={names} look={look} />
          ))}
        </tbody>
      </table>
      {all.length > ROWS_MOST && <p class="notice">and {all.length - ROWS_MOST} more</p>}
    </div>
  );
}

function Row({ alert, names, look }: { alert: Alert; names: Map<string, string>; look: () => Promise<void> }) {
  const state = stateOf(alert);
  const began = Date.parse(alert.startsAt);
  const { alertname = "no name", ...labels } = alert.labels;
  const link = safeLink(alert.generatorURL);
  return (
    <tr data-alert={alert.fingerprint} data-state={state}>
      <td><span class={`tag ${state}`}>{WORDS[state]}</span></td>
      <td class="time" title={alert.startsAt}>
        {clock(began)} <span class="quiet">{elapsed(Date.now() - began)}</span>
      </td>
      <td>
        {link === null ? <b>{alertname}</b> : <a class="series" href={link}>{alertname}</a>}{" "}
        {Object.entries(labels).map(([key, value]) => (
          <span key={key} class="label">
            {key}=<i>{JSON.stringify(value)}</i>{" "}
          </span>
        ))}
        <div class="summary">{alert.annotations["summary"] ?? alert.annotations["description"] ?? ""}</div>
        <div class="summary">{about(alert, state, names)}</div>
      </td>
      <td class="right number">{alert.value === null ? "" : plain(Number(alert.value))}</td>
      <td><Actions alert={alert} state={state} name={alertname} look={look} /></td>
    </tr>
  );
}

/** Who knows, who was told, and why nobody is. */
function about(alert: Alert, state: AlertState, names: Map<string, string>): string {
  const { acknowledged, root, status, receivers, told, escalation } = alert;
  const named = (id: string): string => names.get(id) ?? id;
  if (state === "acknowledged") return `${acknowledged?.by} knows${acknowledged?.comment ? `: ${acknowledged.comment}` : ""}`;
  if (state === "follows" && root !== null) return `told with ${named(root)}, the probable root`;
  if (state === "inhibited") return `held back while ${status.inhibitedBy.map(named).join(", ")} fires`;
  if (state === "silenced") return "nobody is told";
  const to = receivers.map((r) => r.name).join(", ");
  return `${told ? "told" : "to be told"}: ${to}${escalation > 0 ? `, after ${escalation} ${escalation === 1 ? "step" : "steps"} of escalation` : ""}`;
}

function Actions({ alert, state, name, look }: { alert: Alert; state: AlertState; name: string; look: () => Promise<void> }) {
  const busy = useSignal(false);
  const error = useSignal<string | null>(null);
  const carryOut = async (act: () => Promise<unknown>): Promise<void> => {
    busy.value = true;
    error.value = null;
    try {
      await act();
      await look();
    } catch (failed) {
      error.value = sentence(failed);
    } finally {
      busy.value = false;
    }
  };
  const by = actor.peek();
  return (
    <span class="change-actions">
      {state !== "acknowledged" && state !== "silenced" && (
        <button type="button" disabled={busy.value} aria-label={`Acknowledge ${name}`} onClick={() => void carryOut(() => acknowledge(alert, by))}>
          Acknowledge
        </button>
      )}
      {state === "silenced" ? (
        <button type="button" disabled={busy.value} aria-label={`End silence of ${name}`} onClick={() => void carryOut(() => unsilence(alert))}>
          End silence
        </button>
      ) : (
        <button type="button" disabled={busy.value} aria-label={`Silence ${SILENCE_HOURS} h: ${name}`} onClick={() => void carryOut(() => silence(alert, by, SILENCE_HOURS))}>
          Silence {SILENCE_HOURS} h
        </button>
      )}
      {error.value !== null && <span class="error" role="alert">{error.value}</span>}
    </span>
  );
}
