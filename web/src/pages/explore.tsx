// Explore: an expression, its chart and its values now. The URL holds the expression and the time.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Chart } from "../chart";
import { ExpressionField } from "../expression";
import { stepOf } from "../feed";
import { inUnit, unitOfExpression } from "../format";
import { Refused, sentence } from "../http";
import { seriesKey } from "../labels";
import { type Answer, type Labels, type Matrix, type Vector, asCurl, instant, number } from "../prometheus";
import { type Located, locate, metricsOf } from "../promql";
import { adjust, link, route } from "../route";
import { Toolbar } from "../toolbar";
import { useFeed } from "../use-feed";
import { SPANS, now, shown, spanName, zoom } from "../view";

const EXAMPLES: [string, string][] = [
  ["CPU by mode", "sum by (mode) (rate(node_cpu_seconds_total[5s]))"],
  ["Requests a second by outcome", "sum by (op, code) (rate(load_requests_total[5s]))"],
  ["99th percentile of transfers", 'histogram_quantile(0.99, sum by (le) (rate(load_request_duration_seconds_bucket{op="transfer"}[5s])))'],
  ["Knobs as they stand", "knob_value"],
  ["What answers", "up"],
];

/** Seconds between two evaluations of the table while the charts move. */
const TABLE_EVERY_S = 5;

interface Outcome {
  expr: string;
  answer: Answer | null;
  notes: string[];
  error: Located | null;
}

export function Explore() {
  const expr = route.value.params.get("expr") ?? "";
  const outcome = useSignal<Outcome | null>(null);
  const until = zoom.value?.to;
  const turn = until === undefined ? Math.floor(now.value / TABLE_EVERY_S) : 0;

  useEffect(() => {
    if (expr === "") {
      outcome.value = null;
      return undefined;
    }
    const abort = new AbortController();
    void evaluate(expr, until, abort.signal).then((found) => {
      if (!abort.signal.aborted) outcome.value = found;
    });
    return () => abort.abort();
  }, [expr, until, turn]);

  const current = outcome.value?.expr === expr ? outcome.value : null;
  return (
    <section class="page-explore" aria-label="Explore">
      <ExpressionField value={expr} invalid={current?.error !== null && current !== null} onRun={(next) => adjust({ expr: next })} />
      {expr === "" && <Examples />}
      {current?.error && <ErrorBox expr={expr} error={current.error} />}
      {current && !current.error && (
        <>
          <Toolbar />
          <RangeChart key={expr} expr={expr} />
          <Actions expr={expr} />
          {current.notes.map((n) => <p key={n} class="notice">{n}</p>)}
          {current.answer && <Table answer={current.answer} expr={expr} />}
        </>
      )}
    </section>
  );
}

async function evaluate(expr: string, time: number | undefined, signal: AbortSignal): Promise<Outcome> {
  try {
    const { data, warnings = [], infos = [] } = await instant(expr, time, signal);
    return { expr, answer: data, notes: [...warnings, ...infos], error: null };
  } catch (error) {
    const message = sentence(error).replace(/^invalid parameter "query": /, "");
    const located = error instanceof Refused ? locate(expr, message) : { at: null, message };
    return { expr, answer: null, notes: [], error: located };
  }
}

function Examples() {
  return (
    <div class="examples">
      <p class="quiet">Type an expression, or begin with one of these. <kbd>/</kbd> brings you here from anywhere.</p>
      <ul>
        {EXAMPLES.map(([name, expr]) => (
          <li key={name}>
            <a href={link("explore", { expr })}>{name}</a>
            <code>{expr}</code>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** The message, and the expression with the place marked. */
function ErrorBox({ expr, error }: { expr: string; error: Located }) {
  const { at, message } = error;
  return (
    <div class="error-box" role="alert">
      <p>{message}</p>
      {at !== null && (
        <pre>
          {expr.slice(0, at)}
          <mark>{expr.slice(at, at + 1) || "\u00a0"}</mark>
          {expr.slice(at + 1)}
        </pre>
      )}
    </div>
  );
}

function RangeChart({ expr }: { expr: string }) {
  const seconds = SPANS[spanName.value];
  const feed = useFeed([expr], seconds);
  const unit = unitOfExpression(expr);
  return <Chart title="Range" unit={unit} feed={feed} parts={[{ query: 0 }]} height={300} metrics={metricsOf(expr)} />;
}

function Actions({ expr }: { expr: string }) {
  const copied = useSignal<string | null>(null);
  const copy = async (): Promise<void> => {
    const { from, to } = shown.peek();
    const step = String(stepOf(to - from));
    const text = asCurl(location.origin, "query_range", { query: expr, start: from.toFixed(0), end: to.toFixed(0), step });
    try {
      await navigator.clipboard.writeText(text);
      copied.value = "Copied.";
      setTimeout(() => (copied.value = null), 2000);
    } catch {
      // Pages on plain HTTP from afar may not write to the clipboard: show it to be copied by hand.
      copied.value = text;
    }
  };
  return (
    <div class="actions">
      <button type="button" onClick={() => void copy()}>Copy as curl</button>
      <output>{copied.value !== null && (copied.value === "Copied." ? copied.value : <pre>{copied.value}</pre>)}</output>
    </div>
  );
}

/** Rows of a table; more are counted, not shown. */
const ROWS_MOST = 200;

function Table({ answer, expr }: { answer: Answer; expr: string }) {
  const unit = unitOfExpression(expr);
  if (answer.resultType === "scalar" || answer.resultType === "string") {
    return <p class="single">{answer.result[1]}</p>;
  }
  const rows = rowsOf(answer);
  if (rows.length === 0) return <p class="empty-note">No series answers this expression now.</p>;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Values now">
      <table class="values">
        <thead>
          <tr>
            <th>{rows.length} series now</th>
            <th class="right">Value</th>
            <th class="right">Exactly</th>
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, ROWS_MOST).map(({ metric, text }) => (
            <tr key={seriesKey(metric)}>
              <td><SeriesName metric={metric} /></td>
              <td class="right number">{inUnit(number(text), unit)}</td>
              <td class="right number quiet">{text}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > ROWS_MOST && <p class="notice">and {rows.length - ROWS_MOST} series more</p>}
    </div>
  );
}

interface Entry {
  metric: Labels;
  text: string;
}

function rowsOf(answer: Matrix | Vector): Entry[] {
  if (answer.resultType === "vector") {
    return answer.result.map(({ metric, value }) => ({ metric, text: value?.[1] ?? "a histogram" }));
  }
  return answer.result.map(({ metric, values }) => ({ metric, text: `${values?.length ?? 0} samples` }));
}

/** Label values are whatever a scraped service says: they are text here and nothing else. */
function SeriesName({ metric }: { metric: Labels }) {
  const { __name__: name = "", ...labels } = metric;
  return (
    <span class="series-name">
      <b>{name}</b>
      {Object.entries(labels).map(([key, value]) => (
        <span key={key} class="label">
          {key}=<i>{JSON.stringify(value)}</i>
        </span>
      ))}
      {name === "" && Object.keys(labels).length === 0 && <span class="quiet">no labels</span>}
    </span>
  );
}
