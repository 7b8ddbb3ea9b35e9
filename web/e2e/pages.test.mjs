/** Every page as it looks to machines: accessible, no wider than a phone, and gone through by keyboard. After the other journeys. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { api, audit, enter, go, launch, shoot } from "./browser.mjs";
import { createLong, judged, stop } from "./training.mjs";

let browser;

before(async () => {
  browser = await launch();
});

after(() => browser.close());

test("every page stands an audit, in both themes, and has no width to spare on a phone", async () => {
  const running = await createLong({ suffix: "audit" });
  const job = await judged();
  const { data: done } = await api("GET", "/v1/fine_tuning/jobs?state=succeeded&limit=3");
  const pages = {
    jobs: "#/jobs",
    job: `#/jobs/${job.id}`,
    "job-live": `#/jobs/${running.id}`,
    new: `#/new?from=${job.id}`,
    playground: `#/playground?model=${job.fine_tuned_model}`,
    compare: `#/compare?jobs=${done.map(({ id }) => id).join(",")}`,
    files: "#/files",
    models: `#/models?model=${job.fine_tuned_model}`,
    keys: "#/keys",
    workers: "#/workers",
    nowhere: "#/nowhere",
  };
  for (const [theme, width] of [["light", 1280], ["dark", 1280], ["light", 390]]) {
    const { page, context, faults } = await enter(browser, { theme, width });
    for (const [name, hash] of Object.entries(pages)) {
      await go(page, hash);
      await page.waitForTimeout(100);
      await shoot(page, `${name}-${theme}-${width}`);
      assert.deepEqual(await audit(page), [], `${name}, ${theme}, ${width}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${name} is ${wide} px too wide at ${width}`);
    }
    assert.deepEqual(faults, []);
    await context.close();
  }
  await stop(running.id);
});

test("the keyboard alone gets to the content and to every page", async () => {
  const { page, context } = await enter(browser);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  await page.getByRole("link", { name: "Files" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Files", level: 1 }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  await context.close();
});
