/**
 * `init`: copies whole databases from one server to another, each as of one moment.
 *
 * @module
 */
import { ExitCode, plural, ReplicatorError } from "../core/mod.ts";
import { measureRoundTrip, openSession, type Session, withDatabase } from "../postgres/mod.ts";
import { probeSubscription } from "../replication/mod.ts";
import { noTableRules } from "../rules/mod.ts";
import {
  applyGlobals,
  dumpGlobals,
  type DumpTool,
  findDumpTool,
  revokeTemporaryMemberships,
  toolForDistance,
} from "../schema/mod.ts";
import type { BothSides } from "./both_sides.ts";
import type { DatabasePlanning } from "./database_plan.ts";
import { copyDatabase } from "./init/copy_database.ts";
import { accessTo, DatabaseStream } from "./init/database_stream.ts";
import { buildPlan } from "./init/plan.ts";
import { Recorder } from "./init/recorder.ts";
import type { DatabaseReport, InitPlan, InitReport } from "./report.ts";
import type { InitOptions, RunContext } from "./run.ts";
import { connect, type Examination, examine } from "./validate.ts";

/**
 * Copies databases: roles and settings of the server, then database by database schema, rows, indexes and keys,
 * foreign keys, sequences, everything else, and statistics.
 *
 * Nothing is changed before {@linkcode InitOptions.confirm} has said yes, and no target that is not empty is touched
 * without `dropExisting`.
 *
 * Requires `--allow-net` for both hosts; `--allow-run` for pg_dump and pg_dumpall and `--allow-write` for the temporary folder of their
 * passfile when installed programs are used.
 *
 * @returns undefined when `confirm` said no
 * @throws ReplicatorError; its `exitCode` says what kind: prerequisites, source or target unreachable, a step that failed
 */
export async function init(options: InitOptions, run: RunContext): Promise<InitReport | undefined> {
  const start = performance.now();
  const recorder = new Recorder(run.events);
  const context = { events: recorder.events, signal: run.signal };
  await using sides = await connect(options, context);
  const examination = await refuseWhatCannotWork(options, { sides, run: context });
  const { planning } = examination;
  await probeWayBack(options, { sides, planning });
  const tool = await chooseTool(options, { sides, examination });
  const plan = await recorder.step(
    () => buildPlan({ options, sides, ...examination, tool, signal: run.signal }),
    { step: "estimate" },
  );
  if (!await options.confirm(plan) || options.dryRun) return undefined;
  const databases = await copyEverything({
    options,
    sides,
    planning,
    tool,
    plan,
    recorder,
    signal: run.signal,
  });
  const tables = databases.flatMap((database) => database.tables);
  return {
    plan,
    databases,
    steps: recorder.steps,
    warnings: recorder.warnings,
    timeline: recorder.timeline,
    governor: recorder.governor,
    rows: tables.reduce((sum, { rows }) => sum + rows, 0),
    bytes: tables.reduce((sum, { bytes }) => sum + bytes, 0),
    ms: performance.now() - start,
  };
}

async function chooseTool(
  { tools }: InitOptions,
  { sides: { source, target }, examination }: {
    readonly sides: BothSides;
    readonly examination: Examination;
  },
): Promise<DumpTool> {
  const sourceMajor = source.majorVersion;
  const tool = await findDumpTool({ sourceMajor, targetMajor: target.majorVersion }, tools);
  return toolForDistance(tool, {
    sourceMajor,
    preference: tools,
    tables: Math.max(0, ...examination.scopes.map(({ scope }) => scope.tables.length)),
    roundTripMs: await measureRoundTrip(source),
  });
}

/** Runs `validate` and stops with everything that failed, at once. */
async function refuseWhatCannotWork(
  options: InitOptions,
  place: { readonly sides: BothSides; readonly run: RunContext },
): Promise<Examination> {
  const examination = await examine({
    ...options,
    forSync: options.sync !== undefined,
    ...(options.sync === undefined ? {} : { identity: options.sync.identity }),
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

/** With replication the target's server has to reach the source: found out before hours of copying. */
async function probeWayBack(
  { sync, source }: InitOptions,
  { sides, planning }: { readonly sides: BothSides; readonly planning: DatabasePlanning },
): Promise<void> {
  const [first] = planning.databases;
  if (sync === undefined || first === undefined) return;
  await probeSubscription({
    session: sides.target,
    ...accessTo(withDatabase(source, first.source.name), sync),
  });
}

interface Work {
  readonly options: InitOptions;
  readonly sides: BothSides;
  readonly planning: DatabasePlanning;
  readonly tool: DumpTool;
  readonly plan: InitPlan;
  readonly recorder: Recorder;
  readonly signal: AbortSignal;
}

async function copyEverything(work: Work): Promise<readonly DatabaseReport[]> {
  const { options, sides, planning, tool, plan, recorder, signal } = work;
  await using maintenance = await openMaintenance(work);
  const globals = await recorder.step(() => copyGlobals(work, maintenance), {
    step: "globals",
    summarise: ({ applied }) => plural(applied, "statement"),
  });
  const reports: DatabaseReport[] = [];
  const streams: DatabaseStream[] = [];
  const revoke = async () => {
    const notes = await revokeTemporaryMemberships(maintenance, globals.temporaryMemberships);
    for (const note of notes) recorder.events({ kind: "warning", ...note });
  };
  try {
    for (const planned of planning.databases) {
      const databasePlan = plan.databases.find(({ source }) => source === planned.source.name);
      recorder.events({
        kind: "database-planned",
        database: planned.source.name,
        tables: databasePlan?.tables.length ?? 0,
        bytes: databasePlan?.bytes ?? 0,
      });
      const stream = options.sync === undefined ? undefined : new DatabaseStream({
        source: withDatabase(options.source, planned.source.name),
        target: withDatabase(options.target, planned.target),
        targetServer: maintenance,
        rules: options.rules ?? noTableRules,
        sync: options.sync,
        recorder,
        signal,
      });
      reports.push(
        await copyDatabase({
          stream,
          planned,
          source: options.source,
          target: options.target,
          maintenance,
          tool,
          jobs: options.jobs,
          indexJobs: options.indexJobs,
          copyFormat: options.copyFormat,
          splitBytes: options.splitBytes,
          maxBytesPerSecond: options.maxBytesPerSecond,
          sourceMajor: sides.source.majorVersion,
          rules: options.rules ?? noTableRules,
          recorder,
          signal,
          whileSnapshotHeld: options.whileSnapshotHeld ?? (() => Promise.resolve()),
        }),
      );
      if (stream !== undefined) streams.push(stream);
    }
    for (const stream of streams) await stream.catchUp();
  } catch (error) {
    // the memberships were for this run alone; the error that ended it is the one to tell
    await revoke().catch(() => {});
    throw error;
  }
  await revoke();
  return reports;
}

async function copyGlobals(
  { sides, planning, tool, recorder, signal }: Work,
  maintenance: Session,
) {
  const globals = await dumpGlobals({
    session: sides.source,
    tool,
    databases: planning.databases.map(({ source }) => source.name),
    signal,
  });
  const outcome = await applyGlobals(maintenance, globals);
  for (const adaptation of outcome.adapted) recorder.events({ kind: "warning", ...adaptation });
  return outcome;
}

/** A session on a database of the target that is not among those to be dropped or made. */
async function openMaintenance({ planning, options, sides, signal }: Work): Promise<Session> {
  const busy = new Set(planning.databases.map(({ target }) => target));
  const candidates = [sides.target.endpoint.database, "postgres", "template1"];
  const name = candidates.find((candidate) => !busy.has(candidate)) ??
    planning.onTarget.find(({ name, allowConnections, canConnect }) =>
      !busy.has(name) && allowConnections && canConnect
    )?.name;
  return await openSession(withDatabase(options.target, name ?? "template1"), { signal });
}
