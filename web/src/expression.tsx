// The field an expression is typed in, with autocomplete: metrics and functions, names of labels,
// values of labels, all from the server.

import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { type Candidate, accept, nameCandidates, ranked, wantedAt } from "./complete";
import { labelNames, labelValues, metadata } from "./prometheus";

/** Suggestions shown at once. */
const SHOWN_MOST = 12;

/** Lists asked for once and kept while the page is open. */
const lists = new Map<string, Promise<string[]>>();

function kept(key: string, load: () => Promise<string[]>): Promise<string[]> {
  const known = lists.get(key);
  if (known) return known;
  // A list that could not be had is asked for again next time.
  const asked = load().catch((): string[] => {
    lists.delete(key);
    return [];
  });
  lists.set(key, asked);
  return asked;
}

const metricNames = () => kept("names", () => labelValues("__name__"));

async function candidates(text: string, caret: number): Promise<Candidate[]> {
  const wanted = wantedAt(text, caret);
  switch (wanted.kind) {
    case "name":
      return nameCandidates(await metricNames(), wanted.prefix, SHOWN_MOST);
    case "label": {
      const names = await kept(`labels ${wanted.metric ?? ""}`, () => labelNames(wanted.metric));
      return ranked(names.filter((n) => n !== "__name__"), wanted.prefix, SHOWN_MOST).map((t) => ({ text: t, kind: "label" }));
    }
    case "value": {
      const { label, metric } = wanted;
      if (label === undefined) return [];
      const values = await kept(`values ${label} ${metric ?? ""}`, () => labelValues(label, metric));
      return ranked(values, wanted.prefix, SHOWN_MOST).map((t) => ({ text: t, kind: "value" }));
    }
    case "none":
      return [];
  }
}

export const EXPRESSION_ID = "expression";

export function ExpressionField({ value, invalid, onRun }: { value: string; invalid: boolean; onRun: (expr: string) => void }) {
  const text = useSignal(value);
  const offered = useSignal<Candidate[]>([]);
  const chosen = useSignal(-1);
  const helps = useSignal<Record<string, string>>({});
  const field = useRef<HTMLInputElement>(null);
  const open = useComputed(() => offered.value.length > 0);

  useEffect(() => {
    text.value = value;
    offered.value = [];
  }, [value]);
  useEffect(() => {
    void metricNames();
    void metadata().then(
      (all) => (helps.value = Object.fromEntries(Object.entries(all).map(([k, v]) => [k, v[0]?.help ?? ""]))),
      () => undefined, // Only hints are missing then.
    );
  }, []);

  const offer = async (): Promise<void> => {
    const at = field.current;
    if (!at) return;
    const { value: asked, selectionStart } = at;
    const caret = selectionStart ?? asked.length;
    const found = await candidates(asked, caret);
    // An answer to what has been typed over since is no longer wanted.
    if (at.value !== asked || (at.selectionStart ?? asked.length) !== caret) return;
    const word = wantedAt(asked, caret);
    offered.value = found.filter((c) => c.text !== asked.slice(word.from, word.to));
    chosen.value = offered.value.length > 0 ? 0 : -1;
  };
  const typed = (): void => {
    text.value = field.current?.value ?? "";
    void offer();
  };
  const put = (candidate: Candidate): void => {
    const at = field.current;
    if (!at) return;
    const next = accept(at.value, wantedAt(at.value, at.selectionStart ?? at.value.length), candidate);
    at.value = next.text;
    text.value = next.text;
    at.focus();
    at.setSelectionRange(next.caret, next.caret);
    offered.value = [];
    if (candidate.kind !== "value" && candidate.kind !== "metric") void offer();
  };
  const run = (): void => {
    offered.value = [];
    onRun(text.value.trim());
  };
  const keyed = (event: KeyboardEvent): void => {
    const count = offered.value.length;
    if (event.key === "ArrowDown" && count > 0) chosen.value = (chosen.value + 1) % count;
    else if (event.key === "ArrowUp" && count > 0) chosen.value = (chosen.value + count - 1) % count;
    else if (event.key === "Escape" && count > 0) {
      offered.value = [];
      event.stopPropagation();
    } else if ((event.key === "Enter" || event.key === "Tab") && !event.shiftKey && count > 0) {
      const candidate = offered.value[chosen.value];
      if (candidate) put(candidate);
    } else if (event.key === "Enter" && !event.shiftKey) run();
    else if (event.key === " " && event.ctrlKey) void offer();
    else return;
    event.preventDefault();
  };

  return (
    <form class="expression" onSubmit={(e) => (e.preventDefault(), run())}>
      <div class="field">
        <input
          ref={field}
          id={EXPRESSION_ID}
          type="text"
          value={text.value}
          onInput={typed}
          onClick={() => (offered.value = [])}
          onKeyDown={keyed}
          onBlur={() => (offered.value = [])}
          spellcheck={false}
          autocomplete="off"
          autocapitalize="off"
          placeholder="PromQL: rate(node_cpu_seconds_total[30s])"
          role="combobox"
          aria-label="PromQL expression"
          aria-invalid={invalid}
          aria-autocomplete="list"
          aria-expanded={open.value}
          aria-controls="suggestions"
          aria-activedescendant={open.value ? `suggestion-${chosen.value}` : undefined}
        />
        <ul id="suggestions" role="listbox" aria-label="Suggestions" hidden={!open.value}>
          {offered.value.map((candidate, i) => (
            <li
              key={`${candidate.kind} ${candidate.text}`}
              id={`suggestion-${i}`}
              role="option"
              aria-selected={i === chosen.value}
              onPointerDown={(e) => (e.preventDefault(), put(candidate))}
              onPointerMove={() => (chosen.value = i)}
            >
              <span class="text">{candidate.text}</span>
              <span class="kind">{helps.value[candidate.text] ?? candidate.kind}</span>
            </li>
          ))}
        </ul>
      </div>
      <button type="submit" class="primary">Run</button>
    </form>
  );
}
