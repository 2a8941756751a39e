/**
 * The work of `init` after the plan is confirmed: globals, then one database after the other.
 *
 * @module
 */
import {
  describeError,
  isTransient,
  plural,
  retry,
  retryEvent,
  type WarningEvent,
} from "../../core/internal.ts";
import {
  durableSettings,
  openSession,
  resetRoleStatement,
  type Session,
  SnapshotLostError,
  withDatabase,
} from "../../postgres/internal.ts";
import {
  applyGlobals,
  dumpGlobals,
  type DumpTool,
  revokeTemporaryMemberships,
} from "../../schema/internal.ts";
import type { ServerPair } from "../shared/server_pair.ts";
import {
  type DatabasePlanning,
  inspectDatabase,
  type PlannedDatabase,
} from "../shared/database_plan.ts";
import { AttemptLedgers } from "./attempt_ledgers.ts";
import { copyDatabase } from "./copy_database.ts";
import type { ApplierKind } from "../../replication/internal.ts";
import type { ReplicationSetup } from "../shared/replication_setup.ts";
import { combineFailures, type DatabaseFailure, endsRun } from "../shared/failures.ts";
import type { Recorder } from "../shared/recorder.ts";
import { type DatabaseReport, setAsideObjects } from "../shared/init_report.ts";
import { type InitPlan } from "../shared/init_plan.ts";
import { withSessionIn } from "../shared/session_in.ts";
import type { RunCheckpoint } from "./run_checkpoint.ts";
import type { InitOptions } from "../shared/run.ts";

/** What every step of a run uses. */
export interface InitWork {
  readonly options: InitOptions;
  readonly sides: ServerPair;
  readonly planning: DatabasePlanning;
  readonly tool: DumpTool;
  readonly plan: InitPlan;
  readonly recorder: Recorder;
  readonly checkpoint: RunCheckpoint;
  /** With replication: what will apply the changes. */
  readonly applier: ApplierKind;
  readonly signal: AbortSignal;
}

/**
 * Copies roles and settings, then each database, and finishes the checkpoint. A database that fails
 * does not stop the others.
 *
 * @throws ReplicatorError that combines the failures of all databases
 */
export async function copyEverything(
  work: InitWork & {
    /** Each database is added when it is complete. */
    readonly reports: DatabaseReport[];
  },
): Promise<void> {
  const { planning, sides, checkpoint, reports, signal } = work;
  const dropped = planning.databases.filter(({ action }) => action === "drop-and-create");
  // a database cannot be dropped while a session uses it, not even the tool's own
  if (dropped.some(({ target }) => target === sides.target.endpoint.database)) {
    await sides.target.close();
  }
  const globals = new CopiedGlobals(work);
  const streams: ReplicationSetup[] = [];
  const failures: DatabaseFailure[] = [];
  try {
    if (!readsFirst(work)) await globals.done;
    for (const planned of planning.databases) {
      const database = planned.source.name;
      try {
        reports.push(await copyOne(work, { planned, streams, globals }));
        await checkpoint.completed(database);
      } catch (error) {
        await globals.settled;
        if (signal.aborted || endsRun(error) || globals.isFailure(error)) throw error;
        failures.push({ database, error });
        reportFailures(work, failures);
      }
    }
    await globals.done;
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

/**
 * Whether the first database's snapshot and schema are read while roles and settings are copied:
 * nothing of either depends on the other. A slot holds back WAL, and is created last.
 */
function readsFirst({ options: { sync }, planning: { databases } }: InitWork): boolean {
  return sync === undefined && databases[0]?.action !== "resume";
}

/**
 * Roles and settings, which are copied from the constructor on. Databases that are created or
 * filled must wait for `done`.
 */
class CopiedGlobals {
  /** Rejects if they cannot be copied, which ends the run. */
  readonly done: Promise<void>;
  /** Resolves when `done` has settled. */
  readonly settled: Promise<void>;
  #failure: { readonly error: unknown } | undefined;

  constructor(work: InitWork) {
    this.done = this.#copy(work);
    this.settled = this.done.catch((error) => {
      this.#failure = { error };
    });
  }

  /** Whether this is the error that they failed with. */
  isFailure(error: unknown): boolean {
    return this.#failure !== undefined && this.#failure.error === error;
  }

  async #copy(work: InitWork): Promise<void> {
    const { temporaryMemberships } = await work.recorder.step(
      () => again(work, "roles and settings", () => copyGlobals(work)),
      { step: "globals", summarize: ({ applied }) => plural(applied, "statement") },
    );
    await work.checkpoint.addMemberships(temporaryMemberships);
  }
}

/** Reports a failed database immediately if other databases are still to be copied. */
function reportFailures(
  { planning, recorder }: InitWork,
  failures: readonly DatabaseFailure[],
): void {
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
  work: InitWork,
  { planned, streams, globals }: {
    readonly planned: PlannedDatabase;
    readonly streams: ReplicationSetup[];
    readonly globals: CopiedGlobals;
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
  let givenUp: readonly WarningEvent[] = [];
  const attempt = async (current: PlannedDatabase) => {
    givenUp = [];
    await using opened = await openMaintenance(work);
    const maintenance = opened.session;
    const done = current.unfinished?.complete ?? false;
    const stream = options.sync === undefined || done
      ? undefined
      : await setUpReplication(options.sync, { work, current, maintenance });
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
      onGivenUp: (warnings) => givenUp = warnings,
      globalsCopied: () => globals.done,
    });
    if (stream !== undefined) streams.push(stream);
    return report;
  };
  try {
    return await again(
      work,
      `the copy of ${planned.source.name}`,
      (times) => times === 0 ? attempt(planned) : resume(work, planned, attempt),
      (error) => !globals.isFailure(error), // it has been repeated already
    );
  } catch (error) {
    for (const warning of givenUp) recorder.events(warning);
    throw error;
  }
}

/** A copy alone does not load what replication needs. */
async function setUpReplication(
  sync: NonNullable<InitOptions["sync"]>,
  { work: { options, applier, recorder, signal }, current, maintenance }: {
    readonly work: InitWork;
    readonly current: PlannedDatabase;
    readonly maintenance: Session;
  },
): Promise<ReplicationSetup> {
  const { ReplicationSetup } = await import("../shared/replication_setup.ts");
  return new ReplicationSetup({
    source: withDatabase(options.source, current.source.name),
    target: withDatabase(options.target, current.target),
    targetServer: maintenance,
    rules: options.rules,
    sync,
    applier,
    replaces: current.action === "drop-and-create",
    recorder,
    signal,
  });
}

/** Attempts a database again, from the state in which the previous attempt left it. */
async function resume(
  work: InitWork,
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
  { options: { databaseRetryDelaysMs }, recorder, signal }: InitWork,
  what: string,
  work: (retries: number) => Promise<Result>,
  mayRepeat: (error: unknown) => boolean = () => true,
): Promise<Result> {
  return retry(({ retries }) => work(retries), {
    delaysMs: databaseRetryDelaysMs,
    resetAfterMs,
    signal,
    isRetryable: (error) =>
      mayRepeat(error) && (isTransient(error) || error instanceof SnapshotLostError),
    onRetry: (error, attempt, delayMs) =>
      recorder.events(retryEvent({ what, error, attempt, delayMs })),
  });
}

async function revokeMemberships(work: InitWork): Promise<void> {
  const { checkpoint, recorder } = work;
  if (checkpoint.memberships.length === 0) return;
  await using maintenance = await openMaintenance(work);
  const notes = await revokeTemporaryMemberships(maintenance.session, checkpoint.memberships);
  for (const note of notes) recorder.events({ kind: "warning", ...note });
}

async function copyGlobals(work: InitWork) {
  const { options: { source: { database } }, sides, planning, tool, recorder, signal } = work;
  await using maintenance = await openMaintenance(work);
  const globals = await withSessionIn(sides.source, { database, signal }, (session) =>
    dumpGlobals({
      session,
      tool,
      databases: planning.databases.map(({ source }) => source.name),
      signal,
      onRetry: (again) =>
        recorder.events(retryEvent({ what: "reading roles and settings", ...again })),
    }));
  const outcome = await applyGlobals(maintenance.session, globals);
  for (const adaptation of outcome.adapted) recorder.events({ kind: "warning", ...adaptation });
  return outcome;
}

/** A session that its owner may keep open. */
interface MaintenanceSession extends AsyncDisposable {
  readonly session: Session;
}

/**
 * A session on a database of the target that the run neither drops nor creates: the one that the
 * run has there already, if possible.
 */
async function openMaintenance(
  { planning, options, sides, signal }: InitWork,
): Promise<MaintenanceSession> {
  const busy = new Set(planning.databases.map(({ target }) => target));
  const candidates = [sides.target.endpoint.database, "postgres", "template1"];
  const name = candidates.find((candidate) => !busy.has(candidate)) ??
    planning.onTarget.find(({ name, allowConnections, canConnect }) =>
      !busy.has(name) && allowConnections && canConnect
    )?.name;
  // no ledger records roles and properties of databases, so a crash must not undo them, whatever
  // the server's synchronous_commit
  if (name === sides.target.endpoint.database && sides.target.isOpen) {
    await sides.target.execute(freshMaintenance(sides.target.endpoint));
    return { session: sides.target, [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  const session = await openSession(withDatabase(options.target, name ?? "template1"), {
    signal,
    settings: durableSettings,
  });
  return { session, [Symbol.asyncDispose]: () => session.close() };
}

/** Sets what a new maintenance session has: an earlier statement may have changed the role. */
function freshMaintenance(endpoint: Session["endpoint"]): string {
  const settings = Object.entries(durableSettings).map(([name, value]) =>
    `SET ${name} = ${value};`
  );
  return ["RESET SESSION AUTHORIZATION;", resetRoleStatement(endpoint), ...settings].join("\n");
}
