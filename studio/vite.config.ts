import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { defineConfig } from "vite";

/** SHA-256 over the sources, in the order of their names: a test tells by it when the built page is stale. */
function sources(): string {
  const names = [...readdirSync("src").map((name) => `src/${name}`), "index.html", "package-lock.json"];
  const hash = createHash("sha256");
  for (const name of names.sort()) hash.update(`${name}\n`).update(readFileSync(name));
  return hash.digest("hex");
}

export default defineConfig({
  base: "./", // the server may be reached under a path
  build: {
    outDir: "../src/happyhorse/serve/http/studio",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    assetsInlineLimit: 0,
  },
  plugins: [
    {
      name: "sources",
      transformIndexHtml: () => [
        { tag: "meta", attrs: { name: "sources", content: sources() }, injectTo: "head" },
      ],
    },
  ],
  server: { proxy: { "^/(v1|studio|files)/": process.env.HAPPYHORSE ?? "http://127.0.0.1:8000" } },
});
