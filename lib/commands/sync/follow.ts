/**
 * Resuming replication: hands slots over to appliers, starts stopped appliers, and waits until the
 * target has caught up.
 *
 * @module
 */
import {
  ExitCode,
  formatLsn,
  type Lsn,
  parseOptionalLsn,
  plural,
  ReplicatorError,
  retry,
  tableKey,
} from "../../core/internal.ts";
import { openSession, type Session } from "../../postgres/internal.ts";
import {
  type ApplierKind,
  type ApplierReading,
  compareTypes,
  describeApplyProcess,
  diagnoseApplyError,
  explainApplyError,
  handOver,
  openApplier,
  readTypes,
  type ScopeComment,
  type StreamVerdict,
} from "../../replication/internal.ts";
import { accessTo, selectRows } from "../shared/replicated_rows.ts";
import type { Recorder } from "../shared/recorder.ts";
import type { RunContext, SyncOptions } from "../shared/run.ts";
import type { ClientStreams } from "../shared/client_streams.ts";
import { catchUpTakingOver, startIdle } from "../shared/take_over.ts";
import { whileNotSwitching } from "./cutover_phase.ts";
import type { FailedStream } from "./explain_failures.ts";
import { hazardEvents, readHazards } from "./report_hazards.ts";
import type { ReplicationStatus } from "./replication_status.ts";

/** What {@linkcode follow} takes besides the database. */
export interface FollowContext {
  readonly options: SyncOptions;
  readonly recorder: Recorder;
  readonly run: RunContext;
  /** What will apply the changes of streams that are handed over. */
  readonly kind: ApplierKind;
  /** Applies the changes of clients that no other process runs, also after the call. */
  readonly clients: ClientStreams;
}

/**
 * Starts what is stopped and waits until the target has everything that the source has now.
 * Changes of clients that no other process runs are applied by `clients`, which continues. A stream
 * that fails is reported to it, and no longer waited for.
 *
 * @returns what was done, in words
 */
export async function follow(
  status: ReplicationStatus,
  { options, recorder, run, kind, clients }: FollowContext,
): Promise<readonly string[]> {
  const { source, target, verdicts } = status;
  const { signal } = run;
  const database = source.database;
  await using from = await retry(() => openSession(source, { signal }), { signal });
  await using to = await retry(() => openSession(target, { signal }), { signal });
  const published = new Set(
    verdicts.flatMap(({ stream }) => stream.publication?.tables ?? []).map((table) =>
      tableKey(table)
    ),
  );
  const tables = status.tables.filter((table) => published.has(tableKey(table)));
  const hazards = await readHazards(status, { tables, source: from, target: to, kind });
  for (const event of hazardEvents(hazards, database)) recorder.events(event);
  const types = { source: await readTypes(from), target: await readTypes(to) };
  for (
    const drift of compareTypes(types, { isPublished: (table) => published.has(tableKey(table)) })
  ) {
    const { message, remedy } = drift;
    recorder.events({
      kind: "warning",
      side: "target",
      object: `database ${target.database}`,
      message,
      remedy,
    });
  }
  const done: string[] = [];
  await recorder.step(async () => {
    const stopped = verdicts.filter(({ action }) => action !== "wait");
    if (stopped.length === 0) return;
    await whileNotSwitching(status, { from, to }, async () => {
      for (const verdict of stopped) {
        done.push(await start(verdict, { status, from, to, options, recorder, signal, kind }));
      }
    });
  }, { step: "subscription", database, summarize: () => done.join("; ") || "already enabled" });
  const subscriptions = verdicts.map(({ stream }) => stream.name);
  await startIdle(clients, { source, target, names: subscriptions, signal });
  for (const name of subscriptions) {
    if (clients.has(name)) continue;
    const holder = await describeApplyProcess(to, name);
    if (holder === undefined) continue;
    recorder.events({
      kind: "info",
      message:
        `${target.database}: another process applies the changes of ${name} (${holder}); this command waits until both sides are equal, and ends; if that process ends first, it applies them itself`,
    });
  }
  const caughtUp = recorder.step(
    () =>
      catchUpTakingOver(clients, {
        ...{ source, target, subscriptions, signal, events: recorder.events },
        untilAlive: true,
        isAwaited: (name) => !clients.hasFailed(name),
        onFailure: (name, error) => clients.fail(name, error),
      }),
    {
      step: "catch-up",
      database,
      summarize: () =>
        plural(
          verdicts.reduce((sum, { stream }) => sum + (stream.publication?.tables.length ?? 0), 0),
          "table streams",
          "tables stream",
        ),
    },
  );
  await caughtUp.catch((error) => {
    // the caller stops applying changes: what was started is still reported
    if (!signal.aborted || clients.isEmpty) throw error;
  });
  if (!signal.aborted) {
    clients.markCaughtUp(subscriptions.filter((name) => !clients.hasFailed(name)));
  }
  return done;
}

/** Starts a stream that is stopped, or not handed over yet. */
async function start(
  { stream, action }: StreamVerdict,
  { status, from, to, options, recorder, signal, kind }: {
    readonly kind: ApplierKind;
    readonly status: ReplicationStatus;
    readonly from: Session;
    readonly to: Session;
    readonly options: SyncOptions;
    readonly recorder: Recorder;
    readonly signal: AbortSignal;
  },
): Promise<string> {
  const { name, publication, scopeComment, epoch } = stream;
  if (action !== "hand-over") {
    await using applier = await openApplier(to, { name, signal });
    await applier.start();
    return `${name} enabled`;
  }
  const listed = new Set(publication?.tables.map((table) => tableKey(table)));
  const known: ScopeComment = scopeComment ?? { ...status.wanted, epoch };
  await using applier = await handOver({
    source: from,
    target: to,
    names: { slot: name, publication: name, subscription: name },
    scopeComment: known,
    published: status.tables.filter((table) => listed.has(tableKey(table))),
    predicateOf: (await selectRows(from, status.tables, status.scope.rules)).predicateOf,
    kind,
    access: accessTo(status.source, options.sync),
    copiedAt: options.sync.now,
    signal,
    events: recorder.events,
  });
  return `${applier.name} adopted`;
}

/**
 * Skips the transaction that stops a stream.
 *
 * Where the tool applies the changes, it must be the one that the record names, and that alone is
 * skipped. Of a subscription it must be the next one: otherwise everything up to the position would
 * be skipped before 15, and silently nothing since 15.
 *
 * @throws ReplicatorError with the next transactions, if it is not one of them
 */
export async function skip(
  failed: readonly FailedStream[],
  { lsn, recorder, run: { signal } }: Pick<FollowContext, "recorder" | "run"> & {
    readonly lsn: Lsn;
  },
): Promise<void> {
  if (failed.length === 0) {
    throw new ReplicatorError("no stream has apply errors: nothing to skip", {
      remedy: "see sync and status for the state of replication",
      exitCode: ExitCode.prerequisite,
    });
  }
  const others: string[] = [];
  for (const each of failed) {
    const lines = await skipIn(each, { lsn, signal });
    if (lines !== undefined) {
      others.push(...lines);
      continue;
    }
    recorder.events({
      kind: "warning",
      side: "target",
      object: `${
        each.stream.applier?.kind === "client" ? "stream" : "subscription"
      } ${each.stream.name}`,
      message: `the transaction that ends at ${
        formatLsn(lsn)
      } is skipped: its changes are missing on the target`,
      remedy: "apply them manually, or find and repair the rows with verify",
    });
    return;
  }
  throw new ReplicatorError(
    `no stream is stopped by a transaction that ends at ${formatLsn(lsn)}; nothing was skipped`,
    {
      side: "target",
      details: others,
      remedy:
        "set --skip-lsn to the position shown here, at which the transaction ends that cannot be applied",
      exitCode: ExitCode.prerequisite,
    },
  );
}

/** @returns what stops the stream if it is another transaction, which changes nothing */
async function skipIn(
  failed: FailedStream,
  options: { readonly lsn: Lsn; readonly signal: AbortSignal },
): Promise<readonly string[] | undefined> {
  const { applier } = failed.stream;
  return applier?.kind === "client"
    ? await skipOfClient(failed, applier, options)
    : await skipOfSubscription(failed, options);
}

async function skipOfClient(
  { status, stream: { name } }: FailedStream,
  { error }: Pick<ApplierReading, "error">,
  { lsn, signal }: { readonly lsn: Lsn; readonly signal: AbortSignal },
): Promise<readonly string[] | undefined> {
  if (error === undefined || parseOptionalLsn(error.finishLsn ?? null) !== lsn) {
    return error === undefined
      ? [`${name}: nothing to skip`]
      : explainApplyError(error).map((line) => `${name}: ${line}`);
  }
  const { source, target } = status;
  await using from = await retry(() => openSession(source, { signal }), { signal });
  await using to = await retry(() => openSession(target, { signal }), { signal });
  return await whileNotSwitching(status, { from, to }, async () => {
    await using applier = await openApplier(to, { name, signal });
    await applier.skip(lsn);
    return undefined;
  });
}

async function skipOfSubscription(
  { status, stream: { name, applier: existing, slot, publication } }: FailedStream,
  { lsn, signal }: { readonly lsn: Lsn; readonly signal: AbortSignal },
): Promise<readonly string[] | undefined> {
  if (existing === undefined || slot === undefined || publication === undefined) return [];
  const { source, target } = status;
  await using from = await retry(() => openSession(source, { signal }), { signal });
  await using to = await retry(() => openSession(target, { signal }), { signal });
  return await whileNotSwitching(status, { from, to }, async () => {
    await using applier = await openApplier(to, { name, signal });
    await applier.stop();
    const { transaction, lines } = await diagnoseApplyError({
      source: from,
      target: to,
      applier: existing,
      slot,
      publication: publication.name,
    });
    if (transaction?.finishLsn === lsn) {
      await applier.skip(lsn);
      return undefined;
    }
    if (existing.enabled) await applier.start();
    return lines.length === 0
      ? [`${name}: nothing to apply`]
      : lines.map((line) => `${name}: ${line}`);
  });
}
