/**
 * Preparing a database for a cutover: days ahead, without an outage, and undone by `cleanup`.
 *
 * @module
 */
import {
  cutoverSchema,
  type EventSink,
  ExitCode,
  ReplicatorError,
  retry,
  tableKey,
  type TableName,
} from "../core/internal.ts";
import { revokeDefaultPrivileges } from "../checkpoint/internal.ts";
import {
  durableSettings,
  type Endpoint,
  openSession,
  type Session,
  textArray,
  withoutEventTriggers,
} from "../postgres/internal.ts";
import {
  openApplier,
  parseReplicationName,
  readAppliers,
  readDatabaseRef,
  readPublications,
  type SubscriptionAccess,
} from "../replication/internal.ts";
import type { FenceKind } from "../config/internal.ts";
import { listTables } from "../catalog/internal.ts";
import {
  backStreamName,
  isBackStreamOutdated,
  prepareBackStream,
  publishTokens,
} from "./back_stream.ts";
import { changeFence } from "./change_fence.ts";
import { removeStream } from "./dismantle.ts";
import { createFence, dropFence, enableFence, readFence } from "./fence.ts";
import { interruptedSwitch } from "./interrupted_switch.ts";
import { lockCutover } from "./lock.ts";
import { contradictionRemedy, type CutoverPhase, phaseOf, type SideDetails } from "./model.ts";
import {
  createTokenTable,
  describePlace,
  readSide,
  recordSideStatement,
  refuseForeignSchema,
  schemaStatements,
  tokenTableName,
} from "./own_schema.ts";
import { reopenSessions } from "./session_fence.ts";
import { awaitTokens, sendToken } from "./token.ts";

/** What preparing a database takes. */
export interface PrepareOptions {
  /** The database in use. */
  readonly source: Endpoint;
  /** The database that will be opened; fenced from now on. */
  readonly target: Endpoint;
  /** Names, on the source, of all databases that are closed and opened together. */
  readonly databases: readonly string[];
  /** How the source's server connects to the target; undefined for no way back. */
  readonly wayBack: SubscriptionAccess | undefined;
  /** How the source is closed. */
  readonly fence: FenceKind;
  /** Identifies the cutover, a UUID; that of an existing record is kept. */
  readonly id: string;
  /** ISO timestamp. */
  readonly now: string;
  /** Receives what it waits for. */
  readonly events: EventSink;
  readonly signal: AbortSignal;
}

/** A prepared database. */
export interface PreparedDatabase {
  readonly id: string;
  readonly forward: readonly string[];
  readonly back: string | null;
  readonly tables: readonly TableName[];
}

/**
 * The streams of the tool from one database to another, and the tables that they carry, with the
 * partitioned tables above them.
 */
export async function readForwardStreams(
  { source, target }: { readonly source: Session; readonly target: Session },
): Promise<{ readonly names: readonly string[]; readonly tables: readonly TableName[] }> {
  const [from, to] = await Promise.all([readDatabaseRef(source), readDatabaseRef(target)]);
  const followed = new Set((await readAppliers(target)).map(({ name }) => name));
  const streams = (await readPublications(source)).filter(({ name, scopeComment }) =>
    parseReplicationName(name) !== undefined && followed.has(name) &&
    scopeComment?.source.system === from.system && scopeComment.source.database === from.database &&
    scopeComment.target.system === to.system && scopeComment.target.database === to.database
  );
  const names = streams.map(({ name }) => name);
  return { names, tables: await withAncestors(source, names) };
}

const scopeStatement = `
  WITH RECURSIVE scope (oid) AS (
    SELECT r.prrelid
      FROM pg_catalog.pg_publication_rel AS r
      JOIN pg_catalog.pg_publication AS p ON p.oid = r.prpubid
     WHERE p.pubname = ANY ($1::pg_catalog.name[])
     UNION
    SELECT i.inhparent FROM scope JOIN pg_catalog.pg_inherits AS i ON i.inhrelid = scope.oid
  )
  SELECT n.nspname AS schema, c.relname AS name
    FROM scope
    JOIN pg_catalog.pg_class AS c ON c.oid = scope.oid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE n.nspname <> $2 AND c.relkind IN ('r', 'p')
   ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C"`;

async function withAncestors(
  session: Session,
  publications: readonly string[],
): Promise<readonly TableName[]> {
  return await session.query<TableName & Record<string, unknown>>(scopeStatement, [
    textArray(publications),
    cutoverSchema,
  ]);
}

/**
 * Prepares one database: on the source the fence, open; on the target the fence, closed; token
 * tables in the publications of both directions; the way back, stopped. Each step can be repeated.
 *
 * @throws ReplicatorError (prerequisite) if no stream of the tool connects the databases
 */
export async function prepareDatabase(options: PrepareOptions): Promise<PreparedDatabase> {
  const { signal, now, wayBack, fence, events } = options;
  await using source = await open(options.source, signal);
  await using target = await open(options.target, signal);
  for (const session of [source, target]) {
    await refuseForeignSchema(session);
    await lockCutover(session);
  }
  const records = { source: await readSide(source), target: await readSide(target) };
  // it may have been switched before the lock was granted
  refuseSwitched(options, phaseOf(records));
  if (interruptedSwitch(records)?.isTurning === true) throw turning(options);
  const forward = await readForwardStreams({ source, target });
  if (forward.names.length === 0) throw notReplicated(options);
  const existing = records.source ?? records.target;
  const id = existing?.id ?? options.id;
  const backName = await backStreamName({ from: target, to: source });
  const carried = new Set(forward.tables.map((table) => tableKey(table)));
  const leftOutOf = async (session: Session) =>
    (await listTables(session)).filter((table) => !carried.has(tableKey(table)))
      .map(({ schema, name }) => ({ schema, name }));
  const leftOut = { source: await leftOutOf(source), target: await leftOutOf(target) };
  const refs = { source: await readDatabaseRef(source), target: await readDatabaseRef(target) };
  const detailsOf = (side: "source" | "target"): SideDetails => ({
    version: 1,
    side,
    ...refs,
    databases: options.databases,
    forward: forward.names,
    // recorded before it exists, so that cleanup finds it after a crash
    back: wayBack === undefined ? null : backName,
    tables: forward.tables,
    leftOut: leftOut[side],
    isPrepared: false,
    isFinished: false,
    isTurning: false,
    isSettled: true,
    ...(side === "source" && fence === "sessions" ? { fence } : {}),
    evidence: records[side]?.details.evidence ?? null,
  });
  const unwanted = wayBack === undefined ? existing?.details.back ?? undefined : undefined;
  if (unwanted !== undefined) {
    // before the record that names it is replaced
    await removeStream(unwanted, {
      leaves: options.target,
      arrives: options.source,
      restoresCopies: false,
    });
  }
  const generation = existing?.generation ?? 0;
  if (records.source !== undefined) await reopenSessions(source, records.source);
  await createOwnSchema(source, {
    elsewhere: describePlace(options.target),
    record: { id, isOpen: true, generation, details: detailsOf("source") },
    streams: forward.names,
  });
  await createOwnSchema(target, {
    elsewhere: describePlace(options.source),
    // one that a rollback has closed stays closed, with its read-only default
    record: {
      id,
      isOpen: records.target?.isOpen ?? true,
      generation,
      details: detailsOf("target"),
    },
    streams: forward.names,
  });
  if (fence === "triggers") await createFences(source, forward.tables);
  await createFences(target, forward.tables);
  for (const session of [source, target]) await dropOtherFences(session, forward.tables);
  for (const stream of forward.names) {
    await publishTokens(source, stream);
    // also if they were published already: an earlier run may have ended here
    await using applier = await openApplier(target, { name: stream, signal });
    await applier.addTables([{ schema: cutoverSchema, name: tokenTableName(stream) }]);
    await proveTokens(stream, { source, target, events, signal });
  }
  const back = wayBack === undefined ? null : await prepareWayBack({
    ...options,
    tables: forward.tables,
    access: wayBack,
    now,
    sessions: { source, target },
  });
  const complete = (side: "source" | "target"): SideDetails => ({
    ...detailsOf(side),
    isPrepared: true,
  });
  await withoutEventTriggers(target, async () => {
    await target.execute("SET LOCAL lock_timeout = '10s'");
    for (const table of forward.tables) await target.execute(enableFence(table));
    await target.execute(
      recordSideStatement({ id, isOpen: false, generation, details: complete("target") }),
    );
  });
  await source.execute(
    recordSideStatement({ id, isOpen: true, generation, details: complete("source") }),
  );
  return { id, forward: forward.names, back, tables: forward.tables };
}

function open(endpoint: Endpoint, signal: AbortSignal): Promise<Session> {
  return retry(() => openSession(endpoint, { signal, settings: durableSettings }), { signal });
}

async function createOwnSchema(
  session: Session,
  { elsewhere, record, streams }: {
    readonly elsewhere: string;
    readonly record: Parameters<typeof recordSideStatement>[0];
    readonly streams: readonly string[];
  },
): Promise<void> {
  await withoutEventTriggers(session, async () => {
    for (const statement of schemaStatements(elsewhere)) await session.execute(statement);
    for (const stream of streams) await session.execute(createTokenTable(stream));
    await revokeDefaultPrivileges(session, cutoverSchema);
    await session.execute(recordSideStatement(record));
  });
}

/** Creates the fences that do not exist yet, disabled, one table in each transaction. */
async function createFences(session: Session, tables: readonly TableName[]): Promise<void> {
  const existing = new Set((await readFence(session)).map((table) => tableKey(table)));
  for (const table of tables) {
    if (!existing.has(tableKey(table))) await changeFence(session, table, createFence);
  }
}

/**
 * Drops the fences of tables that an earlier `prepare` found in scope: no switch would open them.
 */
async function dropOtherFences(session: Session, tables: readonly TableName[]): Promise<void> {
  const wanted = new Set(tables.map((table) => tableKey(table)));
  for (const table of await readFence(session)) {
    if (!wanted.has(tableKey(table))) await changeFence(session, table, dropFence);
  }
}

const tokenAttempts = 15;
const tokenWaitMs = 2_000;

/**
 * Proves that tokens arrive. The first ones may be lost: the apply worker learns only from a change
 * that it has another table.
 */
async function proveTokens(
  stream: string,
  { source, target, events, signal }: {
    readonly source: Session;
    readonly target: Session;
    readonly events: EventSink;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  for (let attempt = 1;; attempt++) {
    const token = await sendToken(source, stream);
    try {
      await awaitTokens(target, {
        tokens: [token],
        deadlineMs: performance.now() + tokenWaitMs,
        signal,
      });
      return;
    } catch (error) {
      if (!(error instanceof ReplicatorError) || attempt >= tokenAttempts || signal.aborted) {
        throw error;
      }
      events({
        kind: "info",
        message:
          `${source.endpoint.database}: waiting until a change arrives through the stream ${stream} (attempt ${attempt} of ${tokenAttempts})`,
      });
    }
  }
}

async function prepareWayBack(
  { source, target, tables, access, now, signal, sessions }: {
    readonly source: Endpoint;
    readonly target: Endpoint;
    readonly tables: readonly TableName[];
    readonly access: SubscriptionAccess;
    readonly now: string;
    readonly signal: AbortSignal;
    readonly sessions: { readonly source: Session; readonly target: Session };
  },
): Promise<string> {
  const name = await backStreamName({ from: sessions.target, to: sessions.source });
  for (const session of [sessions.source, sessions.target]) {
    await withoutEventTriggers(session, async () => {
      await session.execute(createTokenTable(name));
      await revokeDefaultPrivileges(session, cutoverSchema);
    });
  }
  if (await isBackStreamOutdated(sessions.target, { name, tables })) {
    // it is stopped, and the side that it leaves is closed: nothing is on its way
    await removeStream(name, { leaves: target, arrives: source, restoresCopies: false });
  }
  return await prepareBackStream({ from: target, to: source, tables, access, now, signal });
}

function refuseSwitched({ source }: PrepareOptions, phase: CutoverPhase): void {
  if (phase === "none" || phase === "preparing" || phase === "prepared") return;
  throw new ReplicatorError(`the database cannot be prepared in the phase ${phase}`, {
    side: "source",
    object: `database ${source.database}`,
    remedy: phase === "contradictory"
      ? contradictionRemedy
      : "see cutover status for the next command",
    exitCode: ExitCode.prerequisite,
  });
}

function turning({ source }: PrepareOptions): ReplicatorError {
  return new ReplicatorError("a switch was interrupted a moment ago", {
    side: "source",
    object: `database ${source.database}`,
    remedy: "run the same command again: it restores the streams first",
    exitCode: ExitCode.prerequisite,
  });
}

function notReplicated({ source, target }: PrepareOptions): ReplicatorError {
  return new ReplicatorError(
    `no subscription of the tool replicates database ${source.database} to ${target.database}`,
    {
      side: "target",
      object: `database ${target.database}`,
      remedy: "start replication first: init --enable-sync, then sync",
      exitCode: ExitCode.prerequisite,
    },
  );
}
