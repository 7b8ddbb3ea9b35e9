/** The build is small: every file of it together, as it is sent. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

const DIST = new URL("../dist/", import.meta.url).pathname;
const MOST_BYTES = 120_000;

test("the build is under 120 kB gzipped in all", () => {
  const files = readdirSync(DIST, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const sizes = files.map((entry) => gzipSync(readFileSync(join(entry.parentPath, entry.name))).length);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  console.log(`build: ${total} bytes gzipped in ${files.length} files`);
  assert.ok(files.length >= 3 && total < MOST_BYTES, `${total} bytes`);
});

test("the page holds no inline script or style, which the policy would refuse", () => {
  const html = readFileSync(join(DIST, "index.html"), "utf8");
  assert.doesNotMatch(html, /<style|style=|\son\w+=|<script(?![^>]*\ssrc=)/);
});
