/**
 * What commands print in terminals of four widths, from reports of real runs, compared with files
 * that were read line by line. `deno task golden` writes them again.
 */
import { strictEqual } from "node:assert/strict";
import { cleanupReportLines } from "../../lib/cli/run/run_cleanup.ts";
import { initReportLines } from "../../lib/cli/print/init_report_lines.ts";
import { cutoverResultLines } from "../../lib/cli/print/cutover_result_lines.ts";
import { statusLines } from "../../lib/cli/print/status_lines.ts";
import { validationLines } from "../../lib/cli/print/validation_lines.ts";
import { verifyLines } from "../../lib/cli/print/verify_lines.ts";
import { failureLines } from "../../lib/cli/print/failure.ts";
import { initPlanLines } from "../../lib/cli/print/init_plan_lines.ts";
import { jobLines, jobListLines } from "../../lib/cli/print/job_lines.ts";
import { syncLines, syncPlanLines } from "../../lib/cli/print/sync_lines.ts";
import {
  ExitCode,
  InterruptedError,
  ReplicatorError,
  type RunEvent,
  UsageError,
} from "../../lib/core/internal.ts";
import { fitLines, initialProgress, reduce, render, type TableOptions } from "../../lib/ui/mod.ts";

const folder = new URL(".", import.meta.url);
const widths = [60, 80, 120, 200] as const;

async function sample(name: string) {
  const file = new URL(`../formats/samples/${name}-report.json`, folder);
  return JSON.parse(await Deno.readTextFile(file));
}

/** A report or plan of a run for these files, which no earlier version has written. */
async function own(name: string) {
  return JSON.parse(await Deno.readTextFile(new URL(`samples/${name}.json`, folder)));
}

const init = await sample("init");
const initPlan = await own("init-plan");
const sync = await own("sync-report");
const syncPlan = await own("sync-plan");
const jobs = await own("jobs");
/** Reports and plans of one cutover. */
const cutoverJobs = [
  ["cutover-prepare", { action: "prepare" }],
  ["cutover-status-prepared", { action: "status" }],
  ["cutover-rehearsal", { action: "rehearse" }],
  ["cutover-run", { action: "run" }],
  ["cutover-status-switched", { action: "status" }],
  ["cutover-rollback-plan", { action: "rollback", dry_run: true }],
] as const;
const cutovers: Record<string, (size: TableOptions) => readonly string[]> = {};
for (const [name, job] of cutoverJobs) {
  const result = await own(name);
  cutovers[name] = (size) => cutoverResultLines(job, result, size);
}
const screens: Readonly<Record<string, (size: TableOptions) => readonly string[]>> = {
  "init": (size) => initReportLines(init, size),
  "init-plan": (size) => initPlanLines(initPlan, size),
  "sync-plan": (size) => syncPlanLines(syncPlan, size),
  "sync": (size) => syncLines(sync, size),
  "jobs": (size) => [
    ...jobListLines(jobs, size),
    ...jobs.flatMap((job: Parameters<typeof jobLines>[0]) => ["", ...jobLines(job, size)]),
  ],
  ...cutovers,
  "failures": ({ color }) =>
    failures.flatMap((error) => [...failureLines(error, { color }), ""])
      // the form in which these tests were started
      .map((line) =>
        line.replace(/"(npx -y )?deno [^"]* help"/, '"postgres-seren-replicator help"')
      ),
  "live": (size) => liveFrames.flatMap((frame) => [...frame(size), ""]),
  ...await fromSample("validate", validationLines),
  ...await fromSample("status", statusLines),
  ...await fromSample("verify", verifyLines),
  ...await fromSample("cleanup", cleanupReportLines),
};

/** How commands end that fail: a refused login, a refused validation, Ctrl-C, wrong options. */
const failures: readonly Error[] = [
  new ReplicatorError('password authentication failed for user "app"', {
    side: "source",
    object: "app@db.example.com:5432/shop",
    details: [],
    remedy: "check the user and the password in the URL, in PGPASSWORD or in the password file",
    exitCode: ExitCode.sourceUnreachable,
  }),
  new ReplicatorError("2 prerequisites are not met; nothing was changed", {
    details: [
      'target: database "shop" is not empty: it has 3 tables (49.9 MB: orders, people, events)',
      "  → choose another name with --map shop=NEW_NAME, or drop its contents with --drop-existing",
      "source: wal_level is replica, and sync needs logical",
      "  → ALTER SYSTEM SET wal_level = logical, then restart the source",
    ],
    remedy: "fix what is listed, then run again; validate checks again",
    exitCode: ExitCode.prerequisite,
  }),
  new InterruptedError("interrupted"),
  new UsageError([
    { path: "--jobs", message: '"many" is not a whole number' },
    { path: "--source", message: "is missing; give --source URL or set SOURCE_URL" },
  ]),
];

const events: readonly RunEvent[] = (await Deno.readTextFile(
  new URL("../formats/samples/events.jsonl", folder),
)).trim().split("\n").map((line) => JSON.parse(line));

/** The live view while rows are copied, while indexes are built, and while rows are compared. */
const liveFrames = [
  frameAfter([
    ...until((event) => event.kind === "table-finished"),
    { kind: "table-progress", database: "shop", table: "people", bytes: 11_000 },
  ]),
  frameAfter(until((event) => event.kind === "step-progress" && event.step === "indexes")),
  frameAfter([
    { kind: "step-started", step: "compare-rows", database: "shop" },
    ...[1, 2].map((done): RunEvent => ({
      kind: "step-progress",
      step: "compare-rows",
      database: "shop",
      done,
      total: 4,
      current: "orders",
      bytes: done * 400e6,
      totalBytes: 1.6e9,
    })),
  ]),
];

/** The events up to the first that meets a condition. */
function until(isLast: (event: RunEvent) => boolean): readonly RunEvent[] {
  return events.slice(0, events.findIndex(isLast) + 1);
}

/** The live view after events that come every 400 milliseconds. */
function frameAfter(shown: readonly RunEvent[]) {
  const intervalMs = 400;
  const state = shown.reduce(
    (before, event, index) => reduce(before, event, (index + 1) * intervalMs),
    initialProgress(0),
  );
  const nowMs = (shown.length + 4) * intervalMs;
  return ({ columns, color }: TableOptions) => render(state, { columns, rows: 24, color, nowMs });
}

async function fromSample<Report>(
  name: string,
  print: (report: Report, size: TableOptions) => readonly string[],
) {
  const report = await sample(name) as Report;
  return { [name]: (size: TableOptions) => print(report, size) };
}

for (const [name, print] of Object.entries(screens)) {
  Deno.test(`${name} is printed as in its golden file, at every width`, async () => {
    const text = widths.map((columns) => {
      const lines = fitLines(print({ columns, color: false }), { columns });
      return `${`──── ${columns} columns `.padEnd(columns, "─")}\n${lines.join("\n")}\n`;
    }).join("\n");
    const file = new URL(`screens/${name}.txt`, folder);
    if (Deno.env.get("WRITE_GOLDEN") === "1") await Deno.writeTextFile(file, text);
    strictEqual(text, await Deno.readTextFile(file));
  });
}

Deno.test("colors are printed only where they are wanted", async () => {
  const size = { columns: 80, color: true };
  const lines = ["failures", "init-plan", "status", "live"].flatMap((name) => screens[name]!(size));
  const text = fitLines(lines, size).join("\n").replaceAll("\x1b", "␛");
  const file = new URL("screens/colors.txt", folder);
  if (Deno.env.get("WRITE_GOLDEN") === "1") await Deno.writeTextFile(file, `${text}\n`);
  strictEqual(`${text}\n`, await Deno.readTextFile(file));
});
