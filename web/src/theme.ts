// Light, dark or what the system says. The document carries the theme in force; canvases read
// their colours from the style sheet and are drawn anew when it changes.

import { computed, effect, signal } from "@preact/signals";

export type Choice = "system" | "light" | "dark";

const KEY = "alluse.theme";
const media = globalThis.matchMedia?.("(prefers-color-scheme: dark)");

const systemDark = signal(media?.matches ?? false);
media?.addEventListener("change", (e) => {
  systemDark.value = e.matches;
});

export const choice = signal<Choice>(stored());

/** The theme in force. */
export const theme = computed<"light" | "dark">(() => {
  if (choice.value !== "system") return choice.value;
  return systemDark.value ? "dark" : "light";
});

function stored(): Choice {
  const text = globalThis.localStorage?.getItem(KEY);
  return text === "light" || text === "dark" ? text : "system";
}

export function choose(next: Choice): void {
  localStorage.setItem(KEY, next);
  choice.value = next;
}

/** Keeps the document's theme as chosen. */
export function applyTheme(): void {
  effect(() => {
    document.documentElement.dataset["theme"] = theme.value;
  });
}

/** A colour of the style sheet, for drawing on a canvas. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Colours told apart on one chart. */
export const PALETTE = ["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"];

export function paletteName(index: number): string {
  return PALETTE[index % PALETTE.length] ?? "c1";
}
