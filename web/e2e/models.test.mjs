/** What is done with a tuned model: judged by its samples, talked to, taken away. Needs what dashboard.test.mjs needs. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { api, enter, go, launch, leave, shoot, until } from "./browser.mjs";
import { conversations, create, judged, upload } from "./training.mjs";

let browser;
/** A job that has a model, and samples of it: the one that another journey made, else one of its own. */
let job;

before(async () => {
  browser = await launch();
  job = (await judged()) ?? (await train());
});

after(() => browser.close());

async function train() {
  const [data, held] = [await upload("numbers.jsonl", conversations(48)), await upload("held.jsonl", conversations(6))];
  const evaluation = { interval: 5, rows: 6, scores: ["exact_match", "rouge_l"], max_new_tokens: 8 };
  await create(data, { suffix: "judged", validation_file: held, evaluation, hyperparameters: { n_epochs: 2, batch_size: 4 } });
  return until("a job with samples has succeeded", judged);
}

test("a job shows what both models answered, and what that is worth", async () => {
  const { page, context, faults } = await enter(browser);
  await go(page, `#/jobs/${job.id}`);
  const card = page.locator("[data-samples]");
  await card.locator("tr[data-row]").first().waitFor();
  const { rows, scores } = job.evaluation;
  assert.equal(await card.locator("tr[data-row]").count(), rows);
  for (const name of ["exact match", "rouge l", "validation loss", "token accuracy"]) await page.locator(`[data-change="${name}"]`).waitFor();
  const right = scores.exact_match.after * rows;
  await card.getByText("wrong", { exact: true }).click();
  await until("only wrong answers are left", async () => (await card.getAttribute("data-samples")) === String(Math.round(rows - right)));
  await card.getByText("all", { exact: true }).click();
  await card.getByLabel("marked by").selectOption("rouge_l");
  const { data } = await api("GET", `/v1/fine_tuning/jobs/${job.id}/samples?only=improved&score=rouge_l`);
  await card.getByText("improved", { exact: true }).click();
  await until("only better answers are left", async () => (await card.getAttribute("data-samples")) === String(data.length));
  await card.getByText("all", { exact: true }).click();
  assert.match(await page.locator('[data-figure="loss"]').getAttribute("data-held"), /valid_loss/);
  await page.locator('[data-figure="accuracy"] canvas').waitFor();
  await shoot(page, "samples");
  assert.deepEqual(faults, []);
  await context.close();
});

test("base and tuned model answer side by side, token by token, until they are stopped", async () => {
  const { page, context, faults } = await enter(browser);
  await go(page, `#/jobs/${job.id}`);
  await page.getByRole("link", { name: "Try it", exact: true }).click();
  await page.getByLabel("Message").waitFor();
  assert.equal(await page.getByLabel("Model", { exact: true }).inputValue(), job.fine_tuned_model);
  await page.getByLabel("Temperature").fill("3");
  await page.getByLabel("Message").fill("Say 7.");
  await page.keyboard.press("Enter");
  assert.equal(await page.getByLabel("Temperature").evaluate((input) => input.matches(":invalid:focus")), true);
  assert.equal(await page.locator("[data-standing]").count(), 0);
  await page.getByLabel("Temperature").fill("0");
  await page.getByLabel("At most tokens").fill("24");
  await page.getByLabel("Message").fill("Say 7.");
  await page.evaluate(() => {
    globalThis.lengths = [new Set(), new Set()];
    new MutationObserver(() => {
      [...document.querySelectorAll("[data-standing]")].slice(0, 2).forEach((answer, side) => globalThis.lengths[side].add(answer.querySelector(".text")?.textContent.length ?? 0));
    }).observe(document.body, { childList: true, characterData: true, subtree: true });
  });
  for (const [name, words] of [["openai", "client.chat.completions.create"], ["CLI", "isthmus chat"], ["curl", "Say 7."]]) {
    await page.getByText(name, { exact: true }).click();
    const code = await page.locator(`[data-code="${name}"]`).textContent();
    assert.ok(code.includes(words), code);
    leave(`chat.${name}`, code);
  }
  await page.getByLabel("Message").press("Enter");
  await until("both have answered", async () => (await page.locator("[data-standing=done]").count()) === 2);
  await page.getByLabel(`Tuned: ${job.fine_tuned_model}`).getByText(/\d+\stokens?/).waitFor();
  const lengths = await page.evaluate(() => globalThis.lengths.map((seen) => seen.size));
  assert.ok(Math.max(...lengths) > 3, `texts of so many lengths were seen: ${lengths}`);
  await shoot(page, "playground");

  // The second turn is long, so that there is something to stop; a sampled answer may end by itself before.
  await page.getByLabel("At most tokens").fill("300");
  await page.getByLabel("Message").fill("Go on");
  await page.keyboard.press("Enter");
  await page.locator("[data-standing=writing]").first().waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Send" }).waitFor();
  assert.ok((await page.locator("[data-standing=stopped]").count()) > 0, "nothing was stopped");

  // More than the model's window is the service's to refuse, in words, for both.
  await page.getByLabel("Message").fill("word ".repeat(600));
  await page.getByRole("button", { name: "Send" }).click();
  await until("both refuse", async () => (await page.locator("[data-standing=failed] [role=alert]").count()) === 2);
  assert.match(await page.locator("[data-standing=failed]").first().textContent(), /window/);
  await page.getByRole("button", { name: "New conversation" }).click();
  assert.equal(await page.locator("[data-standing]").count(), 0);
  // The browser itself writes a line into its console for each refusal.
  assert.deepEqual(faults.filter((fault) => !fault.includes("400")), []);
  await context.close();
});

test("a model is exported, its check is told, and it is downloaded and deleted", async () => {
  const { page, context, faults } = await enter(browser);
  await go(page, "#/models");
  await page.getByRole("button", { name: `Take away ${job.fine_tuned_model}` }).click();
  await page.getByRole("button", { name: `Make it: GGUF Q8_0 of ${job.fine_tuned_model}` }).click();
  const row = page.locator("[data-export=gguf_q8_0]");
  await row.getByText(/check passed: the same next token at \d+ % of/).waitFor({ timeout: 60_000 });
  const link = page.getByRole("link", { name: `Download GGUF Q8_0 of ${job.fine_tuned_model}` });
  const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
  assert.match(download.suggestedFilename(), /\.gguf$/);
  assert.equal(await download.failure(), null);
  await page.locator("summary", { hasText: "Model card" }).click();
  await page.locator("pre", { hasText: "tuned with Isthmus" }).waitFor();
  await until("its pictures are there", () => page.locator("details img").evaluateAll((pictures) => pictures.length > 0 && pictures.every((picture) => picture.naturalWidth > 0)));
  await shoot(page, "exports");
  await page.getByRole("button", { name: `Delete GGUF Q8_0 of ${job.fine_tuned_model}` }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete", exact: true }).click();
  await page.locator("[data-export=gguf_q8_0][data-status=none]").waitFor();
  assert.deepEqual(faults, []);
  await context.close();
});
