/**
 * The page of `init --report` in a browser: it loads nothing, does not overflow, and is accessible.
 */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { renderInitReport, type ReportView } from "../../lib/ui/html_report.ts";
import {
  accessibilityProblems,
  complaints,
  findChromium,
  openBrowser,
} from "../support/browser.ts";

const chromium = await findChromium();

const server = {
  url: "postgresql://me@old.example.com/app",
  version: "15.18",
  encrypted: true,
  provider: "Amazon RDS",
};
const names = Array.from({ length: 60 }, (_, i) => `customer_orders_of_region_${i}`);
const tables = names.map((name, i) => ({
  schema: "public",
  name,
  rows: i * 1000,
  bytes: i * 3e6,
  ms: i * 300,
  ...(i % 7 === 0 ? { earlier: true as const } : {}),
  ...(i === 14 ? { uncounted: true as const } : {}),
}));
const report: ReportView = {
  plan: {
    source: server,
    target: { ...server, version: "18.4", provider: "Neon" },
    jobs: 4,
    indexJobs: 2,
    dumpTool: "embedded pg_dump 18",
    bytes: 6e9,
    predictedMs: 120000,
    warnings: ["wal_level is replica"],
    databases: [{
      source: "app",
      target: "app",
      action: "resume" as const,
      largeObjects: 0,
      bytes: 6e9,
      tables: names.map((name, i) => ({
        schema: "public",
        name,
        bytes: i * 4e6,
        parts: 1 + i % 3,
        format: "text" as const,
        whyText: "column mood app.mood",
      })),
    }],
  },
  databases: [{ source: "app", target: "app", tables, ms: 130000 }],
  steps: [["globals", 300, 500], ["dump", 2000, 2600], ["schema", 3000, 2500], [
    "data",
    100000,
    90000,
  ], ["indexes", 10000, 30000]].map(([step, predictedMs, ms], i) => ({
    step: String(step),
    startMs: 1000 * i,
    ms: Number(ms),
    predictedMs: Number(predictedMs),
    ...(step === "indexes" ? { failed: true as const } : { summary: "done as planned" }),
  })),
  warnings: [{ message: "left as it is", object: "role postgres", side: "target" as const }],
  timeline: names.flatMap((
    label,
    i,
  ) => [{
    database: "app",
    work: "copy" as const,
    lane: 1 + i % 4,
    label,
    startMs: 1000 + Math.floor(i / 4) * 6000,
    ms: 5800,
    bytes: i * 3e6,
  }, {
    database: "app",
    work: "index" as const,
    lane: 1 + i % 2,
    label: `${label}_pkey`,
    startMs: 7000 + Math.floor(i / 2) * 3000,
    ms: 2500,
  }]),
  governor: [{
    database: "app",
    about: "speed" as const,
    message: "limited to 50.0 MB/s by --max-rate",
    startMs: 900,
  }, {
    database: "app",
    about: "locks" as const,
    message:
      "3 sessions wait on the source for locks that the copy holds, 12.0 s so far: pid 4711 of app (ALTER TABLE on customer_orders_of_region_3), with 2 more queued behind it",
    startMs: 40000,
  }, {
    database: "app",
    about: "snapshot" as const,
    message:
      "the copy's snapshot is 10,000,000 transactions old: since then VACUUM has not been able to remove dead rows anywhere on the source server",
    startMs: 80000,
  }],
  retries: Array.from(
    { length: 6 },
    (_, i) => ({
      what: `copying the tables of app (session ${1 + i % 4})`,
      reason:
        "the connection ended unexpectedly during COPY of table customer_orders_of_region_3 2/5",
      attempt: 1 + i % 3,
      delayMs: 200 * 2 ** i,
      startMs: 5000 * i,
    }),
  ),
  rows: 1770000,
  bytes: 5.3e9,
  ms: 140000,
  failure:
    "target, INDEX public.customer_orders_of_region_9_pkey: could not create unique index (SQLSTATE 23505)\n  Detail: Key (id)=(1) is duplicated.\n  → remove the cause and run the same command again",
};

Deno.test({
  name:
    "the page of a run that was resumed, retried and failed displays correctly on wide and narrow screens, light and dark" +
    (chromium === undefined ? " (skipped: no Chromium is installed)" : ""),
  ignore: chromium === undefined,
  // the browser's operations and resources
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    const file = await Deno.makeTempFile({ prefix: "psr-page-", suffix: ".html" });
    const browser = await openBrowser(chromium!);
    try {
      const generatedAt = new Date("2026-01-24T10:11:12Z");
      await Deno.writeTextFile(file, renderInitReport(report, { generatedAt, toolVersion: "1" }));
      for (const colorScheme of ["light", "dark"] as const) {
        for (const width of [360, 1280]) {
          const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme });
          const requests: string[] = [];
          page.on("request", (request) => void requests.push(request.url()));
          const found = complaints(page);
          await page.goto(pathToFileURL(file).href);
          const wider = await page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth",
          );
          strictEqual(wider, 0, `${width} ${colorScheme}`);
          deepStrictEqual(await accessibilityProblems(page), []);
          deepStrictEqual(found, []);
          deepStrictEqual(requests, [pathToFileURL(file).href]);
          // the long table's filter
          await page.fill("input[type=search]", "region_14");
          strictEqual(await page.locator(".long tbody tr:visible").count(), 1);
          await page.close();
        }
      }
    } finally {
      await browser.close();
      await Deno.remove(file);
    }
  },
});
