// Keys: `?` help, `/` search, `g` and a letter for a page, `.` now, Escape out of whatever is open.

import { signal } from "@preact/signals";
import { EXPRESSION_ID } from "./expression";
import { type Page, go, route } from "./route";
import { spanName, zoomOut } from "./view";

export const helpOpen = signal(false);

export const KEYS: [string, string][] = [
  ["?", "This help"],
  ["/", "Search: type an expression"],
  ["g o", "Overview"],
  ["g e", "Explore"],
  ["g t", "Tuning"],
  ["g f", "Findings"],
  ["g h", "Health"],
  ["g a", "Alerts"],
  [".", "Charts back to now"],
  ["Esc", "Close, or zoom out"],
  ["← →", "On a chart: move the cursor"],
  ["+ −", "On a chart: zoom in, out"],
];

const PAGE_KEYS: Record<string, Page> = { o: "overview", e: "explore", t: "tuning", f: "findings", a: "alerts", h: "health" };

/** How long `g` waits for its letter, ms. */
const PREFIX_MS = 1500;
let prefixAt = -Infinity;

export function followKeys(): void {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.key === "Escape") escape(event);
    else if (!typing(event.target) && pressed(event)) event.preventDefault();
  });
}

function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest("input:not([type=radio]), textarea, select") !== null;
}

function pressed({ key, timeStamp }: KeyboardEvent): boolean {
  const page = timeStamp - prefixAt < PREFIX_MS ? PAGE_KEYS[key] : undefined;
  prefixAt = key === "g" ? timeStamp : -Infinity;
  if (page) go(page, { range: route.value.params.get("range") ?? undefined });
  else if (key === "?") helpOpen.value = !helpOpen.value;
  else if (key === "/") search();
  else if (key === ".") zoomOut();
  else return false;
  return true;
}

function search(): void {
  if (route.value.page !== "explore") go("explore", { range: spanName.value });
  // The field is there after the page has been drawn.
  setTimeout(() => document.getElementById(EXPRESSION_ID)?.focus(), 60);
}

function escape(event: KeyboardEvent): void {
  if (helpOpen.value) helpOpen.value = false;
  else if (typing(event.target)) (event.target as HTMLElement).blur();
  else zoomOut();
}
