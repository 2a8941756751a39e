import {
  displayName,
  ExitCode,
  formatBytes,
  formatCount,
  formatDuration,
  plural,
} from "../../core/internal.ts";
import { demo, type DemoNarrator, type DemoReport } from "../../commands/demo/demo.ts";
import { makeStyle, printable, renderTable, wrap } from "../../ui/mod.ts";
import type { CommandContext, CommandRunner } from "../context.ts";
import { resolveDemoOptions } from "../options/demo_options.ts";
import { printJson, printLines, tableOptions } from "../print/print.ts";
import { commandLine } from "../print/resume_command.ts";
import { initPlanLines } from "../print/init_plan_lines.ts";
import { initReportLines } from "../print/init_report_lines.ts";
import { validationLines } from "../print/validation_lines.ts";

const maxJobs = 8;
const maxTables = 15;
const widestText = 100;

/**
 * `demo`: narrates on stderr, with progress; with `--json` also prints the report on stdout.
 */
export const runDemo: CommandRunner = async (reader, context) => {
  const { terminal, output, progress, run, resolve } = context;
  const options = resolveDemoOptions(reader);
  const report = await demo({
    ...options,
    jobs: Math.max(1, Math.min(maxJobs, resolve.cpuCount)),
    tools: { dump: "auto", binDirectory: undefined, environment: resolve.environment },
    now: resolve.now.toISOString(),
    narrator: narrate(context),
  }, run);
  progress.pause();
  if (output.json) printJson(terminal, report);
  else terminal.stdout.write(nextSteps(terminal.stdout.color));
  return ExitCode.success;
};

/** Shows on stderr what a user of the commands would see. */
function narrate({ terminal: { stderr }, output, progress }: CommandContext): DemoNarrator {
  const style = makeStyle(stderr.color);
  const options = tableOptions(stderr);
  if (output.logFormat === "json") return silent;
  const print = (lines: readonly string[]) => {
    progress.pause();
    printLines(stderr, lines);
  };
  return {
    chapter: (title) => print(["", style.bold(style.cyan(`── ${title} `.padEnd(60, "─")))]),
    say: (text) => print(wrap(text, Math.min(options.columns - 1, widestText))),
    validated: (report) => print(validationLines(report, options)),
    planned: (plan) => print(initPlanLines(plan, options)),
    copied: (report) => print(initReportLines(report, options)),
    following: ({ bytes, committed, running }) =>
      print([
        `  ${running ? style.green("●") : style.red("○ stopped")} ${
          style.cyan(formatBytes(bytes).padStart(running ? 16 : 8))
        } behind after ${plural(committed, "transaction")} ${
          style.dim("▏".padEnd(1 + lagBar(bytes), "█"))
        }`,
      ]),
    switched: ({ direction, pauseMs, waitMs }) =>
      print([
        `  ${style.green("✓")} ${
          direction === "run" ? "to the new server" : "back to the old server"
        }: writers waited ${
          formatDuration(pauseMs)
        }; the longest time between two commits of a user was ${formatDuration(waitMs)}`,
      ]),
    cleaned: (report) =>
      print([
        ...report.removed.map(({ side, kind, name }) =>
          `  ${style.green("✓")} ${side}: ${kind} ${printable(name)}`
        ),
        "",
        `${
          style.green("✓")
        } Slots, publications, subscriptions and records are removed on both sides; the rows stay.`,
      ]),
    compared: (comparison) => print(comparisonLines(comparison, options)),
  };
}

/** Each character stands for a third more bytes, so that 1 kB to 100 MB fit on a line. */
function lagBar(bytes: number): number {
  return Math.max(
    0,
    Math.min(40, Math.round(Math.log(Math.max(1, bytes / 1024)) / Math.log(4 / 3))),
  );
}

const silent: DemoNarrator = {
  chapter() {},
  say() {},
  validated() {},
  planned() {},
  copied() {},
  following() {},
  switched() {},
  compared() {},
  cleaned() {},
};

function comparisonLines(
  { tables, kinds, equal }: DemoReport["comparison"],
  options: ReturnType<typeof tableOptions>,
): string[] {
  const style = makeStyle(options.color);
  const sign = (good: boolean) => good ? style.green("✓ equal") : style.red("✗ DIFFERS");
  const rows = tables.reduce((sum, { sourceRows }) => sum + sourceRows, 0);
  const shown = tables.filter((table, index) => index < maxTables || !table.equal);
  return [
    ...renderTable(
      [
        { title: "Table", narrow: "cut" },
        { title: "Old", align: "right" },
        { title: "New", align: "right" },
        { title: "Rows and values" },
      ],
      shown.map((table) => [
        printable(displayName(table)),
        formatCount(table.sourceRows),
        table.targetRows === undefined ? "missing" : formatCount(table.targetRows),
        sign(table.equal),
      ]),
      options,
    ),
    ...(shown.length < tables.length
      ? [style.dim(`and ${plural(tables.length - shown.length, "smaller table")}, all equal`)]
      : []),
    "",
    ...renderTable(
      [
        { title: "Objects" },
        { title: "Old", align: "right" },
        { title: "New", align: "right" },
        { title: "" },
      ],
      kinds.map(({ kind, source, target }) => [
        kind,
        formatCount(source),
        formatCount(target),
        sign(source === target),
      ]),
      options,
    ),
    "",
    equal
      ? `${style.green("✓")} ${plural(rows, "row")} in ${
        plural(tables.length, "table")
      } are equal, value by value.`
      : style.red("✗ Source and target differ."),
  ];
}

function nextSteps(color: boolean): string {
  const style = makeStyle(color);
  return `
${style.bold("With your own servers:")}
  export SOURCE_URL=postgresql://user:password@old.example.com/app
  export TARGET_URL=postgresql://user:password@new.example.com/app
  ${commandLine(["validate"])}
  ${commandLine(["init", "--enable-sync"])}

README.md continues from here.
`;
}
