/**
 * Files of the previous version can still be read. `samples/` was written by commit f75062d: an
 * `init` that was interrupted after one of its two tables, and the reports of a replication of
 * both.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { readLedger, readStateDocument } from "../../lib/checkpoint/internal.ts";
import { initReportLines } from "../../lib/cli/print/init_report_lines.ts";
import { validationLines } from "../../lib/cli/print/validation_lines.ts";
import { statusLines } from "../../lib/cli/print/status_lines.ts";
import { verifyLines } from "../../lib/cli/print/verify_lines.ts";
import { cleanupReportLines } from "../../lib/cli/run/run_cleanup.ts";
import { prometheusMetrics } from "../../lib/commands/internal.ts";
import type { RunEvent } from "../../lib/core/internal.ts";
import { openSession } from "../../lib/postgres/internal.ts";
import { readJobSpec } from "../../lib/remote/mod.ts";
import { renderInitReport } from "../../lib/ui/html_report.ts";
import { jsonLines } from "../../lib/ui/mod.ts";
import { renderVerifyReport } from "../../lib/ui/verify_report.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withDatabase } from "../support/databases.ts";
import { endpointOf } from "../support/init.ts";
import { exec } from "../support/sql.ts";

const target = await sharedCluster(17);
const options = { columns: 100, color: false };

async function sample(name: string): Promise<string> {
  return await Deno.readTextFile(new URL(`samples/${name}`, import.meta.url));
}

// deno-lint-ignore no-explicit-any -- whether a report of another version still has this type is what the test checks
async function report(name: string): Promise<any> {
  return JSON.parse(await sample(name));
}

Deno.test("the state file of a run is read, including the remaining work", async () => {
  const text = await sample("state.json");
  const { operation, ends } = JSON.parse(text);
  const state = readStateDocument(text, { operation, ends, place: "state.json" });
  deepStrictEqual(state.databases, [{ source: "shop", target: "shop", state: "waiting" }]);
  deepStrictEqual(state.scope.databases, { shop: "shop" });
  strictEqual(state.finished, false);
});

Deno.test("a ledger in the target is read, with the finished and the unfinished table", async () => {
  await withDatabase(target, undefined, async ({ url }) => {
    await exec(url, await sample("ledger.sql"));
    await using session = await openSession(await endpointOf(url, "target"));
    const ledger = await readLedger(session);
    strictEqual(ledger.complete, false);
    strictEqual(ledger.dumpTool, "embedded pg_dump 18 (chosen by --dump-tool)");
    strictEqual(ledger.decisions["public.people"], "copied");
    deepStrictEqual(ledger.generations.map(({ number, lsn }) => [number, lsn]), [[1, "0/1F08358"]]);
    const [table, ...others] = ledger.tables;
    deepStrictEqual([table?.schema, table?.name, others], ["public", "orders", []]);
  });
});

Deno.test("job specifications keep their meaning", async () => {
  for (const { input, spec } of await report("job-specs.json")) {
    const reading = readJobSpec(input);
    deepStrictEqual(reading.problems, []);
    deepStrictEqual(JSON.parse(JSON.stringify(reading.spec)), spec);
  }
});

Deno.test("reports are printed and rendered", async () => {
  const init = await report("init-report.json");
  match(initReportLines(init, options).join("\n"), /shop/);
  const now = { generatedAt: new Date(0), toolVersion: "0.1.0" };
  match(renderInitReport(init, now), /public\.orders|orders/);
  const verify = await report("verify-report.json");
  strictEqual(verify.verdict, "different");
  match(verifyLines(verify, options).join("\n"), /people/);
  match(renderVerifyReport(verify, now), /people/);
  ok(validationLines(await report("validate-report.json"), options).length > 5);
  match(statusLines(await report("status-report.json"), options).join("\n"), /shop/);
  match(cleanupReportLines(await report("cleanup-report.json"), options).join("\n"), /removed/);
});

Deno.test("metrics of a status keep their names, labels and values", async () => {
  const values = (text: string) => text.split("\n").filter((line) => !line.startsWith("#"));
  deepStrictEqual(
    values(prometheusMetrics(await report("status-report.json"))),
    values(await sample("status-metrics.txt")),
  );
});

Deno.test("events are logged as lines", async () => {
  const lines: string[] = [];
  using log = jsonLines({
    writeLine: (line) => void lines.push(line),
    level: "debug",
    date: () => new Date(0),
  });
  const events = (await sample("events.jsonl")).trim().split("\n");
  for (const line of events) log.take(JSON.parse(line) as RunEvent);
  ok(lines.length > 10);
});
