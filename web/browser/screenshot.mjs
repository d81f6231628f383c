// The picture in the README: the dashboard after a minute of tuning, as it really was.

import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { get, startBrowser, startDemo } from "./demo.mjs";

/** Tuning before the picture is taken, ms. */
const TUNE_MS = 60_000;

/** How much longer something telling is waited for, ms. */
const MORE_MS = 60_000;

/** For the picture to be drawn, ms. */
const SETTLE_MS = 1500;

const file = fileURLToPath(new URL("../../docs/dashboard.png", import.meta.url));
const [demo, browser] = await Promise.all([startDemo(), startBrowser()]);
try {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 }, colorScheme: "light" });
  await page.goto(`${demo.url}/#/tuning?range=5m`);
  await new Promise((resolve) => setTimeout(resolve, TUNE_MS));
  // A picture with a kept change and a trial well under way says more; it is taken all the same.
  const telling = ".tuning:has(.entry.kept):has(.running .dots i.done:nth-child(3))";
  await page.locator(telling).waitFor({ timeout: MORE_MS }).catch(() => undefined);
  // All of the demo's life, and nothing before it.
  const { started_ms: started, now_ms: now } = await get(demo.url, "/api/v1/loop/status");
  await page.goto(`${demo.url}/#/tuning?range=5m&from=${started / 1000 - 2}&to=${now / 1000}`);
  await page.locator(".objective canvas").waitFor();
  await page.mouse.move(5, 5);
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  await mkdir(new URL("../../docs/", import.meta.url), { recursive: true });
  await page.screenshot({ path: file });
  console.log(file);
} finally {
  await browser.close();
  await demo.stop();
}
