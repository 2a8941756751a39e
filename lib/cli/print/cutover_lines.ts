import { describeStatistics } from "../../copy/internal.ts";
import { formatDuration, plural, type Side, stepTitle } from "../../core/internal.ts";
import type {
  CutoverFinishPlan,
  CutoverFinishReport,
  CutoverPhase,
  CutoverPreparePlan,
  CutoverPrepareReport,
  CutoverRehearsal,
  CutoverStatusReport,
  CutoverSwitchPlan,
  CutoverSwitchReport,
  PreflightFinding,
  SideStatements,
  SwitchStep,
} from "../../commands/cutover/report.ts";
import { countingSide, describeRefusals, refusalsRemedy } from "../../cutover/internal.ts";
import { makeStyle, printable, renderTable, type Style, type TableOptions } from "../../ui/mod.ts";

const inUse: Readonly<Record<CutoverPhase, string>> = {
  none: "source",
  preparing: "source",
  prepared: "source",
  closing: "none: both are closed",
  switched: "target",
  returning: "none: both are closed",
  finished: "target",
  contradictory: "not known",
};

/** `cutover status`: every database, alarms and what prevents the next step. */
export function cutoverStatusLines(
  { databases, next }: CutoverStatusReport,
  options: TableOptions,
): string[] {
  const style = makeStyle(options.color);
  return [
    ...renderTable(
      [
        { title: "Source", narrow: "cut" },
        { title: "Target", narrow: "cut" },
        { title: "Phase" },
        { title: "In use" },
        { title: "Tables", align: "right" },
        { title: "Way back" },
        { title: "Since (UTC)" },
      ],
      databases.map(({ source, target, phase, since, tables, wayBack }) => [
        printable(source),
        printable(target),
        paintPhase(phase, style),
        phase === "none" && !next.includes("cutover prepare") ? "not known" : inUse[phase],
        phase === "none" ? "" : String(tables),
        phase === "none" ? "" : phase === "finished" || !wayBack ? "no" : "yes",
        since?.slice(0, 19).replace("T", " ") ?? "",
      ]),
      options,
    ),
    ...databases.flatMap(({ source, tripwire }) =>
      tripwire.map(({ schema, name, change, lsn, committedAt }) =>
        style.red(
          `✗ ${printable(source)}: ${change} of ${
            printable(`${schema}.${name}`)
          } on the closed side, committed ${
            committedAt.slice(0, 19).replace("T", " ")
          } UTC (${lsn})`,
        )
      )
    ),
    ...databases.flatMap(({ source, phase, refusedWrites }) => {
      const side = countingSide(phase);
      return side === undefined || !refusedWrites ? [] : [
        `${style.yellow("!")} ${printable(source)}: ${describeRefusals(refusedWrites, side)}`,
        style.dim(`  → ${refusalsRemedy(side)}`),
      ];
    }),
    ...databases.flatMap(({ findings }) => findingLines(findings, style)),
    ...(next.includes("cleanup")
      ? [
        `${style.green("✓")} the cutover is finished: the target is in use. ` +
        "The fence and the records on the source remain until cleanup removes them",
      ]
      : []),
  ];
}

function paintPhase(phase: CutoverPhase, style: Style): string {
  if (phase === "closing" || phase === "returning" || phase === "contradictory") {
    return style.red(phase);
  }
  if (phase === "preparing") return style.yellow(phase);
  return phase === "none" ? style.dim(phase) : style.green(phase);
}

/** What `cutover prepare` will do. */
export function preparePlanLines(
  { databases, warnings }: CutoverPreparePlan,
  options: TableOptions,
): string[] {
  const style = makeStyle(options.color);
  return [
    ...databases.flatMap(({ source, target, tables, streams, wayBack, notCarried }) => [
      style.bold(titleOf(source, target)),
      `  fence of ${
        plural(tables, "table")
      } on both sides: open on the source, closed on the target`,
      `  tokens in ${streams.map(printable).join(", ")}`,
      wayBack
        ? "  way back: a subscription of the source, stopped until the cutover"
        : style.yellow("  no way back: rollback will not be possible"),
      ...(notCarried.length === 0 ? [] : [
        style.yellow(`  not replicated: ${notCarried.map(printable).join(", ")}`),
      ]),
    ]),
    ...findingLines(warnings, style),
    "",
    "The source stays in use. Clients wait only briefly, while each table gets its triggers.",
  ];
}

/** What `cutover prepare` did. */
export function cutoverPreparedLines(
  { databases, ms }: CutoverPrepareReport,
  { color }: TableOptions,
): string[] {
  const style = makeStyle(color);
  return databases.map(({ source, target, tables, wayBack, statistics }) =>
    `${style.green("✓")} ${titleOf(source, target)}: ${plural(tables, "table")}, ${
      wayBack === null ? "no way back" : `way back ${wayBack}`
    }${statistics === undefined ? "" : `; statistics: ${describeStatistics(statistics)}`}`
  ).concat(`Prepared in ${formatDuration(ms)}. The target refuses writes from now on.`);
}

/** What a rehearsal measured. */
export function rehearsalLines(
  { databases, predictedPauseMs, maxPauseMs, isRefused }: CutoverRehearsal,
  options: TableOptions,
): string[] {
  const style = makeStyle(options.color);
  const withBrownout = databases.some(({ brownoutMs, blockers }) =>
    brownoutMs !== null || blockers.length > 0
  );
  return [
    ...renderTable(
      [
        { title: "Database", narrow: "cut" },
        { title: "Changes arrive in", align: "right" },
        { title: "99% within", align: "right" },
        { title: "Sequences", align: "right" },
        { title: "Reverse", align: "right" },
        ...(withBrownout ? [{ title: "Held writers", align: "right" as const }] : []),
      ],
      databases.map(({ source, drain, sequencesMs, reverseMs, brownoutMs }) => [
        printable(source),
        formatDuration(drain.p50Ms),
        formatDuration(drain.p99Ms),
        formatDuration(sequencesMs),
        formatDuration(reverseMs),
        ...(withBrownout ? [brownoutMs === null ? "no" : formatDuration(brownoutMs)] : []),
      ]),
      options,
    ),
    ...databases.flatMap(({ source, blockers }) =>
      blockers.map((blocker) => style.yellow(`! ${printable(`${source}: ${blocker}`)}`))
    ),
    ...databases.flatMap(({ findings }) => findingLines(findings, style)),
    "",
    isRefused
      ? style.red(
        `✗ predicted pause ${formatDuration(predictedPauseMs)}: more than --max-pause allows (${
          formatDuration(maxPauseMs)
        })`,
      )
      : `${style.green("✓")} predicted pause ${style.bold(formatDuration(predictedPauseMs))}, of ${
        formatDuration(maxPauseMs)
      } allowed`,
  ];
}

/** What `cutover run` or `cutover rollback` will do. */
export function switchPlanLines(
  { direction, databases, maxPauseMs, warnings, unchecked }: CutoverSwitchPlan,
  options: TableOptions & {
    /** How long the hook `before` may run, in milliseconds; undefined without one. */
    readonly hookBeforeMs?: number | undefined;
  },
): string[] {
  const style = makeStyle(options.color);
  const [from, to] = direction === "run" ? ["source", "target"] : ["target", "source"];
  return [
    ...databases.map(({ source, target, tables, phase, wayBack }) =>
      `${style.bold(titleOf(source, target))}: ${plural(tables, "table")}, ${
        phase === "closing" || phase === "returning"
          ? style.yellow(`both sides are closed: the ${to} will be opened`)
          : `the ${from} will be closed and the ${to} opened`
      }${wayBack ? "" : style.yellow(", without a way back")}`
    ),
    ...findingLines(warnings, style),
    "",
    `Writers wait for ${
      formatDuration(maxPauseMs)
    } at most; otherwise they continue on the ${from}.`,
    ...(options.hookBeforeMs === undefined ? [] : [
      `Clients held by the hook before wait up to ${
        formatDuration(options.hookBeforeMs)
      } (--hook-timeout) longer.`,
    ]),
    ...(unchecked.length === 0
      ? []
      : ["", "Not prevented, or not checked:", ...unchecked.map((each) => `- ${each}`)]),
  ];
}

/** The outcome of a switch: the pause, the timeline, what was proven and what was not. */
export function cutoverSwitchedLines(
  report: CutoverSwitchReport,
  options: TableOptions,
): string[] {
  const style = makeStyle(options.color);
  const {
    direction,
    databases,
    steps,
    warnings,
    pauseMs,
    maxPauseMs,
    failedAttempts,
    failedAttemptsMs,
  } = report;
  const to = direction === "run" ? "target" : "source";
  const rows = databases.map(({ database, evidence, waiting, refusedWrites }) => [
    printable(database),
    String(evidence?.tokens.length ?? 0),
    String(evidence?.sequences ?? 0),
    String(waiting.sessions),
    formatDuration(waiting.longestMs),
    refusedWrites == null ? "not counted" : String(refusedWrites),
  ]);
  return [
    ...timelineLines(steps, options),
    "",
    ...renderTable(
      [
        { title: "Database", narrow: "cut" },
        { title: "Tokens", align: "right" },
        { title: "Sequences", align: "right" },
        { title: "Sessions waited", align: "right" },
        { title: "Longest", align: "right" },
        { title: "Writes refused", align: "right" },
      ],
      rows,
      options,
    ),
    "",
    ...warnings.map((warning) => `${style.yellow("!")} ${printable(warning)}`),
    `${style.green("✓")} the ${to} is in use. Writers waited ${
      style.bold(formatDuration(pauseMs))
    } of ${formatDuration(maxPauseMs)} allowed` +
    (failedAttempts === 0
      ? ""
      : `, and ${formatDuration(failedAttemptsMs)} in ${plural(failedAttempts, "failed attempt")}`),
  ];
}

const maxTimelineColumns = 24;
const minTimelineColumns = 12;
/** What the other columns of the timeline take, the result being short. */
const otherColumns = 76;

/** The steps with their durations, and a bar that shows when they ran; █ is the pause. */
export function timelineLines(
  steps: readonly SwitchStep[],
  options: TableOptions,
): string[] {
  const style = makeStyle(options.color);
  const timelineColumns = Math.max(
    minTimelineColumns,
    Math.min(maxTimelineColumns, options.columns - otherColumns),
  );
  const end = Math.max(1, ...steps.map(({ atMs, ms }) => atMs + ms));
  const at = (ms: number) => Math.min(timelineColumns - 1, Math.floor(ms / end * timelineColumns));
  const bar = ({ atMs, ms, isPause }: SwitchStep) => {
    const [first, last] = [at(atMs), at(atMs + ms)];
    const block = isPause ? "█" : "░";
    const drawn = block.repeat(last - first + 1);
    return " ".repeat(first) + (isPause ? style.yellow(drawn) : style.dim(drawn)) +
      " ".repeat(timelineColumns - 1 - last);
  };
  return renderTable(
    [
      { title: "Step" },
      { title: "At", align: "right" },
      { title: "Took", align: "right" },
      { title: "" },
      { title: "", narrow: "wrap" },
    ],
    steps.map((step) => [
      stepTitle(step.step),
      formatDuration(step.atMs),
      formatDuration(step.ms),
      bar(step),
      printable(step.summary),
    ]),
    options,
  );
}

/** What `cutover finish` will do. */
export function finishPlanLines(
  { databases, openOldSide }: CutoverFinishPlan,
  { color }: TableOptions,
): string[] {
  const style = makeStyle(color);
  return [
    `${style.bold(databases.map(({ source, target }) => titleOf(source, target)).join(", "))}: ${
      style.yellow("the way back will be removed: rollback is impossible afterwards")
    }`,
    openOldSide
      ? style.yellow("The source will accept writes again; they are not replicated.")
      : "The source stays closed (--open-old-side opens it).",
  ];
}

/** Every statement of a plan, for both sides of every database. */
export function statementLines(
  databases: readonly {
    readonly source: string;
    readonly target: string;
    readonly statements: SideStatements;
  }[],
  { color, sides }: TableOptions & { readonly sides: readonly Side[] },
): string[] {
  const style = makeStyle(color);
  return databases.flatMap(({ source, target, statements }) =>
    sides.flatMap((side) => [
      "",
      style.bold(`-- ${side}, database ${printable(side === "source" ? source : target)}`),
      ...statements[side].flatMap((statement) => {
        const ended = statement.startsWith("--") ? statement : withSemicolon(statement);
        return ended.split("\n").map((line) => printable(line));
      }),
    ])
  );
}

/** The semicolon stands before a comment at the end. */
function withSemicolon(statement: string): string {
  return statement.replace(/( -- .*)?$/, (comment) => `;${comment}`);
}

/** What `cutover finish` removed. */
export function cutoverFinishedLines(
  { databases }: CutoverFinishReport,
  { color }: TableOptions,
): string[] {
  const style = makeStyle(color);
  return databases.flatMap(({ source, target, removed }) => [
    `${style.green("✓")} ${titleOf(source, target)}: finished`,
    ...removed.map((what) => style.dim(`  removed ${printable(what)}`)),
  ]);
}

function titleOf(source: string, target: string): string {
  return source === target ? printable(source) : `${printable(source)} → ${printable(target)}`;
}

function findingLines(findings: readonly PreflightFinding[], style: Style): string[] {
  return findings.flatMap(({ severity, database, side, message, remedy }) => {
    const where = [database, side].filter((part) => part !== undefined).join(", ");
    return [
      `${severity === "problem" ? style.red("✗") : style.yellow("!")} ${
        printable(`${where}: ${message}`)
      }`,
      ...(remedy === undefined ? [] : [style.dim(`  → ${printable(remedy)}`)]),
    ];
  });
}
