/**
 * `sync`: replicates the source's changes to the target, from where `init --enable-sync` left off.
 *
 * @module
 */
import { planReadOnly, refuseSameDatabases } from "../shared/database_plan.ts";
import {
  connectionDelaysMs,
  displayName,
  ExitCode,
  plural,
  ReplicatorError,
  UsageError,
} from "../../core/internal.ts";
import { minLibpqMajor, withDatabase } from "../../postgres/internal.ts";
import type { ApplierKind, StreamVerdict } from "../../replication/internal.ts";
import { findDumpTool } from "../../schema/internal.ts";
import { openServerPair } from "../shared/server_pair.ts";
import { prepareEndpoints } from "../shared/prepare_endpoints.ts";
import { Recorder } from "../shared/recorder.ts";
import type { SyncDatabaseReport, SyncReport } from "../shared/sync_report.ts";
import type { RunContext, SyncOptions } from "../shared/run.ts";
import { copyAgain } from "./copy_again.ts";
import { ClientStreams } from "../shared/client_streams.ts";
import { endsRun } from "../shared/failures.ts";
import { startIdle } from "../shared/take_over.ts";
import { chooseKind } from "./choose_kind.ts";
import { findWaiting } from "./cutover_phase.ts";
import { chooseTables } from "./choose_tables.ts";
import { describeVerdicts, failedStreams, findRefusedStreams } from "./explain_failures.ts";
import { planCopies } from "./plan_copies.ts";
import { readReplicationStatus, type ReplicationStatus } from "./replication_status.ts";
import { follow, skip } from "./follow.ts";

/**
 * Adopts the slots that `init` left, starts stopped subscriptions, and waits until the target has
 * everything that the source has at that moment. Any other state is reported with what to do about
 * it; tables are copied only on request (`action`).
 *
 * Where this tool applies the changes and no other process does, it continues until the signal
 * aborts, and then returns the report.
 *
 * Requires `--allow-net` for both hosts; to add tables, also what `pg_dump` needs.
 *
 * @returns undefined if `confirm` declined
 * @throws ReplicatorError with everything that prevents it, for all databases at once
 */
export async function executeSync(
  given: SyncOptions,
  run: RunContext,
): Promise<SyncReport | undefined> {
  const options = prepareEndpoints(given, run.events);
  const start = performance.now();
  const recorder = new Recorder(run.events);
  const context = { events: recorder.events, signal: run.signal };
  await using sides = await openServerPair(
    { ...options, retryDelaysMs: connectionDelaysMs },
    context,
  );
  const planning = await planReadOnly(sides, { selected: options, signal: run.signal });
  if (planning.problems.length > 0) throw new UsageError(planning.problems);
  refuseSameDatabases(planning);
  const missing = planning.databases.filter(({ existing }) => existing === undefined);
  if (missing.length > 0) throw missingDatabases(missing.map(({ target }) => target));
  const statuses: ReplicationStatus[] = [];
  for (const planned of planning.databases) {
    statuses.push(
      await readReplicationStatus({
        planned,
        source: withDatabase(options.source, planned.source.name),
        target: withDatabase(options.target, planned.target),
        rules: options.rules,
        signal: run.signal,
      }),
    );
  }
  const { action } = options;
  const waiting = await findWaiting(statuses, {
    followsOnly: action.kind === "follow",
    signal: run.signal,
    events: recorder.events,
  });
  if (waiting.size > 0) {
    return await waitForRollback(statuses, { waiting, options, recorder, run, start });
  }
  const kinds = new Map<ReplicationStatus, ApplierKind>();
  for (const status of statuses) {
    kinds.set(
      status,
      await chooseKind(status, { options, events: recorder.events, signal: run.signal }),
    );
  }
  if (action.kind === "copy") {
    const chosen = chooseTables(statuses, action);
    const plan = await planCopies(chosen, {
      kinds,
      options,
      areNew: action.areNew,
      signal: run.signal,
    });
    if (!await options.confirm(plan)) return undefined;
    const tool = action.areNew
      ? await findDumpTool({
        sourceMajor: sides.source.majorVersion,
        targetMajor: sides.target.majorVersion,
        libpqMajor: minLibpqMajor(sides.source.endpoint),
      }, options.tools)
      : undefined;
    for (const each of chosen) {
      const kind = kinds.get(each.status)!;
      await copyAgain({ ...each, options, kind, tool, recorder, signal: run.signal });
    }
  } else if (action.kind === "skip") {
    await skip(failedStreams(statuses), { lsn: action.lsn, recorder, run });
  }
  return await followAll(kinds, { options, recorder, run, start });
}

async function followAll(
  kinds: ReadonlyMap<ReplicationStatus, ApplierKind>,
  { options, recorder, run, start }: {
    readonly options: SyncOptions;
    readonly recorder: Recorder;
    readonly run: RunContext;
    readonly start: number;
  },
): Promise<SyncReport> {
  const fresh = new Map<ReplicationStatus, ApplierKind>();
  for (const [status, kind] of kinds) {
    fresh.set(
      await readReplicationStatus({ ...status, rules: options.rules, signal: run.signal }),
      kind,
    );
  }
  const unresumable = await findRefusedStreams(fresh, { options, signal: run.signal });
  const { onApplying } = options;
  await using clients = new ClientStreams({
    events: recorder.events,
    signal: run.signal,
    onApplying,
  });
  const followed = new Map(
    [...fresh].map(([status, kind]) => [without(status, unresumable.names), kind]),
  );
  for (const status of followed.keys()) await resume(status, { clients, signal: run.signal });
  if (unresumable.error !== undefined) clients.refuse(unresumable.error, true);
  const verdicts = [...followed.keys()].flatMap((status) => status.verdicts);
  if (verdicts.every(isEnabled)) clients.completeStart();
  const databases: SyncDatabaseReport[] = [];
  for (const [status, kind] of followed) {
    if (run.signal.aborted && !clients.isEmpty) break;
    if (status.verdicts.length === 0) continue;
    for (const warning of describeVerdicts(status)) recorder.events(warning);
    const done = await follow(status, { options, recorder, run, kind, clients }).catch((error) => {
      if (!run.signal.aborted && error instanceof ReplicatorError && !endsRun(error)) {
        clients.refuse(error, followed.size > 1 || !clients.isEmpty);
      } else if (!run.signal.aborted || clients.isEmpty) throw error;
      // stopping is how applying changes here ends, at any time
      return [];
    });
    databases.push({
      ...describeStreams(status),
      done,
      unfollowed: [...status.unfollowed, ...status.appeared].map(displayName),
    });
  }
  clients.completeStart();
  await clients.untilEnd();
  return {
    databases: withCounts(databases, clients),
    steps: recorder.steps,
    warnings: recorder.warnings,
    ms: performance.now() - start,
  };
}

/** No database waits until another one has caught up. */
async function resume(
  { source, target, verdicts }: ReplicationStatus,
  { clients, signal }: { readonly clients: ClientStreams; readonly signal: AbortSignal },
): Promise<void> {
  const names = verdicts.filter(isEnabled).map(({ stream }) => stream.name);
  if (names.length === 0) return;
  await startIdle(clients, { source, target, names, signal });
}

/** A database without the streams that cannot resume. */
function without(status: ReplicationStatus, names: ReadonlySet<string>): ReplicationStatus {
  return { ...status, verdicts: status.verdicts.filter(({ stream }) => !names.has(stream.name)) };
}

function isEnabled({ action }: StreamVerdict): boolean {
  return action === "wait";
}

function describeStreams(
  { source, target, streams }: ReplicationStatus,
): Pick<SyncDatabaseReport, "source" | "target" | "streams"> {
  return {
    source: source.database,
    target: target.database,
    streams: streams.map(({ name, epoch, publication }) => ({
      name,
      epoch,
      tables: publication?.tables.length ?? 0,
    })),
  };
}

/** Adds what this process has applied. */
function withCounts(
  databases: readonly SyncDatabaseReport[],
  clients: ClientStreams,
): readonly SyncDatabaseReport[] {
  const applied = new Map(clients.reports.map(({ stream, ...counts }) => [stream, counts]));
  return databases.map((database) => ({
    ...database,
    streams: database.streams.map((stream) => {
      const counts = applied.get(stream.name);
      return counts === undefined ? stream : { ...stream, applied: counts };
    }),
  }));
}

/** Applies nothing until a rollback starts the streams again, and everything from then on. */
async function waitForRollback(
  statuses: readonly ReplicationStatus[],
  { waiting, options, recorder, run, start }: {
    readonly options: SyncOptions;
    readonly waiting: ReadonlySet<ReplicationStatus>;
    readonly recorder: Recorder;
    readonly run: RunContext;
    readonly start: number;
  },
): Promise<SyncReport> {
  const { onApplying } = options;
  await using clients = new ClientStreams({
    events: recorder.events,
    signal: run.signal,
    onApplying,
  });
  for (const { source, target, streams } of waiting) {
    recorder.events({
      kind: "warning",
      side: "target",
      object: `database ${target.database}`,
      message: "a cutover has switched to it: its streams are stopped until a rollback",
      remedy: "keep this running if you may roll back: cutover rollback needs it",
    });
    clients.start({
      source,
      target,
      streams: streams.flatMap(({ applier }) => applier?.kind === "client" ? [applier.name] : []),
    });
  }
  clients.completeStart();
  await clients.untilEnd();
  return {
    databases: withCounts(
      statuses.map((status) => ({ ...describeStreams(status), done: [], unfollowed: [] })),
      clients,
    ),
    steps: recorder.steps,
    warnings: recorder.warnings,
    ms: performance.now() - start,
  };
}

function missingDatabases(databases: readonly string[]): ReplicatorError {
  return new ReplicatorError(
    `${plural(databases.length, "database is", "databases are")} missing on the target: ${
      databases.join(", ")
    }`,
    {
      side: "target",
      remedy: "copy them first with init --enable-sync, or select others with --include-databases",
      exitCode: ExitCode.prerequisite,
    },
  );
}
