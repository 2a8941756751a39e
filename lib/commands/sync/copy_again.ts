/**
 * Copies tables again, or for the first time, under a slot of their own, while all other tables
 * keep replicating.
 *
 * @module
 */
import {
  displayName,
  ExitCode,
  plural,
  quoteIdentifier,
  quoteQualified,
  ReplicatorError,
  tableKey,
  type TableName,
} from "../../core/internal.ts";
import {
  actAsReplica,
  ConnectionError,
  openSession,
  pause,
  retry,
  ServerError,
  type Session,
  SqlState,
  withoutEventTriggers,
} from "../../postgres/internal.ts";
import type { Table } from "../../catalog/internal.ts";
import {
  checkRowTypes,
  copyTables,
  ignoreCopyProgress,
  planCopy,
  readPlanBounds,
} from "../../copy/internal.ts";
import {
  abandonStream,
  type ChangedIdentity,
  dropSlot,
  dropSlotApart,
  handOver,
  keepTables,
  nameSome,
  openApplier,
  planPublication,
  readFiringTriggers,
  type ReplicationStream,
  startStream,
  type StreamStart,
} from "../../replication/internal.ts";
import type { DumpTool } from "../../schema/internal.ts";
import { accessTo, selectRows } from "../shared/replication_setup.ts";
import type { Recorder } from "../shared/recorder.ts";
import type { SyncOptions } from "../shared/run.ts";
import { finishTables, makeTables, type NewStructure, removeTables } from "./new_tables.ts";
import { hazardEvents, readHazards, refuseCertain } from "./report_hazards.ts";
import type { ReplicationStatus } from "./replication_status.ts";

/** What {@linkcode copyAgain} takes. */
export interface CopyAgainOptions {
  readonly situation: ReplicationStatus;
  readonly tables: readonly Table[];
  readonly options: SyncOptions;
  /** The tool that dumps the structure of new tables; undefined if the tables exist. */
  readonly tool: DumpTool | undefined;
  readonly recorder: Recorder;
  readonly signal: AbortSignal;
}

/**
 * Removes the tables from their streams, starts a new stream for them, copies their rows under its
 * snapshot, and hands over to an applier.
 *
 * States: in old streams → in no stream (the target no longer applies their changes) → in a new
 * stream, rows being copied → replicating. All of them are durable. If it fails, the new stream is
 * undone, the tables are in no stream, and the error says so.
 */
export async function copyAgain(work: CopyAgainOptions): Promise<void> {
  const { situation, options, signal, tool, recorder } = work;
  const { source, target } = situation;
  await using from = await retry(() => openSession(source, { signal }), { signal });
  await using to = await retry(() => openSession(target, { signal }), { signal });
  const settings = await copySettings(to, work);
  await refuseUnpublishable(work, { from, to });
  const remembered = await removeFromStreams(work, { from, to });
  let started: StreamStart | undefined;
  let structure: NewStructure | undefined;
  let stage: Stage = "copying";
  try {
    started = await startCopyStream(work, remembered);
    await using _held = started.snapshot;
    const making = tool === undefined ? undefined : {
      ...{ situation, tables: work.tables, tool, start: started, from, to, recorder, signal },
      actsAsReplica: "session_replication_role" in settings,
    };
    if (making !== undefined) {
      stage = "making-tables";
      structure = await makeTables(making);
      stage = "copying";
    }
    await copyRows(work, { start: started, to, settings });
    if (making !== undefined && structure !== undefined) await finishTables(making, structure);
    const { snapshot: _, ...start } = started;
    stage = "handing-over";
    await using _applier = await handOver({
      source: from,
      target: to,
      ...start,
      access: accessTo(source, options.sync),
      copiedAt: options.sync.now,
      signal,
      events: work.recorder.events,
    });
  } catch (error) {
    const left = await withdraw(work, {
      ...{ started, structure, stage, error },
      lost: to.isOpen ? undefined : to.processId,
    });
    throw explain(error, work, left);
  }
}

/**
 * What was running. Except while `copying`, a lost connection leaves open whether the target has
 * committed.
 */
type Stage = "making-tables" | "copying" | "handing-over";

/** What a failed copy has left behind. */
type Left =
  | { readonly kind: "nothing" }
  /** The target has committed the subscription: all rows are copied, and it can apply changes. */
  | { readonly kind: "subscription"; readonly name: string }
  /** Whether the target has committed the subscription is unknown: the slot is kept for it. */
  | { readonly kind: "unknown"; readonly slot: string; readonly reason: string }
  | { readonly kind: "tables"; readonly reason: string }
  | { readonly kind: "stream"; readonly name: string; readonly reason: string };

/**
 * Undoes a failed copy, unless the target has already committed the subscription, which may have
 * happened before the error. May be interrupted and repeated. New tables that cannot be removed
 * keep their publication, by which the next run recognizes them.
 */
async function withdraw(
  { situation }: CopyAgainOptions,
  { started, structure, stage, error, lost }: {
    readonly started: StreamStart | undefined;
    readonly structure: NewStructure | undefined;
    readonly stage: Stage;
    readonly error: unknown;
    /** The backend of a broken connection, which may still commit. */
    readonly lost: number | undefined;
  },
): Promise<Left> {
  if (started === undefined) return { kind: "nothing" };
  const { source, target } = situation;
  const { names } = started;
  let isUnknown = stage === "handing-over";
  try {
    await using session = await retry(() => openSession(target), {
      ...(isUnknown ? {} : { delaysMs: [] }),
    });
    if (lost !== undefined) await endBackend(session, lost);
    await using applier = openApplier(session, { name: names.subscription });
    if (await applier.state() !== "absent") {
      return { kind: "subscription", name: names.subscription };
    }
    isUnknown = false;
    if (structure !== undefined) await removeTables(situation, structure.made);
    else if (stage === "making-tables" && error instanceof ConnectionError) throw error;
  } catch (failure) {
    if (!(failure instanceof ReplicatorError)) throw failure;
    const reason = failure.message;
    if (isUnknown) return { kind: "unknown", slot: names.slot, reason };
    // report the first reason
    await dropSlotApart(source, names.slot).catch(() => {});
    const mayHaveTables = structure !== undefined || stage === "making-tables";
    return mayHaveTables ? { kind: "tables", reason } : { kind: "nothing" };
  }
  try {
    await abandonStream(source, names);
    return { kind: "nothing" };
  } catch (failure) {
    if (!(failure instanceof ReplicatorError)) throw failure;
    return { kind: "stream", name: names.publication, reason: failure.message };
  }
}

// not by process ID alone, which the server may have reused
const endStatement = `
  SELECT pg_catalog.pg_terminate_backend(old.pid)
    FROM pg_catalog.pg_stat_activity AS old
    JOIN pg_catalog.pg_stat_activity AS own ON own.pid = pg_catalog.pg_backend_pid()
   WHERE old.pid = $1 AND old.pid <> own.pid AND old.application_name = own.application_name
     AND old.datid = own.datid AND old.usesysid = own.usesysid
     AND old.backend_start < own.backend_start`;

const endAttempts = 50;
const endPauseMs = 200;

/**
 * Terminates the backend of a broken connection, so that it cannot commit any more.
 *
 * @throws ReplicatorError if it does not end
 */
async function endBackend(session: Session, processId: number): Promise<void> {
  for (let attempt = 1;; attempt++) {
    if ((await session.query(endStatement, [processId])).length === 0) return;
    if (attempt >= endAttempts) {
      throw new ReplicatorError(`the tool's backend ${processId} on the target does not end`, {
        side: "target",
        object: `database ${session.endpoint.database}`,
      });
    }
    await pause(endPauseMs);
  }
}

function explain(
  error: unknown,
  { tables, tool, signal }: CopyAgainOptions,
  left: Left,
): unknown {
  if (signal.aborted || !(error instanceof ReplicatorError)) return error;
  const copied = `${plural(tables.length, "table")}: ${nameSome(tables)}`;
  const again = `then run sync ${
    tool === undefined ? "--resnapshot" : "--add-tables"
  } again for them`;
  const [details, remedy] = left.kind === "subscription"
    ? [
      [`all rows are copied, and the subscription ${left.name} exists, for ${copied}`],
      "run sync again to start it",
    ]
    : left.kind === "unknown"
    ? [
      [
        `whether the target has created the subscription is unknown (${left.reason}), for ${copied}`,
        `the slot ${left.slot} is kept for it and retains WAL on the source`,
      ],
      "run sync again once the target is reachable: it starts the subscription, or reports what to copy again",
    ]
    : [
      [
        `${plural(tables.length, "table is", "tables are")} no longer replicated: ${
          nameSome(tables)
        }`,
        ...(left.kind === "tables"
          ? [`they are incomplete on the target and could not be removed: ${left.reason}`]
          : left.kind === "stream"
          ? [
            `slot and publication ${left.name} could not be removed from the source: ${left.reason}`,
          ]
          : []),
      ],
      again,
    ];
  return new ReplicatorError(error.message, {
    side: error.side,
    object: error.object,
    details: [...error.details, ...details],
    remedy: [...(error.remedy === undefined ? [] : [error.remedy]), remedy].join("; "),
    exitCode: error.exitCode,
    cause: error,
  });
}

/** Finds what cannot be published, or would stop the stream later, before anything is changed. */
async function refuseUnpublishable(
  { situation, tables: wanted, options, recorder }: CopyAgainOptions,
  { from, to }: { readonly from: Session; readonly to: Session },
): Promise<void> {
  const { scope, source: { database } } = situation;
  const { tables, predicateOf } = await selectRows(from, wanted, scope.rules);
  await planPublication({ session: from, tables, predicateOf, policy: options.sync.identity });
  const hazards = await readHazards(situation, { tables, source: from, target: to });
  refuseCertain(hazards, database);
  for (const event of hazardEvents(hazards, database)) recorder.events(event);
}

/**
 * Removes the tables from existing streams.
 *
 * @returns the changed replica identities that those streams recorded
 */
async function removeFromStreams(
  { situation, tables, recorder, signal }: CopyAgainOptions,
  { from, to }: { readonly from: Session; readonly to: Session },
): Promise<readonly ChangedIdentity[]> {
  const leavingKeys = new Set(tables.map((table) => tableKey(table)));
  const remembered: ChangedIdentity[] = [];
  for (const stream of situation.streams) {
    const { publication, descriptor, name } = stream;
    const listed = publication?.tables ?? stream.subscription?.tables ?? [];
    const leaving = listed.filter((table) => leavingKeys.has(tableKey(table)));
    const unfinished = stream.subscription === undefined && descriptor?.copiedAt === undefined;
    if (leaving.length === 0 && !(unfinished && listed.length === 0)) continue;
    remembered.push(
      ...descriptor?.changedIdentities.filter((table) => leavingKeys.has(tableKey(table))) ?? [],
    );
    if (leaving.length === listed.length) {
      await removeStream(stream, { from, to, signal });
      recorder.events({ kind: "info", message: `removed ${name}, which has no tables left` });
    } else await shrinkStream(stream, { leaving, from, to, signal });
  }
  return remembered;
}

async function removeStream(
  { name, subscription, slot }: ReplicationStream,
  { from, to, signal }: {
    readonly from: Session;
    readonly to: Session;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  if (subscription !== undefined) {
    await using applier = openApplier(to, { name, signal });
    await applier.remove({ restoreIdentities: false });
  }
  if (slot !== undefined) await dropSlot(from, { name, signal });
  // replica identities are kept: the tables are about to be published again
  await withoutEventTriggers(
    from,
    () => from.execute(`DROP PUBLICATION IF EXISTS ${quoteIdentifier(name)}`),
  );
}

async function shrinkStream(
  stream: ReplicationStream,
  { leaving, from, to, signal }: {
    readonly leaving: readonly TableName[];
    readonly from: Session;
    readonly to: Session;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { name, subscription, publication } = stream;
  const gone = new Set(leaving.map((table) => tableKey(table)));
  const kept = publication?.tables.filter((table) => !gone.has(tableKey(table))) ?? [];
  await keepTables(from, stream, kept);
  if (subscription === undefined) return;
  // REFRESH requires an enabled subscription; a disabled one is disabled again afterwards
  await using applier = openApplier(to, { name, signal });
  if (!subscription.enabled) await applier.start();
  await applier.forgetRemovedTables();
  if (!subscription.enabled) await applier.stop();
}

function startCopyStream(
  { situation, tables, options, recorder, signal, tool }: CopyAgainOptions,
  remembered: readonly ChangedIdentity[],
): Promise<StreamStart> {
  const { source, scope, streams } = situation;
  const wanted = new Set(tables.map((table) => tableKey(table)));
  return recorder.step(() =>
    startStream(source, {
      scope,
      epoch: Math.max(0, ...streams.map(({ epoch }) => epoch)) + 1,
      policy: options.sync.identity,
      slotTimeoutMs: options.sync.slotTimeoutMs,
      failover: options.sync.failover,
      createdAt: options.sync.now,
      remembered,
      ...(tool === undefined
        ? {}
        : { added: tables.map(({ schema, name }) => ({ schema, name })) }),
      events: recorder.events,
      signal,
      select: (_, all) => Promise.resolve(all.filter((table) => wanted.has(tableKey(table)))),
      withRows: (session, selected) => selectRows(session, selected, scope.rules),
    }), {
    step: "slot",
    database: source.database,
    summarise: ({ published, names }) =>
      `${plural(published.length, "table")} ${
        tool === undefined ? "again" : "added"
      }: ${names.slot}`,
  });
}

async function copyRows(
  { situation, options, tool, recorder, signal }: CopyAgainOptions,
  { start, to, settings }: {
    readonly start: StreamStart;
    readonly to: Session;
    readonly settings: Readonly<Record<string, string>>;
  },
): Promise<void> {
  const { source, target, planned } = situation;
  const { predicateOf } = await selectRows(
    start.snapshot.session,
    start.tables,
    situation.scope.rules,
  );
  await checkRowTypes(start.snapshot.session, to);
  if (tool === undefined) await emptyTables(to, start.published);
  recorder.events({
    kind: "database-planned",
    database: source.database,
    tables: start.published.length,
    bytes: start.published.reduce((sum, { bytes }) => sum + bytes, 0),
  });
  await recorder.step(async () =>
    await copyTables({
      source,
      target,
      targetSettings: settings,
      snapshot: start.snapshot,
      // already emptied; TRUNCATE would fail for tables that foreign keys reference
      parts: planCopy(start.published, {
        sourceMajor: start.snapshot.session.majorVersion,
        encoding: planned.source.encoding,
        settings: options.copy,
        predicateOf,
        keyBounds: await readPlanBounds(start.snapshot.session, start.published, options.copy),
      }).map((part) => ({ ...part, freeze: false })),
      encoding: planned.source.encoding,
      settings: options.copy,
      signal,
      events: recorder.events,
      pace: undefined,
      record: undefined,
      progress: ignoreCopyProgress,
    }), {
    step: "data",
    database: source.database,
    summarise: (copied) => plural(copied.length, "table"),
  });
}

/** Empties tables with TRUNCATE, or with DELETE where foreign keys of other tables prevent it. */
async function emptyTables(session: Session, tables: readonly TableName[]): Promise<void> {
  if (tables.length === 0) return;
  const names = tables.map(({ schema, name }) => `ONLY ${quoteQualified(schema, name)}`);
  try {
    await session.execute(`TRUNCATE ${names.join(", ")}`);
  } catch (error) {
    if (!(error instanceof ServerError) || error.sqlState !== SqlState.featureNotSupported) {
      throw error;
    }
    await session.transaction(async () => {
      await session.execute("SET LOCAL session_replication_role = replica");
      for (const name of names) await session.execute(`DELETE FROM ${name}`);
    });
  }
}

/**
 * The session settings of a copy: copied rows must not fire triggers or foreign key checks. If the
 * role cannot disable them, new tables get theirs after the copy.
 *
 * @throws ReplicatorError if triggers of existing tables would fire
 */
async function copySettings(
  session: Session,
  { tables, tool }: Pick<CopyAgainOptions, "tables" | "tool">,
): Promise<Readonly<Record<string, string>>> {
  const isReplica = await session.transaction(() => actAsReplica(session, "LOCAL"));
  if (tool === undefined) {
    const wanted = new Set(tables.map((table) => tableKey(table)));
    const triggers = isReplica
      ? await readFiringTriggers(session, { forCopy: true })
      : await readEnabledTriggers(session);
    const found = triggers.filter((table) => wanted.has(tableKey(table)));
    if (found.length > 0) throw triggersFire(session, { isReplica, found });
  }
  return isReplica ? { session_replication_role: "replica" } : {};
}

type TriggerOf = TableName & { readonly trigger: string };

async function readEnabledTriggers(session: Session): Promise<readonly TriggerOf[]> {
  return await session.query<TriggerOf>(
    `SELECT n.nspname AS schema, c.relname AS name, t.tgname AS trigger
       FROM pg_catalog.pg_trigger AS t
       JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
       JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      WHERE t.tgenabled IN ('O', 'A')`,
  );
}

function triggersFire(
  session: Session,
  { isReplica, found }: { readonly isReplica: boolean; readonly found: readonly TriggerOf[] },
): ReplicatorError {
  const names = [...new Set(found.map(displayName))];
  const alter = (what: string) =>
    found.map(({ schema, name, trigger }) =>
      `ALTER TABLE ${quoteQualified(schema, name)} ${what} TRIGGER ${quoteIdentifier(trigger)};`
    ).join(" ");
  return new ReplicatorError(
    isReplica
      ? `triggers of ${
        names.join(", ")
      } that are enabled ALWAYS or for REPLICA would fire for every copied row`
      : `the role may not disable triggers, and ${names.join(", ")} ${
        names.length === 1 ? "has" : "have"
      } some`,
    {
      side: "target",
      object: `database ${session.endpoint.database}`,
      remedy: isReplica
        ? `run on the target: ${alter("DISABLE")} and enable them again after the cutover`
        : session.majorVersion >= 15
        ? "run as a superuser: GRANT SET ON PARAMETER session_replication_role TO the role; or connect as a superuser"
        : "connect as a superuser, or as the provider's admin role",
      exitCode: ExitCode.prerequisite,
    },
  );
}
