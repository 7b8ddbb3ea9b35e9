/** What the browser tests share: a page that notes every fault, and looks at what a page shows to machines. */

import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { launch, watch } from "./chromium.mjs";

export { launch };

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SERIOUS = new Set(["serious", "critical"]);

/** The service's address, its key and the id of its API's process; from the environment. */
export const service = {
  url: process.env.ISTHMUS_URL ?? "",
  key: process.env.ISTHMUS_API_KEY ?? "",
  apiPid: Number(process.env.ISTHMUS_API_PID),
};
const SHOTS = process.env.SCREENSHOTS;
if (SHOTS) mkdirSync(SHOTS, { recursive: true });

/** A page of its own cookies; `faults` gathers console errors, uncaught ones, and requests to another host. */
export async function open(browser, { width = 1280, theme = "light" } = {}) {
  const context = await browser.newContext({ colorScheme: theme, viewport: { width, height: 860 }, reducedMotion: "reduce" });
  const page = await context.newPage();
  const faults = watch(page, new URL(service.url).host);
  return { context, page, faults };
}

export async function enter(browser, options) {
  const opened = await open(browser, options);
  await opened.page.goto(`${service.url}/#token=${service.key}`);
  await opened.page.getByRole("heading", { level: 1 }).waitFor();
  return opened;
}

export async function go(page, hash) {
  await page.goto(`${service.url}/${hash}`);
  await page.getByRole("heading", { level: 1 }).first().waitFor();
  await page.waitForFunction(() => ![...document.querySelectorAll("main p")].some((text) => /^(Loading|Planning|Counting)/.test(text.textContent.trim())));
}

/** A request with the key, beside the browser. */
export async function api(method, path, body) {
  const answer = await fetch(service.url + path, {
    method,
    headers: { Authorization: `Bearer ${service.key}`, "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return JSON.parse(text);
}

export async function until(what, look, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** What a job's page tells machines: the figures' data attributes. */
export function read(page) {
  return page.evaluate(() => {
    const of = (selector) => document.querySelector(selector)?.dataset ?? {};
    const header = of("header[data-state]");
    const heatmap = of('[data-figure="importance"]');
    return {
      state: header.state ?? null,
      link: header.link ?? null,
      step: Number(header.step ?? 0),
      points: Number(of('[data-figure="loss"]').steps ?? 0),
      loss: Number(of('[data-figure="loss"]').lastLoss ?? NaN),
      cells: Number(heatmap.cells ?? 0),
      layers: Number(heatmap.layers ?? 0),
      events: Number(of("[data-events]").events ?? 0),
    };
  });
}

/** Serious accessibility findings, a line each. */
export async function audit(page) {
  // Pages of one document: what was put in once is still there.
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return violations
    .filter(({ impact }) => SERIOUS.has(impact))
    .map(({ id, nodes: [first, ...more] }) => `${id}: ${first.target} ${first.failureSummary} (and ${more.length} more)`);
}

/** Leaves a text beside the screenshots, for whoever started the tests. */
export function leave(name, text) {
  if (SHOTS) writeFileSync(join(SHOTS, name), text);
}

export async function shoot(page, name) {
  if (SHOTS) await page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true });
}
