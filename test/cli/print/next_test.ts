/** The command that each command ends with. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { selectionFlags } from "../../../lib/cli/run/interactive.ts";
import { commandNotes } from "../../../lib/cli/print/command_notes.ts";
import { fitCommand } from "../../../lib/cli/print/fit_command.ts";
import { remedyCommands } from "../../../lib/cli/print/remedy_commands.ts";
import { commandLine, commandToResume } from "../../../lib/cli/print/resume_command.ts";
import { omitOptions, withSelection } from "../../../lib/cli/print/run_arguments.ts";
import { startedAs } from "../../../lib/cli/print/started_as.ts";
import { nextAfterVerify } from "../../../lib/cli/run/run_verify.ts";
import { nextAfterInit } from "../../../lib/cli/run/run_init.ts";
import { nextOfJob } from "../../../lib/cli/run/run_jobs.ts";
import { nextCommandLine } from "../../../lib/cli/print/next_command.ts";
import type { VerifyReport } from "../../../lib/commands/shared/verify_report.ts";
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
    nextCommandLine("verify", withSelection(["init", "--interactive"], flags)),
    / verify --include-databases=shop '--include-databases="odd name"' '--exclude-tables=shop\.public\."My Orders"'$/,
  );
});

Deno.test("a job that runs is followed, one that has ended is read", () => {
  strictEqual(nextOfJob({ id: "1", finished_at: null }), "jobs attach 1");
  strictEqual(nextOfJob({ id: "1", finished_at: "2026-01-01T00:00:00Z" }), "jobs logs 1");
});

Deno.test("the next command is given only options that it accepts", () => {
  const args = ["init", "--map", "a=b", "--include-databases", "a", "--exclude-tables", "a.t"];
  match(nextCommandLine("status", args), / status --include-databases a$/);
  match(nextCommandLine("cutover status", args), / status --map a=b --include-databases a$/);
});

Deno.test("the service of a command belongs to the next one", () => {
  const args = ["jobs", "list", "--remote", "https://jobs.example", "--state", "failed"];
  match(nextCommandLine("jobs logs 1", args), / jobs logs 1 --remote https:\/\/jobs\.example$/);
  const keys = ["keys", "create", "--database=postgres://h/jobs", "--owner", "a"];
  match(nextCommandLine("keys list", keys), / keys list --database=postgres:\/\/h\/jobs$/);
});

const bare = (command: string) => command.slice(startedAs().join(" ").length + 1);
const next = (...given: Parameters<typeof nextCommandLine>) => bare(nextCommandLine(...given));
const remedies = (remedy: string, args: readonly string[]) =>
  remedyCommands(remedy, args).map(bare);

const rules = [
  ["--include-tables", "app.*"],
  ["--exclude-tables=app.audit"],
  ["--schema-only-tables", "app.log"],
  ["--table-filter", "app.users:password = 'x'"],
  ["--time-filter", "app.events:at:6 months"],
].flat();
const rulesShown = "--include-tables 'app.*' --exclude-tables=app.audit " +
  "--schema-only-tables app.log --table-filter 'app.users:password = '\\''x'\\''' " +
  "--time-filter 'app.events:at:6 months'";

Deno.test("a remedy for the command that failed keeps its rules and settings, not its consent", () => {
  const init = [
    ...["init", "--enable-sync", "--source", "s", "--replica-identity", "full", "-yj4"],
    ...["--apply-from=here", "--drop-existing", "--json", "--dry-run"],
  ];
  strictEqual(
    remedies("start over with init --enable-sync --no-resume", [...init, ...rules])[0],
    `init --enable-sync --no-resume --source s --replica-identity full -j 4 --apply-from=here ` +
      rulesShown,
  );
  // a remedy that needs it names it
  strictEqual(
    remedies("then init --enable-sync --drop-existing again", [...init, ...rules])[0],
    `init --enable-sync --drop-existing --source s --replica-identity full -j 4 ` +
      `--apply-from=here ${rulesShown}`,
  );
  const sync = ["sync", "--resnapshot", "app.a", "--source-from-target", "s2", "--yes", ...rules];
  deepStrictEqual(remedies("run sync --retry", sync), [
    `sync --retry --source-from-target s2 ${rulesShown}`,
  ]);
  strictEqual(next("sync", sync), `sync --source-from-target s2 ${rulesShown}`);
  deepStrictEqual(
    remedies("run cutover run again", ["cutover", "run", "--max-pause", "5s", "--source", "s"]),
    ["cutover run --max-pause 5s --source s"],
  );
});

Deno.test("every command that takes rules is given those of the current one", () => {
  for (const from of ["validate", "init", "sync", "verify"]) {
    for (const to of ["validate", "init", "sync", "verify"]) {
      strictEqual(next(to, [from, ...rules]), `${to} ${rulesShown}`);
    }
  }
});

Deno.test("the copy after a check is given what was checked, and never --drop-existing", () => {
  const args = [
    ...["validate", "--for-sync", "--replica-identity", "full", "--apply-from=here"],
    ...["--drop-existing", "--dump-tool", "auto", "--pg-bin=/opt/bin", "--jobs", "2"],
  ];
  const tools = "--dump-tool auto --pg-bin=/opt/bin --jobs 2";
  strictEqual(
    next("init --enable-sync", args),
    `init --enable-sync --replica-identity full --apply-from=here ${tools}`,
  );
  // init refuses the options of replication without --enable-sync
  strictEqual(next("init", args), `init ${tools}`);
  strictEqual(next("cutover prepare", ["sync", "--slot-timeout", "1s"]), "cutover prepare");
});

Deno.test("a command that ran here although a service is known leads to one that runs here", () => {
  const args = ["init", "--local", "--source", "s", "--workers", "1"];
  strictEqual(next("verify", args), "verify --local --source s");
  strictEqual(next("cleanup", args), "cleanup --source s");
});

Deno.test("an attempt that resumes repeats the selection, drops nothing, and asks nothing that was answered", () => {
  const args = withSelection(
    [
      ...["init", "--interactive", "--no-resume", "-y", "--dry-run", "--max-rate", "1MB"],
      "--drop-existing",
    ],
    ["--include-databases=app"],
  );
  strictEqual(
    bare(commandToResume(args)),
    "init -y --dry-run --max-rate 1MB --include-databases=app",
  );
  deepStrictEqual(omitOptions(args, ["dryRun"]).slice(0, 3), ["init", "--no-resume", "-y"]);
});

Deno.test("a password is hidden, which a line below says; a condition is shown as it is", () => {
  const args = ["init", "--source", "postgresql://me:secret@old/app", ...rules];
  const command = bare(commandLine(args));
  strictEqual(command, `init --source 'postgresql://me:***@old/app' ${rulesShown}`);
  deepStrictEqual(commandNotes([command], args), [
    "(*** stands for a password; or leave out --source and set SOURCE_URL)",
  ]);
  deepStrictEqual(commandNotes(["verify"], ["init", ...rules]), []);
});

Deno.test("a command that knows no rules says where they belong", () => {
  const note = ["(add the rules for tables and rows that init was given, if any)"];
  deepStrictEqual(commandNotes(["deno task start verify"], ["status"]), note);
  deepStrictEqual(commandNotes(["deno task start sync --retry"], ["cutover", "run"]), note);
  deepStrictEqual(commandNotes(["deno task start cleanup --source init"], ["status"]), []);
  deepStrictEqual(commandNotes(["verify"], ["status", "--config", "a.toml"]), []);
});

Deno.test("of a sequence all commands are printed, or none", () => {
  const args = ["init", "--enable-sync"];
  deepStrictEqual(
    remedies(
      "run cleanup first, which also removes its slot on the source; then init --enable-sync --drop-existing again",
      args,
    ),
    ["cleanup", "init --enable-sync --drop-existing"],
  );
  deepStrictEqual(
    remedies("run cleanup first, which also removes its slot; or init --enable-sync", args),
    ["cleanup", "init --enable-sync"],
  );
  deepStrictEqual(remedies("start replication first: init --enable-sync, then sync", ["status"]), [
    "init --enable-sync",
    "sync",
  ]);
  deepStrictEqual(remedies("compare with verify, then cutover prepare", ["cutover", "run"]), [
    "verify",
    "cutover prepare",
  ]);
  deepStrictEqual(remedies("run cleanup, then sync --resnapshot TABLES", args), []);
});

Deno.test("a job that continues is attached to where it runs; its remedies name no servers", () => {
  const remedy = "jobs attach 0198-ab shows it again";
  deepStrictEqual(remedies(remedy, ["init", "--remote", "https://jobs.example", "--source=s"]), [
    "jobs attach 0198-ab --remote https://jobs.example",
  ]);
  deepStrictEqual(remedies("run sync --retry", ["jobs", "attach", "0198-ab"]), []);
});

Deno.test("verify leads to the repair of rows step by step, and to itself for the structure", () => {
  const report = (
    rows: boolean,
    repair?: { readonly applied: boolean; readonly rows: number; readonly statements: string[] },
  ) => {
    const tables = [{ differences: [], more: rows }];
    const databases = [{ live: true, tables }] as unknown as VerifyReport["databases"];
    return nextAfterVerify({ verdict: "different", databases, ...(repair && { repair }) });
  };
  strictEqual(report(true)?.command, "verify --repair --dry-run");
  const repair = { applied: false, rows: 1, statements: ["DELETE"] };
  strictEqual(report(true, repair)?.command, "verify --repair");
  strictEqual(report(true, { ...repair, applied: true })?.command, "verify");
  deepStrictEqual(report(false), {
    command: "verify",
    label: "Next, once the causes are removed: ",
  });
  // the SQL of a repair has values
  strictEqual(
    next("verify --repair --dry-run", ["verify", "--no-values", "--report", "r.md"]),
    "verify --repair --dry-run",
  );
});

Deno.test("an escaped quote does not end a word", () => {
  const command = "psr verify --table-filter $'a:b = \\'\\u000a\\' c' --source s";
  strictEqual(
    fitCommand(command, { columns: 20 }).map((line) => line.replace(/ \\$/, "").trim()).join(" "),
    command,
  );
});
