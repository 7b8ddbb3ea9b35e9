import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

const API = process.env.ISTHMUS_URL ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: "es2022",
    // The page's policy forbids data: addresses and inline script, so everything is a file of its own.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      "/v1": { target: API, ws: true },
      "/session": API,
      "/health": API,
    },
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
