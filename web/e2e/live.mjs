/** Opens the dashboard in a real browser, follows a job, and says what was seen as one line of JSON.
 *
 *   node e2e/live.mjs --url http://127.0.0.1:8000/#token=KEY --job ftjob-... --until succeeded --screenshot out.png
 *
 * Exits with 1 and a sentence on stderr when something a person would miss is not there. */

import { parseArgs } from "node:util";

import { launch, watch } from "./chromium.mjs";

const { values: options } = parseArgs({
  options: {
    url: { type: "string" },
    job: { type: "string" },
    until: { type: "string", default: "succeeded" },
    screenshot: { type: "string" },
    theme: { type: "string", default: "light" },
    width: { type: "string", default: "1280" },
    timeout: { type: "string", default: "75" },
  },
});
const DEADLINE = Date.now() + Number(options.timeout) * 1000;

class Missing extends Error {}

function need(condition, message) {
  if (!condition) throw new Missing(message);
}

/** What the page exposes for machines: the figures' data attributes. */
function read(page) {
  return page.evaluate(() => {
    const number = (selector, key) => Number(document.querySelector(selector)?.dataset[key] ?? 0);
    const header = document.querySelector("header[data-state]");
    return {
      job: header?.dataset.job ?? null,
      state: header?.dataset.state ?? null,
      link: header?.dataset.link ?? null,
      step: Number(header?.dataset.step ?? 0),
      loss_points: number('[data-figure="loss"]', "steps"),
      last_loss: number('[data-figure="loss"]', "lastLoss"),
      heatmap_steps: number('[data-figure="importance"]', "steps"),
      heatmap_cells: number('[data-figure="importance"]', "cells"),
      layers: number('[data-figure="importance"]', "layers"),
      events: number("[data-events]", "events"),
      error: document.querySelector("[data-error]")?.textContent?.trim() ?? null,
    };
  });
}

/** How many different colours the heatmap's canvas holds: a blank one has one or none. */
function coloursDrawn(page) {
  return page.evaluate(() => {
    const canvas = document.querySelector('[data-figure="importance"] .plot canvas');
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Set();
    for (let at = 0; at < data.length; at += 4) if (data[at + 3]) seen.add((data[at] << 16) | (data[at + 1] << 8) | data[at + 2]);
    return seen.size;
  });
}

async function follow(page) {
  let first = null;
  for (;;) {
    const seen = await read(page);
    if (seen.loss_points > 0) first ??= seen;
    // The first frame tells how the job ended; all its steps must be drawn when the replay ends.
    const over = ["succeeded", "failed", "cancelled"].includes(seen.state);
    const ended = over && seen.link === "ended" && seen.loss_points === seen.step;
    const grown = first !== null && (ended || seen.loss_points > first.loss_points);
    // A job may end before a page that waits for "running" looks: its points are proof enough.
    const there = over ? ended && ["running", seen.state].includes(options.until) : seen.state === options.until;
    if (grown && there) return { first, seen };
    need(!ended || seen.state === options.until, `the job ended as ${seen.state}, not ${options.until}: ${seen.error}`);
    need(Date.now() < DEADLINE, `not ${options.until} in time; last seen: ${JSON.stringify(seen)}`);
    await page.waitForTimeout(150);
  }
}

async function main() {
  need(options.url && options.job, "--url and --job are needed");
  const browser = await launch();
  try {
    const page = await browser.newPage({
      colorScheme: options.theme,
      viewport: { width: Number(options.width), height: 900 },
      deviceScaleFactor: 2,
    });
    const faults = watch(page, new URL(options.url).host);
    const answer = await page.goto(options.url);
    need(answer?.ok(), `the page answered ${answer?.status()}`);
    const policy = answer.headers()["content-security-policy"] ?? null;
    const entry = page.locator(`a[data-job="${options.job}"]`);
    await entry.waitFor({ timeout: 15_000 }).catch(() => need(false, `the jobs list does not show ${options.job}`));
    need(!page.url().includes("token"), `the key is still in the address: ${page.url()}`);
    const cookies = await page.context().cookies();
    need(cookies.some((cookie) => cookie.httpOnly && cookie.sameSite === "Strict"), "no HttpOnly, SameSite=Strict cookie");
    await entry.click();
    await page.locator(`header[data-job="${options.job}"]`).waitFor({ timeout: 15_000 });

    const { first, seen } = await follow(page);
    need(seen.heatmap_cells > 0 && seen.heatmap_cells >= first.heatmap_cells, "the heatmap has no cells");
    need(seen.heatmap_steps === seen.loss_points, `${seen.heatmap_steps} heatmap steps, ${seen.loss_points} loss points`);
    need(Number.isFinite(seen.last_loss) && seen.last_loss !== 0, `the last loss reads ${seen.last_loss}`);
    const colours = await coloursDrawn(page);
    need(colours > 2, "the heatmap's canvas is blank");
    if (options.screenshot) await page.screenshot({ path: options.screenshot, fullPage: true });
    need(faults.length === 0, faults.join("; "));
    console.log(JSON.stringify({ steps: seen.loss_points, ...seen, first_loss_points: first.loss_points, colours, policy, faults }));
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(error instanceof Missing ? error.message : error);
  process.exitCode = 1;
});
