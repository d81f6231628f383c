// How the dashboard is built: plain files the server embeds, nothing inlined (its policy on
// content forbids it), no request to anywhere else.
import { defineConfig } from "vitest/config";

const server = process.env.ALLUSE_URL ?? "http://127.0.0.1:9400";

const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
  "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'";

export default defineConfig({
  base: "/",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    // The polyfill would be inline code of no use: every browser that can run this has it.
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  // `vite preview` shows the built page under the policy the server sends (crates/alluse/src/ui.rs).
  preview: { headers: { "content-security-policy": policy } },
  server: { proxy: { "/api": server, "/metrics": server } },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
