// The frame around every page: where one is, whether the stream is alive, the theme, the help.

import { useEffect, useRef } from "preact/hooks";
import { KEYS, helpOpen } from "./keys";
import { connection } from "./live";
import { Alerts } from "./pages/alerts";
import { Explore } from "./pages/explore";
import { Findings } from "./pages/findings";
import { Health } from "./pages/health";
import { Overview } from "./pages/overview";
import { Tuning } from "./pages/tuning";
import { PAGES, type Page, link, route } from "./route";
import { frozen, status, trouble } from "./state";
import { type Choice, choice, choose } from "./theme";

const TITLES: Record<Page, string> = { overview: "Overview", explore: "Explore", tuning: "Tuning", findings: "Findings", alerts: "Alerts", health: "Health" };

export function App() {
  const { page, params } = route.value;
  useEffect(() => {
    document.title = `${frozen.value === null ? "" : "■ "}${TITLES[page]} · ALL-USE`;
  }, [page, frozen.value]);
  const kiosk = params.has("kiosk");
  return (
    <>
      <a class="skip" href="#content" onClick={(e) => (e.preventDefault(), document.getElementById("content")?.focus())}>
        To the content
      </a>
      {!kiosk && <Head page={page} />}
      {frozen.value !== null && page !== "tuning" && (
        <p class="banner" role="alert">
          <b>Everything is stopped.</b> The red button was pressed by {frozen.value}. <a href={link("tuning")}>To the red button</a>
        </p>
      )}
      {trouble.value !== null && <p class="banner" role="alert">The server does not answer: {trouble.value}</p>}
      <main id="content" tabIndex={-1}>
        <h1 class="unseen">{TITLES[page]}</h1>
        {page === "overview" && <Overview />}
        {page === "explore" && <Explore />}
        {page === "tuning" && <Tuning />}
        {page === "findings" && <Findings />}
        {page === "health" && <Health />}
        {page === "alerts" && <Alerts />}
      </main>
      <Help />
    </>
  );
}

function Head({ page }: { page: Page }) {
  const range = route.value.params.get("range") ?? undefined;
  return (
    <header class="head">
      <a class="brand" href={link("overview")}>
        <Mark />
        ALL-USE
      </a>
      <nav aria-label="Pages">
        {PAGES.map((p) => (
          <a key={p} href={link(p, { range })} aria-current={p === page ? "page" : undefined}>
            {TITLES[p]}
          </a>
        ))}
      </nav>
      <span class={`connection ${connection.value}`} role="status">
        <i aria-hidden="true" />
        {connection.value === "live" ? "live" : connection.value === "lost" ? "connection lost, trying again" : "connecting"}
      </span>
      <ThemePicker />
      <button type="button" class="icon" aria-label="Keys" title="Keys (?)" onClick={() => (helpOpen.value = true)}>
        ?
      </button>
    </header>
  );
}

/** A loop that closes. */
function Mark() {
  return (
    <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true">
      <path class="loop" d="M15.8 6.2A7 7 0 1 0 17 10" />
      <path class="tick" d="M6.4 10.6l2.6 2.6 5.2-6.4" />
    </svg>
  );
}

const CHOICES: [Choice, string, string][] = [
  ["system", "◐", "Theme of the system"],
  ["light", "○", "Light theme"],
  ["dark", "●", "Dark theme"],
];

function ThemePicker() {
  return (
    <div class="segments theme" role="group" aria-label="Theme">
      {CHOICES.map(([name, sign, label]) => (
        <button key={name} type="button" aria-pressed={choice.value === name} aria-label={label} title={label} onClick={() => choose(name)}>
          {sign}
        </button>
      ))}
    </div>
  );
}

function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (helpOpen.value) dialog.current?.showModal();
    else dialog.current?.close();
  }, [helpOpen.value]);
  return (
    <dialog ref={dialog} aria-label="Keys" onClose={() => (helpOpen.value = false)} onClick={(e) => e.target === e.currentTarget && (helpOpen.value = false)}>
      <h2>Keys</h2>
      <dl class="keys">
        {KEYS.map(([keys, what]) => (
          <div key={keys}>
            <dt>{keys.split(" ").map((k) => <kbd key={k}>{k}</kbd>)}</dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <p class="quiet">Drag over a chart to zoom in, double-click to zoom out. Charts stand still under the pointer.</p>
      <p class="quiet">ALL-USE {status.value?.version ?? ""}</p>
      <button type="button" class="primary" onClick={() => (helpOpen.value = false)}>
        Close
      </button>
    </dialog>
  );
}
