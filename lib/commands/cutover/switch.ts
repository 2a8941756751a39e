/**
 * `cutover run` and `cutover rollback`: close the side in use and open the other.
 *
 * @module
 */
import {
  ExitCode,
  formatDuration,
  pause,
  plural,
  quoteQualified,
  ReplicatorError,
  type TableName,
} from "../../core/internal.ts";
import { openSession, type Session } from "../../postgres/internal.ts";
import {
  type CutoverPhase,
  type DatabaseRoute,
  describeSwitch,
  nameOnSource,
  type PreflightFinding,
  readDurablePauseMs,
  restoreIfTurning,
  switchOver,
  type SwitchReport,
} from "../../cutover/internal.ts";
import { examineRoute } from "./examine_route.ts";
import { prepareEndpoints } from "../shared/prepare_endpoints.ts";
import type { RunContext } from "../shared/run.ts";
import type { CutoverSwitchOptions } from "./options.ts";
import {
  type CutoverDatabase,
  describeServers,
  incompleteSets,
  readCutover,
  routeOf,
} from "./read_cutover.ts";
import { describeFinding, refuseProblems } from "./refuse.ts";
import type {
  CutoverSwitchPlan,
  CutoverSwitchReport,
  FinalComparison,
  SwitchDirection,
} from "./report.ts";

/** What no switch can prevent. */
const uncheckedByFence: readonly string[] = [
  "nextval, and SELECT … FOR UPDATE, still work on the closed side",
  "large objects can still be written on the closed side: a session that writes nothing else is not stopped",
  "DDL still works on the closed side; an owner can drop or disable the fence",
  "unlogged tables, and tables out of scope, have no fence",
];

/**
 * What a switch does not prove; the report and the evidence say so. Contents are not compared while
 * writers wait: that a token has arrived proves that every change has, and reading the tables would
 * take longer than everything else.
 */
function uncheckedBy(finalCheck: CutoverSwitchOptions["finalCheck"]): readonly string[] {
  return [
    ...uncheckedByFence,
    ...(finalCheck === "counts"
      ? []
      : ["the numbers of rows were not compared while writers waited: --final-check counts"]),
    "the contents of rows were not compared while writers waited: verify does, before and after",
  ];
}

/** How often the command continues by itself after the point of no return. */
const completionAttempts = 5;

/** The phase in which a direction begins, and the one in which it ends. */
const phases: Readonly<Record<SwitchDirection, { from: CutoverPhase; to: CutoverPhase }>> = {
  run: { from: "prepared", to: "switched" },
  rollback: { from: "switched", to: "prepared" },
};

const closed: readonly CutoverPhase[] = ["closing", "returning"];

/** Whether an attempt in this direction has opened the database and died before the end. */
function isUnsettled({ phase, records }: CutoverDatabase, direction: SwitchDirection): boolean {
  const record = direction === "run" ? records.target : records.source;
  return phase === phases[direction].to && record?.details.isSettled === false;
}

/**
 * Switches all selected databases in one direction. A run that died is continued by the same call,
 * from any machine; after its point of no return, both directions lead out: forward or back.
 *
 * Requires `--allow-net` for both servers.
 *
 * @returns undefined if `confirm` declined
 * @throws ReplicatorError (prerequisite) with every reason not to begin; (step failed) if the pause
 * would have been too long, in which case writers have continued
 */
export async function executeSwitch(
  direction: SwitchDirection,
  given: CutoverSwitchOptions,
  run: RunContext,
): Promise<CutoverSwitchReport | undefined> {
  const options = prepareEndpoints(given, run.events);
  const start = performance.now();
  const startedAt = options.now().toISOString();
  const databases = await readCutover(options, options.isContinued ? unstoppable(run) : run);
  const involved = databases.filter(({ phase }) => phase !== "none");
  if (options.isContinued) {
    if (involved.length > 0 && involved.every((each) => isDone(each, direction))) {
      return await doneEarlier(direction, { involved, options, start, startedAt });
    }
    if (!involved.some((each) => isBeyond(each, direction))) run.signal.throwIfAborted();
  }
  refuseState(direction, { databases, involved, options });
  const warnings: PreflightFinding[] = [];
  for (const database of involved.filter(({ phase }) => phase === phases[direction].from)) {
    warnings.push(...await examine(routeOf(database, direction), { options, run }));
  }
  refuseProblems(warnings);
  const plan: CutoverSwitchPlan = {
    direction,
    databases: involved.map((database) => ({
      source: database.source.database,
      target: database.target.database,
      phase: database.phase,
      tables: database.records.source?.details.tables.length ?? 0,
      wayBack: database.records.source?.details.back != null,
      statements: describeSwitch(routeOf(database, direction)),
    })),
    maxPauseMs: options.maxPauseMs,
    warnings,
    unchecked: uncheckedBy(options.finalCheck),
  };
  const servers = await describeServers(
    involved[0]!,
    options.isContinued ? new AbortController().signal : run.signal,
  );
  if (!await options.confirm(plan)) return undefined;
  const compared = new Map<string, FinalComparison>();
  const report = await performUntilDone(direction, { options, run, compared });
  return {
    ...report,
    ...servers,
    direction,
    startedAt,
    finishedAt: options.now().toISOString(),
    databases: report.databases.map((each) => ({
      ...each,
      compared: compared.get(each.database) ?? null,
    })),
    maxPauseMs: options.maxPauseMs,
    warnings: [...warnings.map(describeFinding), ...report.warnings],
    unchecked: uncheckedBy(options.finalCheck),
    ms: performance.now() - start,
  };
}

/** Whether writes are refused on both sides, or what follows an opening is still to be done. */
function isBeyond(database: CutoverDatabase, direction: SwitchDirection): boolean {
  return closed.includes(database.phase) || isUnsettled(database, direction);
}

/** Whether the switch of a database in this direction is complete. */
function isDone(database: CutoverDatabase, direction: SwitchDirection): boolean {
  return database.phase === phases[direction].to && !isUnsettled(database, direction);
}

function unstoppable(run: RunContext): RunContext {
  return { ...run, signal: new AbortController().signal };
}

/** The report of a switch whose client did not live to report it: what the records say of it. */
async function doneEarlier(
  direction: SwitchDirection,
  { involved, options, start, startedAt }: {
    readonly involved: readonly CutoverDatabase[];
    readonly options: CutoverSwitchOptions;
    readonly start: number;
    readonly startedAt: string;
  },
): Promise<CutoverSwitchReport> {
  const pauses = await Promise.all(
    involved.map((database) => readDurablePauseMs(routeOf(database, direction))),
  );
  return {
    ...await describeServers(involved[0]!, new AbortController().signal),
    direction,
    startedAt,
    finishedAt: options.now().toISOString(),
    pauseMs: Math.max(0, ...pauses),
    maxPauseMs: options.maxPauseMs,
    failedAttempts: 0,
    failedAttemptsMs: 0,
    databases: involved.map((database) => ({
      database: database.source.database,
      evidence: routeOf(database, direction).fromRecord.details.evidence,
      compared: null,
      waiting: { sessions: 0, longestMs: 0 },
      refusedWrites: null,
    })),
    steps: [],
    warnings: ["an earlier attempt, which was interrupted, had completed the switch"],
    unchecked: uncheckedBy(options.finalCheck),
    ms: performance.now() - start,
  };
}

/** A `sync` that the previous switch has stopped begins to wait for this one within seconds. */
const attendanceMs = 10_000;

async function examine(
  route: DatabaseRoute,
  { options, run }: { readonly options: CutoverSwitchOptions; readonly run: RunContext },
): Promise<readonly PreflightFinding[]> {
  await restoreIfTurning(route);
  return await examineRoute(route, {
    oldTransactionMs: options.maxPauseMs,
    attendanceMs,
    signal: run.signal,
  });
}

/** After the point of no return, continues by itself as the same command would. */
async function performUntilDone(
  direction: SwitchDirection,
  { options, run, compared }: {
    readonly options: CutoverSwitchOptions;
    readonly run: RunContext;
    /** Receives what the last check compared, by database. */
    readonly compared: Map<string, FinalComparison>;
  },
): Promise<SwitchReport> {
  let reading = options.isContinued ? unstoppable(run) : run;
  for (let attempt = 1;; attempt++) {
    const databases = (await readCutover(options, reading))
      .filter(({ phase }) => phase !== "none");
    // both sides are closed: whoever asks to stop must not leave them so
    const context = databases.some((each) => isBeyond(each, direction)) ? unstoppable(run) : run;
    const ofPhase = (matches: (database: CutoverDatabase) => boolean) =>
      databases.filter(matches).map((database) => routeOf(database, direction));
    // with databases that an attempt in the other direction has not closed yet: it is undone
    for (const route of databases.filter((each) => each.phase === phases[direction].to)) {
      await restoreIfTurning(routeOf(route, opposite(direction)));
    }
    try {
      return await switchOver(
        {
          routes: ofPhase(({ phase }) => phase === phases[direction].from),
          closed: ofPhase(({ phase }) => closed.includes(phase)),
          opened: ofPhase((database) => isUnsettled(database, direction)),
        },
        {
          ...options,
          unchecked: uncheckedBy(options.finalCheck),
          finalCheck: checkerFor(options, { signal: context.signal, compared }),
        },
        context,
      );
    } catch (error) {
      const isHalfway = await isBeyondReturn(options, run).catch(() => true);
      if (!isHalfway || attempt >= completionAttempts) throw error;
      reading = unstoppable(run);
      run.events({
        kind: "warning",
        message: `continuing after the point of no return: ${
          error instanceof Error ? error.message : String(error)
        }`,
      });
      await pause(1_000 * attempt);
    }
  }
}

function opposite(direction: SwitchDirection): SwitchDirection {
  return direction === "run" ? "rollback" : "run";
}

async function isBeyondReturn(options: CutoverSwitchOptions, run: RunContext): Promise<boolean> {
  const databases = await readCutover(options, unstoppable(run));
  return databases.some(({ phase }) => closed.includes(phase));
}

/** Compares while writers wait, and throws to abandon the switch. */
function checkerFor(
  { finalCheck }: CutoverSwitchOptions,
  { signal: outer, compared }: {
    readonly signal: AbortSignal;
    readonly compared: Map<string, FinalComparison>;
  },
): (route: DatabaseRoute, signal: AbortSignal) => Promise<void> {
  return async (route, inner) => {
    const signal = AbortSignal.any([outer, inner]);
    await using from = await openSession(route.from, { signal });
    await using to = await openSession(route.to, { signal });
    const [here, there] = await Promise.all([
      readColumns(from, route.tables),
      readColumns(to, route.tables),
    ]);
    const changed = [...here].filter(([table, columns]) => there.get(table) !== columns);
    if (changed.length > 0) {
      throw new ReplicatorError(
        `columns differ from the other side: ${changed.map(([table]) => table).join(", ")}`,
        {
          side: route.from.side,
          object: `database ${route.from.database}`,
          remedy: "DDL was run in the meantime: run it on the other side too, see status",
          exitCode: ExitCode.mismatch,
        },
      );
    }
    const rows = finalCheck === "counts" ? await compareCounts(route.tables, { from, to }) : null;
    compared.set(nameOnSource(route), { tables: here.size, rows });
  };
}

async function readColumns(
  session: Session,
  tables: readonly TableName[],
): Promise<ReadonlyMap<string, string>> {
  const rows = await session.query<{ readonly name: string; readonly columns: string }>(
    `SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name,
            pg_catalog.string_agg(pg_catalog.format('%I', a.attname), ',' ORDER BY a.attname COLLATE pg_catalog."C") AS columns
       FROM pg_catalog.pg_class AS c
       JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
       JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      WHERE c.relkind IN ('r', 'p')
        AND (n.nspname, c.relname) IN (
              SELECT t.entry ->> 'schema', t.entry ->> 'name'
                FROM pg_catalog.jsonb_array_elements($1::pg_catalog.jsonb) AS t (entry))
      GROUP BY 1`,
    [JSON.stringify(tables.map(({ schema, name }) => ({ schema, name })))],
  );
  return new Map(rows.map(({ name, columns }) => [name, columns]));
}

/** Returns the number of rows of all tables. @throws ReplicatorError if any of them differs */
async function compareCounts(
  tables: readonly TableName[],
  { from, to }: { readonly from: Session; readonly to: Session },
): Promise<number> {
  const differing: string[] = [];
  let rows = 0;
  for (const { schema, name } of tables) {
    const statement = `SELECT pg_catalog.count(*)::pg_catalog.text AS count FROM ONLY ${
      quoteQualified(schema, name)
    }`;
    const [here, there] = await Promise.all([
      from.queryOne<{ readonly count: string }>(statement),
      to.queryOne<{ readonly count: string }>(statement),
    ]);
    rows += Number(here.count);
    if (here.count !== there.count) {
      differing.push(`${schema}.${name}: ${here.count} rows, ${there.count} on the other side`);
    }
  }
  if (differing.length === 0) return rows;
  throw new ReplicatorError(
    `${
      plural(differing.length, "table differs", "tables differ")
    } in the number of rows; writers continue`,
    {
      details: differing,
      remedy: "compare with verify; with row filters use --final-check structure",
      exitCode: ExitCode.mismatch,
    },
  );
}

function refuseState(
  direction: SwitchDirection,
  { databases, involved, options }: {
    readonly databases: readonly CutoverDatabase[];
    readonly involved: readonly CutoverDatabase[];
    readonly options: CutoverSwitchOptions;
  },
): void {
  const reasons: string[] = [];
  if (involved.length === 0) reasons.push("no database is prepared: run cutover prepare first");
  const isNamed = options.databases.include.length > 0;
  // an interrupted switch of several databases leads out in both directions
  const isInterrupted = involved.some((database) =>
    closed.includes(database.phase) || isUnsettled(database, direction)
  );
  for (const database of isNamed ? databases : involved) {
    const { source, phase } = database;
    const fits = phase === phases[direction].from || closed.includes(phase) ||
      isInterrupted && phase === phases[direction].to;
    if (!fits) reasons.push(`${source.database}: ${explainPhase(phase, direction)}`);
  }
  const missing = incompleteSets(involved);
  if (missing.length > 0) {
    reasons.push(
      `${missing.join(", ")} must be selected too: the databases were prepared to switch together`,
    );
  }
  const ids = new Set(involved.map(({ records }) => (records.source ?? records.target)?.id));
  if (ids.size > 1 && missing.length === 0) {
    reasons.push(
      "the databases belong to different cutovers: select those of one with --include-databases",
    );
  }
  for (const { source, records } of involved) {
    if (direction === "rollback" && records.source?.details.back === null) {
      reasons.push(
        `${source.database}: it was prepared without a way back (--way-back none)`,
      );
    }
  }
  if (options.maxPauseMs < minPauseMs) {
    reasons.push(`--max-pause must be at least ${formatDuration(minPauseMs)}`);
  }
  if (reasons.length === 0) return;
  throw new ReplicatorError(
    `${plural(reasons.length, "reason")} against cutover ${direction}; nothing was changed`,
    { details: reasons, exitCode: ExitCode.prerequisite },
  );
}

const minPauseMs = 100;

function explainPhase(phase: CutoverPhase, direction: SwitchDirection): string {
  switch (phase) {
    case "none":
      return "it is not prepared: run cutover prepare first";
    case "preparing":
      return "its preparation is not complete: run cutover prepare again";
    case "prepared":
      return "the source is in use: there is nothing to roll back";
    case "switched":
      return "the target is in use already";
    case "finished":
      return direction === "run"
        ? "its cutover is finished"
        : "its cutover is finished, and the way back was removed";
    case "closing":
    case "returning":
      return "both sides are closed";
  }
}
