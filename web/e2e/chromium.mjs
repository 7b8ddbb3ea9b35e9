/** The browser of the tests, and what no page may do in it. */

import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
}

/** Gathers console errors (policy violations are some), uncaught ones, and requests to another host. */
export function watch(page, host) {
  const faults = [];
  page.on("console", (line) => {
    if (line.type() === "error") faults.push(`console error: ${line.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`uncaught: ${error.message}`));
  const visit = (kind) => (request) => {
    if (new URL(request.url()).host !== host) faults.push(`${kind} to another host: ${request.url()}`);
  };
  page.on("request", visit("request"));
  page.on("websocket", visit("websocket"));
  return faults;
}
