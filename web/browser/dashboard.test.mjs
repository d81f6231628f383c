// The dashboard clicked through in headless Chromium against a demo that really runs.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { get, startBrowser, startDemo } from "./demo.mjs";

/** How long anything on the page may take, ms: machines that test are busy. */
const PATIENCE = 20_000;

let demo;
let browser;
let context;
let page;
/** Everything that must not happen, as it happens. */
const offences = [];
/** Answers of the API a test asked to be refused. */
const expectedStatus = new Set();

before(async () => {
  [demo, browser] = await Promise.all([startDemo(), startBrowser()]);
  context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "light" });
  context.setDefaultTimeout(PATIENCE);
  page = await context.newPage();
  watch(page);
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (e) => {
      console.error(`CSP: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}`);
    });
  });
  await page.goto(`${demo.url}/`);
});

after(async () => {
  await browser?.close();
  const code = await demo?.stop();
  if (demo) assert.notEqual(code, null, "the demo ends by itself when asked to");
});

function watch(watched) {
  watched.on("pageerror", (error) => offences.push(`error: ${error.stack}`));
  watched.on("console", (message) => {
    if (message.type() !== "error") return;
    // Chromium reports each refused request; those a test provokes are no fault of the page.
    const refused = /status of (\d+)/.exec(message.text())?.[1];
    if (refused === undefined || !expectedStatus.has(Number(refused))) offences.push(`console: ${message.text()}`);
  });
  watched.on("request", (request) => {
    if (!request.url().startsWith(`${demo.url}/`)) offences.push(`request to ${request.url()}`);
  });
}

const chart = (title) => page.getByRole("figure", { name: title, exact: true }).first();

/** Waits for something to be true of the page or the API. */
async function eventually(what, check, ms = PATIENCE) {
  const deadline = Date.now() + ms;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (Date.now() > deadline) assert.fail(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
}

test("the server's policy on content is in force", async () => {
  const response = await fetch(`${demo.url}/`);
  const policy = response.headers.get("content-security-policy");
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /require-trusted-types-for 'script'/);
});

test("the overview shows charts of the ledger, the host and ALL-USE that move", async () => {
  for (const title of ["Transfer latency", "CPU by mode", "Disk throughput", "Samples stored"]) {
    await chart(title).locator("canvas").waitFor();
  }
  const legend = chart("Requests answered").locator(".legend");
  await eventually("transfers are counted", async () => /transfer.*[1-9]/.test(await legend.innerText()));
  const canvas = chart("CPU by mode").locator("canvas");
  const picture = () => canvas.evaluate((c) => c.toDataURL());
  await page.mouse.move(5, 5);
  const first = await picture();
  await eventually("the chart moves", async () => (await picture()) !== first);
  await eventually("the stream is alive", async () => (await page.locator(".head .connection").innerText()).includes("live"));
});

test("charts stand still under the pointer and go on when it leaves", async () => {
  await chart("Load").locator(".canvas").hover();
  await page.locator(".motion.paused").waitFor();
  const picture = () => chart("CPU by mode").locator("canvas").evaluate((c) => c.toDataURL());
  const stamp = await page.locator(".strip dd").first().innerText();
  const held = await picture();
  await eventually("time goes on", async () => (await page.locator(".strip dd").first().innerText()) !== stamp);
  assert.equal(await picture(), held);
  await page.mouse.move(5, 5);
  await page.locator(".motion.live").waitFor();
});

test("a drag zooms all charts, the URL holds it, a double-click zooms out", async () => {
  const box = await chart("Load").locator(".u-over").boundingBox();
  await page.mouse.move(box.x + box.width * 0.5, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.8, box.y + 40, { steps: 5 });
  await page.mouse.up();
  await page.locator(".motion.zoomed").waitFor();
  assert.match(page.url(), /from=\d+.*to=\d+/);
  await page.mouse.dblclick(box.x + box.width * 0.5, box.y + 40);
  await page.locator(".motion.zoomed").waitFor({ state: "detached" });
  await page.mouse.move(5, 5);
});

test("a change is marked on every chart and leads to its record", async () => {
  await page.getByRole("button", { name: "5m", exact: true }).click();
  const marks = chart("Transfer latency").locator(".lane .span");
  await marks.first().waitFor({ state: "attached" });
  assert.ok((await chart("Load").locator(".lane .span").count()) > 0);
  const id = await marks.first().getAttribute("data-change");
  assert.match(await marks.first().getAttribute("title"), new RegExp(`^Change ${id}, `));
  await page.locator(`.page-lane .span[data-change="${id}"]`).focus();
  await page.keyboard.press("Enter");
  await page.locator(`.entry[data-change="${id}"] .details`).waitFor();
  assert.match(page.url(), new RegExp(`#/tuning\\?.*change=${id}`));
});

test("explore answers an expression typed with autocomplete", async () => {
  await page.keyboard.press("/");
  const field = page.getByRole("combobox", { name: "PromQL expression" });
  await field.waitFor();
  await eventually("the field has the focus", () => field.evaluate((f) => f === document.activeElement));
  await page.keyboard.type("node_cpu_sec");
  await page.getByRole("option", { name: /node_cpu_seconds_total/ }).waitFor();
  await page.keyboard.press("Enter");
  await eventually("the metric is put in", async () => (await field.inputValue()) === "node_cpu_seconds_total");
  await page.keyboard.type("{mo");
  await page.getByRole("option", { name: /^mode/ }).waitFor();
  await page.keyboard.press("Tab");
  await page.getByRole("option", { name: /^idle/ }).waitFor();
  await page.keyboard.type("us");
  await page.getByRole("option", { name: /^user/ }).waitFor();
  await page.keyboard.press("Enter");
  await page.keyboard.press("End");
  await page.keyboard.type("}");
  assert.equal(await field.inputValue(), 'node_cpu_seconds_total{mode="user"}');
  await page.keyboard.press("Enter");
  await page.locator("table.values tbody tr").first().waitFor();
  await chart("Range").locator("canvas").waitFor();
  assert.match(decodeURIComponent(page.url()), /expr=node_cpu_seconds_total/);
});

test("an error of an expression is shown with its position", async () => {
  expectedStatus.add(400);
  const field = page.getByRole("combobox", { name: "PromQL expression" });
  await field.fill("rate(node_load1)");
  await page.getByRole("button", { name: "Run" }).click();
  const box = page.locator(".error-box");
  await box.waitFor();
  assert.match(await box.innerText(), /range vector/);
  assert.equal(await box.locator("mark").innerText(), "n");
  expectedStatus.delete(400);
});

test("labels are shown as text, whatever they hold", async () => {
  const hostile = '<img src=x onerror="document.title=1">';
  await page.goto(`${demo.url}/#/explore?expr=${encodeURIComponent(`label_replace(up, "x", ${JSON.stringify(hostile)}, "", "")`)}`);
  const cell = page.locator("table.values .label", { hasText: "<img" }).first();
  await cell.waitFor();
  assert.equal(await page.locator("main img").count(), 0);
});

test("the tuning page shows knobs and a running trial", async () => {
  await page.goto(`${demo.url}/#/tuning`);
  const knob = page.locator('tr[data-knob="writer.group.size"]');
  await knob.waitFor();
  assert.match(await knob.innerText(), /1 – 256 log/);
  await knob.getByRole("img", { name: /baseline/ }).waitFor();
  await chart("minimize mean transfer latency").locator("canvas").waitFor();
  const running = page.getByRole("region", { name: "Running trial" });
  // A trial may end at any moment: everything about it is read at once.
  await eventually("a trial runs", async () => /change \d+[\s\S]*In force[\s\S]*\d+ of \d+[\s\S]*Evidence/.test(await running.innerText()), 60_000);
});

test("a proposal out of range gets the governor's typed refusal", async () => {
  expectedStatus.add(422);
  const form = page.getByRole("region", { name: "Propose a change" });
  await form.getByLabel("Knob").selectOption("writer.group.size");
  await form.getByLabel("Value").fill("100000");
  assert.match(await form.locator(".hint").innerText(), /1 – 256/);
  await form.getByRole("button", { name: "Propose" }).click();
  const ruling = form.locator(".ruling.refuse");
  await ruling.waitFor();
  assert.equal(await ruling.locator("code").innerText(), "out_of_range");
  expectedStatus.delete(422);
});

test("the red button stops everything at the second press, and is released", async () => {
  const status = () => get(demo.url, "/api/v1/loop/status");
  const running = await eventually("a trial runs", async () => (await status()).running, 60_000);
  const button = page.getByRole("button", { name: "Stop everything" });
  await button.focus();
  await page.keyboard.press("Enter");
  const again = page.getByRole("button", { name: "Press again to stop" });
  await again.waitFor();
  assert.equal((await status()).red_button, null, "one press does nothing");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Release" }).waitFor();
  assert.equal((await status()).red_button, "dashboard");
  await page.getByText("Pressed by dashboard").waitFor();
  await eventually("the running change is undone", async () => {
    const change = await get(demo.url, `/api/v1/loop/changes/${running.change}`);
    return change.state === "undone" && change.verified;
  });
  await page.locator(`.entry[data-change="${running.change}"][data-state="undone"]`).waitFor();
  await page.getByRole("button", { name: "Release" }).click();
  await button.waitFor();
  assert.equal((await status()).red_button, null);
});

test("an alert is shown, acknowledged and silenced", async () => {
  await page.goto(`${demo.url}/#/alerts`);
  await page.getByText("Nothing fires. Who is told").waitFor();
  const hostile = '<img src=x onerror="document.title=1">';
  const alert = { labels: { alertname: "Slow", x: hostile }, annotations: { summary: "It is slow." }, generatorURL: "javascript:alert(1)" };
  const headers = { "content-type": "application/json" };
  await fetch(`${demo.url}/api/v2/alerts`, { method: "POST", headers, body: JSON.stringify([alert]) });
  const row = page.locator("tr[data-alert]");
  await row.waitFor();
  assert.match(await row.innerText(), /firing[\s\S]*Slow[\s\S]*<img[\s\S]*It is slow/);
  assert.equal(await page.locator("main img, main a[href^=javascript]").count(), 0);
  await page.getByRole("button", { name: "Acknowledge Slow" }).click();
  await page.locator('tr[data-state="acknowledged"]').waitFor();
  await page.getByRole("button", { name: "Silence 2 h: Slow" }).click();
  await page.locator('tr[data-state="silenced"]').waitFor();
  await page.getByRole("button", { name: "End silence of Slow" }).click();
  await page.locator('tr[data-state="acknowledged"]').waitFor();
});

test("trust is set and shown", async () => {
  await page.goto(`${demo.url}/#/tuning`);
  await page.getByRole("radio", { name: /^approve/ }).click();
  await eventually("the server knows", async () => (await get(demo.url, "/api/v1/loop/status")).trust === "approve");
  await page.getByRole("radio", { name: /^autonomous/ }).click();
  await eventually("the server knows", async () => (await get(demo.url, "/api/v1/loop/status")).trust === "autonomous");
});

test("keys lead everywhere, and Escape leads out", async () => {
  await page.locator("main").focus();
  for (const [key, heading] of [["o", "Overview"], ["e", "Explore"], ["f", "Findings"], ["a", "Alerts"], ["t", "Tuning"]]) {
    await page.keyboard.press("g");
    await page.keyboard.press(key);
    await page.getByRole("heading", { level: 1, name: heading }).waitFor({ state: "attached" });
    assert.match(await page.title(), new RegExp(heading));
  }
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog", { name: "Keys" }).waitFor({ state: "hidden" });
});

test("the theme changes, charts with it, and is remembered", async () => {
  await page.goto(`${demo.url}/#/overview`);
  const canvas = chart("Load").locator("canvas");
  await canvas.waitFor();
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await background();
  await page.getByRole("button", { name: "Dark theme" }).click();
  await eventually("the page is dark", async () => (await background()) !== light);
  await page.reload();
  await page.locator('html[data-theme="dark"]').waitFor();
  await page.getByRole("button", { name: "Theme of the system" }).click();
  await page.locator('html[data-theme="light"]').waitFor();
});

test("nothing serious is wrong for people who use other means", async () => {
  const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  for (const colorScheme of ["light", "dark"]) {
    const open = await browser.newContext({ bypassCSP: true, colorScheme, viewport: { width: 1280, height: 900 } });
    open.setDefaultTimeout(PATIENCE);
    const checked = await open.newPage();
    for (const [path, ready] of [["overview", "canvas"], ["tuning", "tr[data-knob]"], ["findings", ".page-findings"], ["alerts", "tr[data-alert]"], ["health", ".page-health table"], ["explore?expr=up", "table.values"]]) {
      await checked.goto(`${demo.url}/#/${path}`);
      await checked.locator(ready).first().waitFor();
      await checked.evaluate(axe);
      const found = await checked.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
      const serious = found.violations
        .filter((v) => v.impact === "serious" || v.impact === "critical")
        .map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target.join(" ")} (${n.any[0]?.message ?? ""})`).join("; ")}`);
      assert.deepEqual(serious, [], `${path}, ${colorScheme}`);
    }
    await open.close();
  }
});

test("pages fit a small phone", async () => {
  await page.setViewportSize({ width: 360, height: 740 });
  for (const path of ["overview", "tuning", "findings", "alerts", "health", "explore?expr=up"]) {
    await page.goto(`${demo.url}/#/${path}`);
    await page.locator("main h2, main input").first().waitFor();
    const wide = await page.evaluate(() => {
      if (document.documentElement.scrollWidth <= 360) return [];
      const all = [...document.querySelectorAll("body *")].filter((e) => !e.closest(".scroll, .canvas, .page-lane, .lane"));
      return all.filter((e) => e.getBoundingClientRect().right > 361).map((e) => `${e.tagName}.${e.className}`);
    });
    assert.deepEqual(wide, [], `${path} is wider than the screen`);
  }
});

test("no violation of the policy, no error, no request to another origin", () => {
  assert.deepEqual(offences, []);
});
