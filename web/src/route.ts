// Where the page is: the hash of the URL holds everything, so a link is a view.

import { signal } from "@preact/signals";

export const PAGES = ["overview", "explore", "tuning", "findings", "alerts", "health"] as const;
export type Page = (typeof PAGES)[number];

export interface Route {
  page: Page;
  params: URLSearchParams;
}

/** Reads `#/page?key=value`; an unknown page is the first. */
export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const page = PAGES.find((p) => p === path) ?? "overview";
  return { page, params: new URLSearchParams(query) };
}

/** Writes it; empty values are left out. */
export function link(page: Page, params: Record<string, string | undefined> = {}): string {
  const kept = Object.entries(params).filter((p): p is [string, string] => p[1] !== undefined && p[1] !== "");
  const query = new URLSearchParams(kept).toString();
  return `#/${page}${query === "" ? "" : `?${query}`}`;
}

export const route = signal<Route>(parseRoute(globalThis.location?.hash ?? ""));

/** Goes to a page: a new entry in the history. */
export function go(page: Page, params: Record<string, string | undefined> = {}): void {
  location.hash = link(page, params);
}

/** Changes parameters of the page in place: no new entry, "back" leaves the page. */
export function adjust(changes: Record<string, string | undefined>): void {
  const { page, params } = route.value;
  const all: Record<string, string | undefined> = { ...Object.fromEntries(params), ...changes };
  history.replaceState(null, "", link(page, all));
  route.value = parseRoute(location.hash);
}

export function followLocation(): void {
  addEventListener("hashchange", () => {
    route.value = parseRoute(location.hash);
  });
}
