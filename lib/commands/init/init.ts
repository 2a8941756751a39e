/**
 * `init`: copies whole databases from one server to another, each under one snapshot.
 *
 * @module
 */
import {
  describeError,
  type EventSink,
  ExitCode,
  plural,
  redact,
  ReplicatorError,
  retryEvent,
} from "../../core/internal.ts";
import {
  durableSettings,
  isTransient,
  measureRoundTrip,
  minLibpqMajor,
  openSession,
  retry,
  type Session,
  SnapshotLostError,
  withDatabase,
} from "../../postgres/internal.ts";
import { claimDatabases } from "../../checkpoint/internal.ts";
import { optionDefaults } from "../../config/internal.ts";
import { probeSubscription } from "../../replication/internal.ts";
import {
  applyGlobals,
  dumpGlobals,
  type DumpTool,
  findDumpTool,
  revokeTemporaryMemberships,
  toolForDistance,
} from "../../schema/internal.ts";
import { type ServerPair, summarise } from "../shared/server_pair.ts";
import {
  type DatabasePlanning,
  inspectDatabase,
  type PlannedDatabase,
} from "../shared/database_plan.ts";
import { AttemptLedgers } from "./attempt_ledgers.ts";
import { checkScope } from "./check_scope.ts";
import { copyDatabase } from "./copy_database.ts";
import { accessTo, ReplicationSetup } from "../shared/replication_setup.ts";
import { combineFailures, type DatabaseFailure, endsRun } from "../shared/failures.ts";
import { buildPlan } from "./plan.ts";
import { Recorder } from "../shared/recorder.ts";
import { reportOf, unfinishedDatabases } from "./run_report.ts";
import { refuseUndroppable } from "./refuse_undroppable.ts";
import {
  type DatabaseReport,
  type InitPlan,
  type InitReport,
  setAsideObjects,
} from "../shared/report.ts";
import { prepareEndpoints } from "../shared/prepare_endpoints.ts";
import {
  finishEarlierRun,
  readEarlierRun,
  RunCheckpoint,
  withWindowsOf,
} from "./run_checkpoint.ts";
import type { InitOptions, RunContext } from "../shared/run.ts";
import { connect, type Examination, examine } from "../validate/validate.ts";

/** What {@linkcode executeInit} did. */
export type InitResult =
  | { readonly kind: "copied"; readonly report: InitReport }
  /** A dry run. */
  | { readonly kind: "planned"; readonly plan: InitPlan }
  /** `confirm` answered no. */
  | { readonly kind: "declined"; readonly plan: InitPlan };

/**
 * Copies databases: first roles and settings of the server, then for each database its schema,
 * rows, indexes and keys, foreign keys, sequences, all other objects, and statistics.
 *
 * Nothing is changed before {@linkcode InitOptions.confirm} agrees, and non-empty databases of the
 * target are not touched without `dropExisting`.
 *
 * Requires `--allow-net` for both hosts; `--allow-run` for pg_dump and pg_dumpall and
 * `--allow-write` for the temporary folder of their passfile when installed programs are used.
 *
 * @returns the report, or only the plan when nothing was copied
 * @throws ReplicatorError; its `exitCode` says what kind: prerequisites, source or target
 * unreachable, a step that failed
 */
export async function executeInit(given: InitOptions, run: RunContext): Promise<InitResult> {
  const wanted = prepareEndpoints({
    ...given,
    target: { ...given.target, ownSearchPath: given.restoreSearchPath === "own" },
  }, run.events);
  const start = performance.now();
  const recorder = new Recorder(run.events);
  const context = { events: recorder.events, signal: run.signal };
  const earlier = await readEarlierRun(wanted);
  const before = withWindowsOf(wanted, earlier?.scope.now);
  await using sides = await connect(before, context);
  if (earlier?.finished) {
    const done = await finishEarlierRun(earlier, { options: before, sides, signal: run.signal });
    if (done !== undefined) {
      const report = await reportNothingLeft({ options: before, sides, recorder, start });
      return { kind: "copied", report };
    }
  }
  const examination = await requirePrerequisites(before, { sides, run: context });
  const { planning } = examination;
  const unfinished = planning.databases.filter(({ action }) => action === "resume")
    .flatMap((planned) => planned.unfinished ?? []);
  // the file may be gone; the ledgers know the moment too
  const options = withWindowsOf(before, unfinished[0]?.scope.now);
  const scope = await checkScope({
    options,
    planning,
    decisions: examination.report.scopes,
    earlier,
    unfinished,
    events: recorder.events,
  });
  await refuseUndroppable(planning.databases, {
    session: sides.target,
    withSync: options.sync !== undefined,
    signal: run.signal,
  });
  await probeSourceFromTarget(options, { sides, planning, events: recorder.events });
  const tool = await chooseTool(options, {
    sides,
    examination,
    before: unfinished[0]?.dumpTool,
  });
  const plan = await recorder.step(
    () => buildPlan({ options, sides, ...examination, tool, signal: run.signal }),
    { step: "estimate" },
  );
  const checkpoint = await RunCheckpoint.begin({
    options,
    sides,
    plan,
    planning,
    scope,
    earlier,
    unfinished,
    events: recorder.events,
  });
  const agreed = await options.confirm(plan);
  if (options.dryRun) return { kind: "planned", plan };
  if (!agreed) return { kind: "declined", plan };
  await checkpoint.write();
  recorder.predicted = plan.predictedSteps ?? [];
  const databases: DatabaseReport[] = [];
  const report = (more: Pick<InitReport, "failure"> = {}) =>
    reportOf({ plan, databases, recorder, ms: performance.now() - start, ...more });
  try {
    await copyEverything({
      ...{ options, sides, planning, tool, plan, recorder, checkpoint, signal: run.signal },
      reports: databases,
    });
  } catch (error) {
    databases.push(...unfinishedDatabases({ plan, databases, recorder }));
    await options.onUnfinished(report({ failure: redact(describeError(error).join("\n")) }));
    throw error;
  }
  return { kind: "copied", report: report() };
}

async function chooseTool(
  { tools }: InitOptions,
  { sides: { source, target }, examination, before }: {
    readonly sides: ServerPair;
    readonly examination: Examination;
    /** The tool of the run that is resumed: another one writes the same structure differently. */
    readonly before: string | undefined;
  },
): Promise<DumpTool> {
  const sourceMajor = source.majorVersion;
  const libpqMajor = minLibpqMajor(source.endpoint);
  const majors = { sourceMajor, targetMajor: target.majorVersion, libpqMajor };
  if (before !== undefined) {
    const dump = before.startsWith("embedded") ? "embedded" : "native";
    const same = await findDumpTool(
      majors,
      { ...tools, dump },
    ).catch(() => undefined); // no longer installed: choose again
    if (same !== undefined) return same;
  }
  const tool = examination.tool ??
    await findDumpTool(majors, tools);
  return toolForDistance(tool, {
    sourceMajor,
    preference: tools,
    tables: Math.max(0, ...examination.scopes.map(({ scope }) => scope.tables.length)),
    roundTripMs: await measureRoundTrip(source),
  });
}

/** The report of a run whose last attempt was killed after everything was copied. */
async function reportNothingLeft(
  { options, sides, recorder, start }: {
    readonly options: InitOptions;
    readonly sides: ServerPair;
    readonly recorder: Recorder;
    readonly start: number;
  },
): Promise<InitReport> {
  recorder.events({
    kind: "info",
    message: "an earlier attempt has copied everything; its ledgers were removed",
  });
  const plan: InitPlan = {
    source: await summarise(sides.source),
    target: await summarise(sides.target),
    databases: [],
    jobs: options.copy.jobs,
    indexJobs: options.indexJobs,
    dumpTool: "none",
    bytes: 0,
    warnings: [],
  };
  return reportOf({ plan, databases: [], recorder, ms: performance.now() - start });
}

/** Runs `validate`, and throws one error with all failures. */
async function requirePrerequisites(
  options: InitOptions,
  place: { readonly sides: ServerPair; readonly run: RunContext },
): Promise<Examination> {
  const { sides: { target }, run: { signal } } = place;
  const examination = await examine({
    ...options,
    jobs: options.copy.jobs,
    resume: options.resume ? "yes" : "no",
    claim: async (names) => {
      // a plan changes nothing, and need not keep other runs from copying
      if (!options.dryRun) await claimDatabases(target, names, { signal });
    },
    forSync: options.sync !== undefined,
    identity: options.sync?.identity ?? optionDefaults.replicaIdentity,
  }, place);
  const failed = examination.report.checks.filter(({ status }) => status === "fail");
  if (failed.length === 0) return examination;
  throw new ReplicatorError(
    `${plural(failed.length, "prerequisite is", "prerequisites are")} not met; nothing was changed`,
    {
      exitCode: ExitCode.prerequisite,
      details: failed.flatMap(({ side, finding, fix }) => [
        side === "both" ? finding : `${side}: ${finding}`,
        ...(fix === undefined ? [] : [`  → ${fix}`]),
      ]),
    },
  );
}

/** With replication, the target's server must reach the source; tested before hours of copying. */
async function probeSourceFromTarget(
  { sync, source }: InitOptions,
  { sides, planning, events }: {
    readonly sides: ServerPair;
    readonly planning: DatabasePlanning;
    readonly events: EventSink;
  },
): Promise<void> {
  const [first] = planning.databases;
  if (sync === undefined || first === undefined) return;
  const tested = await probeSubscription({
    session: sides.target,
    ...accessTo(withDatabase(source, first.source.name), sync),
  });
  if (tested) return;
  events({
    kind: "info",
    message:
      `whether the target's server can reach the source cannot be tested in advance: the role may not create objects in ${sides.target.endpoint.database}; ` +
      "if it cannot, run sync after fixing that, which resumes without copying again",
  });
}

interface Work {
  readonly options: InitOptions;
  readonly sides: ServerPair;
  readonly planning: DatabasePlanning;
  readonly tool: DumpTool;
  readonly plan: InitPlan;
  readonly recorder: Recorder;
  readonly checkpoint: RunCheckpoint;
  readonly signal: AbortSignal;
}

async function copyEverything(
  work: Work & {
    /** Each database is added when it is complete. */
    readonly reports: DatabaseReport[];
  },
): Promise<void> {
  const { planning, sides, recorder, checkpoint, reports, signal } = work;
  const dropped = planning.databases.filter(({ action }) => action === "drop-and-create");
  // a database cannot be dropped while a session uses it, not even the tool's own
  if (dropped.some(({ target }) => target === sides.target.endpoint.database)) {
    await sides.target.close();
  }
  const globals = await recorder.step(
    () => again(work, "roles and settings", () => copyGlobals(work)),
    {
      step: "globals",
      summarise: ({ applied }) => plural(applied, "statement"),
    },
  );
  await checkpoint.addMemberships(globals.temporaryMemberships);
  const streams: ReplicationSetup[] = [];
  const failures: DatabaseFailure[] = [];
  try {
    for (const planned of planning.databases) {
      const database = planned.source.name;
      try {
        reports.push(await copyOne(work, { planned, streams }));
        await checkpoint.completed(database);
      } catch (error) {
        if (signal.aborted || endsRun(error)) throw error;
        failures.push({ database, error });
        reportFailure(work, failures);
      }
    }
    for (const stream of streams) await stream.catchUp();
    if (failures.length > 0) throw combineFailures(failures, planning.databases.length);
  } catch (error) {
    // the memberships are for this run only; report the error that ended it
    await revokeMemberships(work).catch(() => {});
    throw error;
  }
  await revokeMemberships(work);
  // the run that creates missing objects finds them in the ledgers
  if (setAsideObjects({ databases: reports }).length > 0) await checkpoint.keep();
  else await checkpoint.finish(signal);
}

/** Reports a failed database immediately if other databases are still to be copied. */
function reportFailure({ planning, recorder }: Work, failures: readonly DatabaseFailure[]): void {
  const last = failures.at(-1);
  if (last === undefined || planning.databases.length === 1) return;
  recorder.events({
    kind: "warning",
    object: `database ${last.database}`,
    message: `copying it failed: ${describeError(last.error)[0] ?? ""}`,
    remedy: "the other databases will still be copied; the error is reported again at the end",
  });
}

/** Copies a database; resumes after transient failures. */
async function copyOne(
  work: Work,
  { planned, streams }: {
    readonly planned: PlannedDatabase;
    readonly streams: ReplicationSetup[];
  },
): Promise<DatabaseReport> {
  const { options, sides, tool, plan, recorder, checkpoint, signal } = work;
  const databasePlan = plan.databases.find(({ source }) => source === planned.source.name);
  recorder.events({
    kind: "database-planned",
    database: planned.source.name,
    tables: databasePlan?.tables.length ?? 0,
    bytes: databasePlan?.bytes ?? 0,
  });
  const ledgers = new AttemptLedgers({
    run: checkpoint.ledgerRun(planned.source.name),
    signal,
    events: recorder.events,
  });
  const attempt = async (current: PlannedDatabase) => {
    await using maintenance = await openMaintenance(work);
    const done = current.unfinished?.complete ?? false;
    const stream = options.sync === undefined || done ? undefined : new ReplicationSetup({
      source: withDatabase(options.source, current.source.name),
      target: withDatabase(options.target, current.target),
      targetServer: maintenance,
      rules: options.rules,
      sync: options.sync,
      replaces: current.action === "drop-and-create",
      recorder,
      signal,
    });
    const report = await copyDatabase({
      ...options,
      stream,
      planned: current,
      maintenance,
      tool,
      sourceMajor: sides.source.majorVersion,
      targetMajor: sides.target.majorVersion,
      recorder,
      signal,
      ledgers,
    });
    if (stream !== undefined) streams.push(stream);
    return report;
  };
  return await again(
    work,
    `the copy of ${planned.source.name}`,
    (times) => times === 0 ? attempt(planned) : resume(work, planned, attempt),
  );
}

/** Attempts a database again, from the state in which the previous attempt left it. */
async function resume(
  work: Work,
  planned: PlannedDatabase,
  attempt: (current: PlannedDatabase) => Promise<DatabaseReport>,
): Promise<DatabaseReport> {
  const { options, signal } = work;
  const target = withDatabase(options.target, planned.target);
  const left = await inspectDatabase(target, signal);
  if (left === undefined) return await attempt({ ...planned, action: "create" });
  // it was created or dropped between two statements, or not touched yet: proceed as planned
  if (left.ledger === undefined) {
    return await attempt(
      planned.action === "drop-and-create" && left.contents.empty
        ? { ...planned, action: "fill-empty" }
        : planned.action === "create"
        ? { ...planned, action: "fill-empty" }
        : planned,
    );
  }
  return await attempt({ ...planned, action: "resume", unfinished: left.ledger });
}

/** An attempt that ran for longer made progress. */
const resetAfterMs = 60_000;

/** Retries what can be repeated; `work` gets the number of earlier attempts. */
function again<Result>(
  { options: { retryPausesMs }, recorder, signal }: Work,
  what: string,
  work: (retries: number) => Promise<Result>,
): Promise<Result> {
  return retry(({ retries }) => work(retries), {
    delaysMs: retryPausesMs,
    resetAfterMs,
    signal,
    isRetryable: (error) => isTransient(error) || error instanceof SnapshotLostError,
    onRetry: (error, attempt, delayMs) =>
      recorder.events(retryEvent({ what, error, attempt, delayMs })),
  });
}

async function revokeMemberships(work: Work): Promise<void> {
  const { checkpoint, recorder } = work;
  if (checkpoint.memberships.length === 0) return;
  await using maintenance = await openMaintenance(work);
  const notes = await revokeTemporaryMemberships(maintenance, checkpoint.memberships);
  for (const note of notes) recorder.events({ kind: "warning", ...note });
}

async function copyGlobals(work: Work) {
  const { options, planning, tool, recorder, signal } = work;
  await using maintenance = await openMaintenance(work);
  await using session = await openSession(options.source, { signal });
  const globals = await dumpGlobals({
    session,
    tool,
    databases: planning.databases.map(({ source }) => source.name),
    signal,
    onRetry: (again) =>
      recorder.events(retryEvent({ what: "reading roles and settings", ...again })),
  });
  const outcome = await applyGlobals(maintenance, globals);
  for (const adaptation of outcome.adapted) recorder.events({ kind: "warning", ...adaptation });
  return outcome;
}

/** A session on a database of the target that the run neither drops nor creates. */
async function openMaintenance({ planning, options, sides, signal }: Work): Promise<Session> {
  const busy = new Set(planning.databases.map(({ target }) => target));
  const candidates = [sides.target.endpoint.database, "postgres", "template1"];
  const name = candidates.find((candidate) => !busy.has(candidate)) ??
    planning.onTarget.find(({ name, allowConnections, canConnect }) =>
      !busy.has(name) && allowConnections && canConnect
    )?.name;
  // no ledger records roles and properties of databases, so a crash must not undo them, whatever
  // the server's synchronous_commit
  return await openSession(withDatabase(options.target, name ?? "template1"), {
    signal,
    settings: durableSettings,
  });
}
