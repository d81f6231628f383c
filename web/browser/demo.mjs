// The real thing, for the tests: `alluse demo` as a child process, and Chromium to look at it.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** Until the demo must have printed its address, ms: it measures the ledger first. */
const START_MS = 90_000;

/** Starts the demo; resolves with its address and how to end it. */
export async function startDemo(options = []) {
  const binary = process.env.ALLUSE_BIN;
  if (!binary) throw new Error("ALLUSE_BIN names no binary: ALLUSE_BIN=../target/debug/alluse npm run test:browser");
  if (!existsSync(binary)) throw new Error(`there is no ${binary}: build it with \`cargo build -p alluse\``);
  const child = spawn(binary, ["demo", "--listen", "127.0.0.1:0", "--duration", "10m", "--seed", "1", ...options], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = new Promise((resolve) => child.once("exit", (code) => resolve(code)));
  const stop = async () => {
    child.kill("SIGINT");
    return ended;
  };
  let said = "";
  try {
    const url = await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no address within ${START_MS} ms:\n${said}`)), START_MS);
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`the demo ended with ${code}:\n${said}`)));
      child.stderr.on("data", (chunk) => {
        said += chunk;
        const address = /Dashboard: (http:\/\/\S+)/.exec(said)?.[1];
        if (!address) return;
        clearTimeout(timer);
        resolve(address);
      });
    });
    return { url, stop, said: () => said };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Headless Chromium that talks to nobody but the page's server. */
export async function startBrowser() {
  if (!existsSync(CHROMIUM)) {
    throw new Error(`${CHROMIUM} is missing. Install it with \`apt-get install chromium\`, or set CHROMIUM to one.`);
  }
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** Asks the API. */
export async function get(url, path) {
  const response = await fetch(url + path);
  return response.json();
}
