/** The dashboard in a real browser, against a running service: `ISTHMUS_URL`, `ISTHMUS_API_KEY`, `ISTHMUS_API_PID`. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { api, enter, go, launch, leave, open, read, service, shoot, until } from "./browser.mjs";
import { conversations, create, createLong, MODEL, upload } from "./training.mjs";

const DATA = conversations(48);
const NAME = `a program ${Date.now()}`;

let browser;
let training;
let held;

before(async () => {
  browser = await launch();
  training = await upload("numbers.jsonl", DATA);
  held = await upload("held.jsonl", conversations(6));
});

after(() => browser.close());

test("one signs in with a key or a link, and out again", async () => {
  const { page, context, faults } = await open(browser);
  const answer = await page.goto(service.url);
  const policy = answer.headers()["content-security-policy"];
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe/);
  await page.getByLabel("API key").fill("isk-wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").getByText("was not accepted").waitFor();
  await shoot(page, "sign-in");

  await page.getByLabel("API key").fill(service.key);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Jobs", level: 1 }).waitFor();
  const cookie = (await context.cookies()).find(({ name }) => name === "isthmus_session");
  assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, "Strict"]);

  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("API key").waitFor();
  const status = await page.evaluate(async () => (await fetch("/v1/models")).status);
  assert.equal(status, 401);

  await page.goto(`${service.url}/#token=${service.key}`);
  await page.getByRole("heading", { name: "Jobs", level: 1 }).waitFor();
  assert.ok(!page.url().includes("token"), "the key is still in the address");
  // Another site's page cannot use the cookie: the service asks where a change comes from.
  const forged = await fetch(`${service.url}/v1/fine_tuning/jobs`, {
    method: "POST",
    headers: { Cookie: `isthmus_session=${cookie.value}`, Origin: "https://elsewhere.example", "Content-Type": "application/json" },
    body: "{}",
  });
  assert.equal(forged.status, 403);
  // A browser writes each refusal into its console by itself: the wrong key and the look after signing out.
  assert.deepEqual(faults.filter((fault) => !fault.includes("401")), []);
  await context.close();
});

test("a file is checked, a job is made in the form and watched to its end", async () => {
  const { page, context, faults } = await enter(browser);
  await page.getByRole("link", { name: "New job" }).first().click();
  const input = page.locator('input[type="file"]').first();
  await input.setInputFiles({ name: "broken.jsonl", mimeType: "application/jsonl", buffer: Buffer.from('{"messages": []}\nnot json') });
  const refusal = page.getByRole("alert").filter({ hasText: "cannot be used" });
  await refusal.getByText(/line 2: not valid JSON/).waitFor();
  assert.equal(faults.splice(0).filter((fault) => !fault.includes("400")).length, 0);
  await shoot(page, "new-refused");

  await input.setInputFiles({ name: "chats.jsonl", mimeType: "application/jsonl", buffer: DATA });
  await page.getByText("48 rows of the format chat").waitFor();
  assert.equal(await refusal.count(), 0);
  await page.getByLabel("Base model").fill(MODEL);
  await page.getByLabel("Epochs").fill("3");
  await page.getByLabel("Batch size").fill("2");
  await page.getByLabel("Suffix").fill("form");
  await page.getByLabel("Metadata").fill("team=web");
  await page.locator("summary", { hasText: "Adapter" }).click();
  await page.getByLabel("DoRA").check();
  await page.getByLabel("Modules").fill("q_proj, v_proj");
  await page.locator("summary", { hasText: "Adapter" }).getByText("2 changed").waitFor();
  await page.getByLabel("Validation file", { exact: true }).selectOption(held);
  await page.locator("summary", { hasText: "Evaluation" }).click();
  for (const [label, value] of [["Rows to answer", "6"], ["Tokens an answer", "8"], ["Validation interval", "20"]]) await page.getByLabel(label).fill(value);
  await page.getByLabel("rouge_l").check();
  await page.locator("[data-verdict=fits]").waitFor();
  await page.getByText(/Tokens a row/).waitFor();
  for (const [name, words] of [["openai", "extra_body"], ["isthmus", "client.jobs.create"], ["CLI", "--eval-rows 6"], ["curl", '"team": "web"']]) {
    await page.getByText(name, { exact: true }).click();
    const code = await page.locator(`[data-code="${name}"]`).textContent();
    assert.ok(code.includes(words), code);
    leave(`code.${name}`, code);
  }
  await shoot(page, "new");
  await page.getByRole("button", { name: "Create job" }).click();

  await page.locator("header[data-job]").waitFor();
  const seen = new Set();
  await until("the job has succeeded", async () => {
    const now = await read(page);
    seen.add(now.points);
    assert.notEqual(now.state, "failed");
    return now.state === "succeeded" && now.link === "ended" && now.points === now.step;
  });
  const last = await read(page);
  assert.ok(last.points > 20 && Number.isFinite(last.loss) && last.layers > 0, JSON.stringify(last));
  // A column a step: as many as there are steps means that none is missing.
  assert.equal(last.cells, last.points * last.layers);
  assert.ok(last.events >= 4);
  await page.getByRole("link", { name: "adapter/adapter_model.safetensors" }).waitFor();
  await page.getByRole("heading", { name: "The model is ready" }).waitFor();
  await shoot(page, "job-succeeded");
  assert.deepEqual(faults, []);
  await context.close();
});

test("the charts are looked at: time, log scale, zoom, layers of an earlier step", async () => {
  const { page, context, faults } = await enter(browser);
  const jobs = (await api("GET", "/v1/fine_tuning/jobs?state=succeeded")).data;
  await go(page, `#/jobs/${jobs.find((job) => job.step >= 30).id}`);
  await page.locator('[data-figure="loss"] canvas').waitFor();
  await page.getByText("time", { exact: true }).click();
  await page.getByLabel("log scale").check();
  await page.getByText("steps", { exact: true }).first().click();
  await page.getByLabel("to step").fill("20");
  await page.getByLabel("to step").press("Enter");
  await page.getByRole("button", { name: /show all/ }).waitFor();
  assert.equal((await read(page)).cells, 20 * (await read(page)).layers);
  await page.getByRole("application").focus();
  await page.keyboard.press("ArrowLeft");
  await page.getByRole("application").getByText(/Step 19 · layer \d+ · score .* · chance \d+ %/).waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Layers at step 19" }).waitFor();
  await page.getByRole("button", { name: "back to now" }).click();
  await page.getByRole("button", { name: /show all/ }).click();
  const over = page.locator('[data-figure="loss"] .u-over');
  await over.scrollIntoViewIfNeeded();
  const box = await over.boundingBox();
  await page.mouse.move(box.x + box.width * 0.3, box.y + 60);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.6, box.y + 60, { steps: 5 });
  await page.mouse.up();
  await page.getByRole("button", { name: /show all/ }).waitFor();
  assert.deepEqual(faults, []);
  await context.close();
});

test("a running job is followed through the death of the API, without a gap or a reload, and cancelled", async () => {
  const { page, context, faults } = await enter(browser);
  await page.evaluate(() => {
    globalThis.kept = true;
    globalThis.delays = [];
    new PerformanceObserver((list) => globalThis.delays.push(...list.getEntries().filter(({ name }) => name === "step-to-pixel").map(({ duration }) => duration))).observe({ type: "measure" });
  });
  const job = await createLong({ suffix: "long" });
  await page.evaluate((id) => (location.hash = `#/jobs/${id}`), job.id);
  await until("ten steps are drawn", async () => (await read(page)).points >= 10);
  const delays = await until("twenty draws were timed", async () => {
    const found = await page.evaluate(() => globalThis.delays);
    return found.length >= 20 && found.sort((a, b) => a - b);
  });
  console.log(`step to pixel: median ${Math.round(delays[delays.length >> 1])} ms, p90 ${Math.round(delays[Math.floor(delays.length * 0.9)])} ms of ${delays.length} draws`);
  await shoot(page, "job-running");
  process.kill(service.apiPid, "SIGKILL");
  await until("the page says that it is cut off", async () => (await read(page)).link !== "live", 20);
  const before = (await read(page)).points;
  await until("it follows again", async () => {
    const { link, points } = await read(page);
    return link === "live" && points > before + 10;
  });
  const now = await read(page);
  assert.equal(await page.evaluate(() => globalThis.kept), true);
  // The heatmap has a column a step while there is room for it.
  if (now.points < 500) assert.equal(now.cells, now.points * now.layers);
  await page.getByRole("button", { name: `Pause ${job.id}` }).click();
  await until("it is paused", async () => (await read(page)).state === "paused");
  await page.getByRole("button", { name: `Resume ${job.id}` }).click();
  await page.getByRole("button", { name: `Cancel ${job.id}` }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Keep it running" }).click();
  await page.getByRole("button", { name: `Cancel ${job.id}` }).click();
  await dialog.getByRole("button", { name: "Cancel job" }).click();
  await page.getByRole("heading", { name: "The job was cancelled" }).waitFor({ timeout: 30_000 });
  // What a browser says by itself of an address that does not answer is no fault of the page.
  const others = faults.filter((fault) => !/net::ERR_|WebSocket connection|50[0-9]/.test(fault));
  assert.deepEqual(others, []);
  await context.close();
});

test("the list is filtered and acted on in place", async () => {
  const { page, context, faults } = await enter(browser);
  const first = await createLong({ suffix: "placed", metadata: { team: "list" } });
  await page.locator(`li[data-job="${first.id}"]`).waitFor();
  await page.getByLabel("State").selectOption("succeeded");
  await page.locator(`li[data-job="${first.id}"]`).waitFor({ state: "detached" });
  await page.locator("li[data-state=succeeded]").first().waitFor();
  assert.match(page.url(), /state=succeeded/);
  await page.getByLabel("State").selectOption("");
  await page.getByLabel("Metadata as key=value").fill("team=list");
  await until("only one is left", async () => (await page.locator("li[data-job]").count()) === 1);
  await page.getByLabel("Search id, suffix or model").fill("nothing-is-called-so");
  await page.getByRole("heading", { name: "No job is like this" }).waitFor();
  await page.getByRole("button", { name: "Clear the filters" }).click();
  await page.getByRole("button", { name: `Cancel ${first.id}` }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel job" }).click();
  await page.locator(`li[data-job="${first.id}"][data-state=cancelled]`).waitFor();
  await shoot(page, "jobs");
  assert.deepEqual(faults, []);
  await context.close();
});

test("jobs are compared by step, time and tokens", async () => {
  const { page, context, faults } = await enter(browser);
  const jobs = [];
  for (const share of [0.25, 0.75]) jobs.push(await create(training, { suffix: `share-${share * 100}`, seed: 1, hyperparameters: { n_epochs: 2, batch_size: 4 }, ist: { update_fraction: share } }));
  for (const { id } of jobs) await until("the job is done", async () => (await api("GET", `/v1/fine_tuning/jobs/${id}`)).state === "succeeded");
  for (const { id } of jobs) await page.getByRole("checkbox", { name: new RegExp(id) }).check();
  await page.getByRole("link", { name: "Compare 2 jobs" }).click();
  await page.locator('[data-figure="compare"][data-lines="2"] canvas').waitFor();
  for (const axis of ["time", "tokens", "steps"]) await page.getByText(axis, { exact: true }).click();
  const table = page.getByRole("table");
  assert.equal(await page.locator("[data-table=setting]").getAttribute("data-rows"), "1");
  assert.match(await table.textContent(), /ist\.update_fraction\s*0\.25\s*0\.75/);
  await page.getByText("data: numbers.jsonl").waitFor();
  await shoot(page, "compare");
  assert.deepEqual(faults, []);
  await context.close();
});

test("a key is made, shown once, rotated and revoked; a file that is used says so", async () => {
  const { page, context, faults } = await enter(browser);
  await go(page, "#/keys");
  await page.getByLabel("Name").fill(NAME);
  await page.getByRole("button", { name: "Make a key" }).click();
  const key = await page.locator(".made code").textContent();
  assert.match(key, /^isk-/);
  await page.getByRole("button", { name: `Rotate ${NAME}` }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("The one of now").selectOption("works for an hour more");
  await dialog.getByRole("button", { name: "Rotate", exact: true }).click();
  const rotated = await dialog.locator("code").textContent();
  assert.match(rotated, /^isk-/);
  assert.notEqual(rotated, key);
  await dialog.getByRole("button", { name: "Hide" }).click();
  await until("both are listed", async () => (await page.getByRole("row", { name: NAME }).count()) === 2);
  for (const one of [key, rotated]) assert.equal((await fetch(`${service.url}/v1/models`, { headers: { Authorization: `Bearer ${one}` } })).status, 200);
  await page.getByRole("button", { name: `Revoke ${NAME}` }).first().click();
  await dialog.getByRole("button", { name: "Revoke", exact: true }).click();
  await page.getByRole("row", { name: NAME }).getByText("revoked").waitFor();
  await go(page, "#/files");
  await page.getByRole("row", { name: /numbers\.jsonl/ }).getByRole("link", { name: /share-|long|placed/ }).first().waitFor();
  await go(page, "#/models");
  await page.getByRole("link", { name: `Train ${MODEL}`, exact: true }).waitFor();
  assert.deepEqual(faults, []);
  await context.close();
});
