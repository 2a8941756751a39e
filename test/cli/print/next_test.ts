/** The command that each command ends with. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { selectionFlags } from "../../../lib/cli/run/interactive.ts";
import { nextAfterInit } from "../../../lib/cli/run/run_init.ts";
import { nextOfJob } from "../../../lib/cli/run/run_jobs.ts";
import { nextCommandLine } from "../../../lib/cli/print/next_command.ts";
import { noTableRules } from "../../../lib/rules/internal.ts";

Deno.test("after init comes verify, or the command that applies changes", () => {
  strictEqual(nextAfterInit({ isReplicated: false, applier: undefined }), "verify");
  strictEqual(nextAfterInit({ isReplicated: true, applier: "subscription" }), "verify");
  strictEqual(nextAfterInit({ isReplicated: true, applier: "client" }), "sync");
  strictEqual(nextAfterInit({ isReplicated: true, applier: undefined }), "status");
});

Deno.test("a selection in the terminal becomes options of the next command", () => {
  const flags = selectionFlags({
    databases: { include: ["shop", '"odd name"'], exclude: [], map: {} },
    rules: {
      ...noTableRules,
      exclude: [{
        pattern: { database: ["shop"], schema: ["public"], table: ["My Orders"] },
        origin: { from: "flag", path: "--interactive" },
      }],
    },
  });
  deepStrictEqual(flags, [
    "--include-databases=shop",
    '--include-databases="odd name"',
    '--exclude-tables=shop.public."My Orders"',
  ]);
  match(
    nextCommandLine("verify", ["init", "--interactive", ...flags], { withRules: true }),
    / verify --include-databases=shop '--include-databases="odd name"' '--exclude-tables=shop\.public\."My Orders"'$/,
  );
});

Deno.test("a job that runs is followed, one that has ended is read", () => {
  strictEqual(nextOfJob({ id: "1", finished_at: null }), "jobs attach 1");
  strictEqual(nextOfJob({ id: "1", finished_at: "2026-01-01T00:00:00Z" }), "jobs logs 1");
});

Deno.test("the next command is given only options that it accepts", () => {
  const args = ["init", "--map", "a=b", "--include-databases", "a", "--exclude-tables", "a.t"];
  match(nextCommandLine("status", args, { withRules: true }), / status --include-databases a$/);
  match(nextCommandLine("cutover status", args), / status --map a=b --include-databases a$/);
});

Deno.test("the service of a command belongs to the next one", () => {
  const args = ["jobs", "list", "--remote", "https://jobs.example", "--state", "failed"];
  match(nextCommandLine("jobs logs 1", args), / jobs logs 1 --remote https:\/\/jobs\.example$/);
  const keys = ["keys", "create", "--database=postgres://h/jobs", "--owner", "a"];
  match(nextCommandLine("keys list", keys), / keys list --database=postgres:\/\/h\/jobs$/);
});
