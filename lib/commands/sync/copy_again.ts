/**
 * Copies tables again, or for the first time, under a slot of their own, while all other tables
 * keep replicating.
 *
 * @module
 */
import {
  errorMessage,
  nameSome,
  plural,
  quoteQualified,
  ReplicatorError,
  retry,
  tableKey,
  type TableName,
} from "../../core/internal.ts";
import { openSession, ServerError, type Session, SqlState } from "../../postgres/internal.ts";
import type { Table } from "../../catalog/internal.ts";
import { changeFence, disableFence, enableFence, readFence } from "../../cutover/internal.ts";
import {
  checkRowTypes,
  copyTables,
  ignoreCopyProgress,
  planCopy,
  readPlanBounds,
} from "../../copy/internal.ts";
import {
  type ApplierKind,
  type ChangedIdentity,
  handOver,
  holdForCopy,
  planPublication,
  releaseAfterCopy,
  startStream,
  type StreamStart,
} from "../../replication/internal.ts";
import type { DumpTool } from "../../schema/internal.ts";
import { accessTo, selectRows } from "../shared/replicated_rows.ts";
import type { Recorder } from "../shared/recorder.ts";
import type { SyncOptions } from "../shared/run.ts";
import { copySessionSettings, type QuietCopy } from "./copy_session_settings.ts";
import { finishTables, makeTables, type NewStructure } from "./new_tables.ts";
import { whileNotSwitching } from "./cutover_phase.ts";
import { removeFromStreams } from "./remove_from_streams.ts";
import { hazardEvents, readHazards, refuseCertain } from "./report_hazards.ts";
import type { ReplicationStatus } from "./replication_status.ts";
import { type CopyStage, explainFailedCopy, withdrawCopy } from "./withdraw_copy.ts";

/** What {@linkcode copyAgain} takes. */
export interface CopyAgainOptions {
  readonly status: ReplicationStatus;
  readonly tables: readonly Table[];
  readonly options: SyncOptions;
  /** What will apply the changes. */
  readonly kind: ApplierKind;
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
  const { status, signal, tool } = work;
  const { source, target } = status;
  await using from = await retry(() => openSession(source, { signal }), { signal });
  await using to = await retry(() => openSession(target, { signal }), { signal });
  const quiet = await copySessionSettings(to, {
    tables: work.tables,
    areNew: tool !== undefined,
    kind: work.kind,
  });
  await refuseUnpublishable(work, { from, to });
  const phase = await whileNotSwitching(status, { from, to }, async (read) => {
    await copyUnderLock(work, { from, to, quiet });
    return read;
  });
  if (phase === "none") return;
  work.recorder.events({
    kind: "warning",
    side: "source",
    object: `database ${source.database}`,
    message: "the cutover was prepared without the stream of this copy",
    remedy: "run cutover prepare again",
  });
}

/**
 * @param sessions `to` holds the lock of the target, which no switch can open meanwhile, and
 * empties the tables. If it is lost, the publication of the new stream, which is removed after the
 * copy, keeps a switch from beginning
 */
async function copyUnderLock(
  work: CopyAgainOptions,
  { from, to, quiet: { settings, holds } }: {
    readonly from: Session;
    readonly to: Session;
    readonly quiet: QuietCopy;
  },
): Promise<void> {
  const { status, options, signal, tool, recorder } = work;
  const { source } = status;
  const { tables } = work;
  const removal = { tables, from, to, recorder, signal, keepsHeldObjects: holds };
  const remembered = await removeFromStreams(status.streams, removal).catch(async (error) => {
    if (holds) await release(work);
    throw error;
  });
  let started: StreamStart | undefined;
  let structure: NewStructure | undefined;
  let stage: CopyStage = "copying";
  try {
    started = await startCopyStream(work, remembered);
    await using _held = started.snapshot;
    const making = tool === undefined ? undefined : {
      ...{ status, tables: work.tables, tool, start: started, from, to, recorder, signal },
      actsAsReplica: "session_replication_role" in settings,
    };
    if (making !== undefined) {
      stage = "making-tables";
      structure = await makeTables(making);
      stage = "copying";
    }
    const current = started;
    if (holds) await holdForCopy(to, current.published);
    await withFencesLifted(
      work,
      { tables: current.published, to },
      () => copyRows(work, { start: current, to, settings }),
    );
    if (making !== undefined && structure !== undefined) await finishTables(making, structure);
    const { snapshot: _, ...start } = started;
    stage = "handing-over";
    await using _applier = await handOver({
      source: from,
      target: to,
      ...start,
      predicateOf: (await selectRows(from, start.tables, status.scope.rules)).predicateOf,
      kind: work.kind,
      access: accessTo(source, options.sync),
      copiedAt: options.sync.now,
      signal,
      events: work.recorder.events,
    });
  } catch (error) {
    const left = await withdrawCopy(status, {
      ...{ started, structure, stage, error },
      lost: to.isOpen ? undefined : to.processId,
    });
    const isHandedOver = left.kind === "subscription" || left.kind === "unknown";
    if (holds && !isHandedOver) await release(work);
    throw explainFailedCopy(error, {
      tables: work.tables,
      areNew: tool !== undefined,
      signal,
      left,
    });
  }
}

/** Restores what was held for a copy that has failed. */
async function release({ status: { target }, recorder }: CopyAgainOptions): Promise<void> {
  try {
    await using session = await retry(() => openSession(target));
    await releaseAfterCopy(session);
  } catch (error) {
    if (!(error instanceof ReplicatorError)) throw error;
    recorder.events({
      kind: "warning",
      side: "target",
      object: `database ${target.database}`,
      message: `triggers and foreign keys are not as before the copy: ${
        [error.message, ...error.details].join("; ")
      }`,
      remedy: error.remedy ?? "repeat the copy: they are restored when its stream is stopped",
    });
  }
}

/** Finds what cannot be published, or would stop the stream later, before anything is changed. */
async function refuseUnpublishable(
  { status, tables: wanted, options, kind, recorder }: CopyAgainOptions,
  { from, to }: { readonly from: Session; readonly to: Session },
): Promise<void> {
  const { scope, source: { database } } = status;
  const { tables, predicateOf } = await selectRows(from, wanted, scope.rules);
  const policy = options.sync.identity;
  const isFilteredHere = kind === "client";
  await planPublication({ session: from, tables, predicateOf, policy, isFilteredHere });
  const hazards = await readHazards(status, { tables, source: from, target: to, kind });
  refuseCertain(hazards, database);
  for (const event of hazardEvents(hazards, database)) recorder.events(event);
}

function startCopyStream(
  { status, tables, options, kind, recorder, signal, tool }: CopyAgainOptions,
  remembered: readonly ChangedIdentity[],
): Promise<StreamStart> {
  const { source, scope, streams } = status;
  const wanted = new Set(tables.map((table) => tableKey(table)));
  return recorder.step(() =>
    startStream(source, {
      scope,
      epoch: Math.max(0, ...streams.map(({ epoch }) => epoch)) + 1,
      policy: options.sync.identity,
      kind,
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
    summarize: ({ published, names }) =>
      `${plural(published.length, "table")} ${
        tool === undefined ? "again" : "added"
      }: ${names.slot}`,
  });
}

async function copyRows(
  { status, options, tool, recorder, signal }: CopyAgainOptions,
  { start, to, settings }: {
    readonly start: StreamStart;
    readonly to: Session;
    readonly settings: Readonly<Record<string, string>>;
  },
): Promise<void> {
  const { source, target, planned } = status;
  const { predicateOf } = await selectRows(
    start.snapshot.session,
    start.tables,
    status.scope.rules,
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
    summarize: (copied) => plural(copied.length, "table"),
  });
}

/**
 * Writes tables that a prepared cutover has closed to everything but replicated changes. If the
 * process ends meanwhile, their fence stays disabled, which keeps a switch from beginning.
 */
async function withFencesLifted(
  { status, recorder }: CopyAgainOptions,
  { tables, to }: { readonly tables: readonly TableName[]; readonly to: Session },
  work: () => Promise<void>,
): Promise<void> {
  const wanted = new Set(tables.map((table) => tableKey(table)));
  const closed = (await readFence(to)).filter((table) =>
    table.isClosed && wanted.has(tableKey(table))
  );
  if (closed.length === 0) return await work();
  try {
    for (const table of closed) await changeFence(to, table, (each) => [disableFence(each)]);
    await work();
  } finally {
    await closeAgain(status, closed).catch((error) => {
      recorder.events({
        kind: "warning",
        side: "target",
        object: `database ${status.target.database}`,
        message: `the fence stays disabled on ${nameSome(closed)}: ${errorMessage(error)}`,
        remedy: "run cutover prepare again",
      });
    });
  }
}

/** In sessions of its own: an error or the signal may have ended the others. */
async function closeAgain(
  status: ReplicationStatus,
  tables: readonly TableName[],
): Promise<void> {
  await using from = await retry(() => openSession(status.source));
  await using to = await retry(() => openSession(status.target));
  await whileNotSwitching(status, { from, to }, async () => {
    for (const table of tables) await changeFence(to, table, (each) => [enableFence(each)]);
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
