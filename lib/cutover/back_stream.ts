/**
 * The way back: a stream from the side that will be opened to the side that will be closed,
 * established before it is needed and stopped until then.
 *
 * It is an ordinary stream of the tool with the sides exchanged. Its slot is created before the
 * barrier, since creating a slot waits for every running transaction of the server, and is advanced
 * during the pause past everything that the other direction has applied. So nothing comes back
 * twice, also before 16, where subscriptions cannot filter by origin.
 *
 * @module
 */
import {
  cutoverSchema,
  formatBytes,
  ignoreEvents,
  type Lsn,
  parseLsn,
  quoteIdentifier,
  quoteLiteral,
  ReplicatorError,
  retry,
  tableKey,
  type TableName,
} from "../core/internal.ts";
import {
  type Endpoint,
  openSession,
  ServerError,
  type Session,
  SqlState,
  withoutEventTriggers,
} from "../postgres/internal.ts";
import { listTables } from "../catalog/internal.ts";
import {
  assessPublication,
  createPublication,
  describeScope,
  isSlotLost,
  openApplier,
  planPublication,
  readDatabaseRef,
  readPublications,
  readSlots,
  replicationNames,
  SlotWait,
  type SubscriptionAccess,
} from "../replication/internal.ts";
import { noTableRules } from "../rules/internal.ts";
import { tokenTable } from "./own_schema.ts";

/** What {@linkcode prepareBackStream} takes. */
export interface BackStreamOptions {
  /** The side that the stream will leave: the migration's target. */
  readonly from: Endpoint;
  /** The side where it will arrive: the migration's source. */
  readonly to: Endpoint;
  readonly tables: readonly TableName[];
  /** How the server of `to` connects to `from`. */
  readonly access: SubscriptionAccess;
  /** ISO timestamp. */
  readonly now: string;
  readonly signal: AbortSignal;
}

/** The name of the way back between two databases. */
export async function backStreamName(
  { from, to }: { readonly from: Session; readonly to: Session },
): Promise<string> {
  const described = await describeScope(
    { source: await readDatabaseRef(from), target: await readDatabaseRef(to), rules: noTableRules },
    { epoch: 1, createdAt: "", changedIdentities: [] },
  );
  return replicationNames(described).slot;
}

const publishedStatement = `
  SELECT n.nspname AS schema, c.relname AS name
    FROM pg_catalog.pg_publication_rel AS r
    JOIN pg_catalog.pg_publication AS p ON p.oid = r.prpubid
    JOIN pg_catalog.pg_class AS c ON c.oid = r.prrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE p.pubname = $1 AND n.nspname <> '${cutoverSchema}'`;

/**
 * Whether an existing way back lists other tables than it should: tables were added to replication
 * since, or taken out.
 *
 * @param session on the side that the stream leaves
 */
export async function isBackStreamOutdated(
  session: Session,
  { name, tables }: { readonly name: string; readonly tables: readonly TableName[] },
): Promise<boolean> {
  if ((await readPublications(session, [name])).length === 0) return false;
  const keys = new Set(tables.map((table) => tableKey(table)));
  const { plan } = await assessPublication({
    session,
    tables: (await listTables(session)).filter((table) => keys.has(tableKey(table))),
    policy: "full",
  });
  const wanted = new Set(plan.tables.map((table) => tableKey(table)));
  const listed = await session.query<TableName & Record<string, unknown>>(publishedStatement, [
    name,
  ]);
  return listed.length !== wanted.size || listed.some((table) => !wanted.has(tableKey(table)));
}

/**
 * Creates publication and subscription of the way back, stopped and without a slot. Existing ones
 * are left as they are.
 *
 * @returns the stream's name
 */
export async function prepareBackStream(options: BackStreamOptions): Promise<string> {
  const { signal, now, tables, access } = options;
  await using from = await retry(() => openSession(options.from, { signal }), { signal });
  await using to = await retry(() => openSession(options.to, { signal }), { signal });
  const described = await describeScope(
    { source: await readDatabaseRef(from), target: await readDatabaseRef(to), rules: noTableRules },
    { epoch: 1, createdAt: now, changedIdentities: [] },
  );
  const names = replicationNames(described);
  const keys = new Set(tables.map((table) => tableKey(table)));
  const published = (await listTables(from)).filter((table) => keys.has(tableKey(table)));
  let scopeComment = { ...described, copiedAt: now };
  if ((await readPublications(from, [names.publication])).length === 0) {
    const plan = await planPublication({ session: from, tables: published, policy: "full" });
    scopeComment = { ...scopeComment, changedIdentities: plan.changedIdentities };
    await createPublication(from, { name: names.publication, plan, scopeComment });
  }
  await publishTokens(from, names.publication);
  await using applier = await openApplier(to, { name: names.subscription, signal });
  if (await applier.state() === "absent") {
    // what the forward streams brought must not return, whatever the position of the slot
    await applier.create({
      source: from,
      names,
      predicateOf: () => undefined,
      published,
      scopeComment,
      access,
      origin: "none",
    });
  }
  return names.subscription;
}

/** Adds a stream's token table to its publication, unless it is published already. */
export async function publishTokens(session: Session, stream: string): Promise<void> {
  if (await publishesTokens(session, stream)) return;
  await alterTokens(session, { stream, action: "ADD" });
}

/** Takes a stream's token table out of its publication, if it is in there. */
export async function unpublishTokens(session: Session, stream: string): Promise<void> {
  if (await publishesTokens(session, stream)) {
    await alterTokens(session, { stream, action: "DROP" });
  }
}

async function publishesTokens(session: Session, stream: string): Promise<boolean> {
  const { isPublished } = await session.queryOne<{ readonly isPublished: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_publication_rel AS r
                      JOIN pg_catalog.pg_publication AS p ON p.oid = r.prpubid
                     WHERE p.pubname = $1 AND r.prrelid = pg_catalog.to_regclass($2)::pg_catalog.oid)
            AS "isPublished"`,
    [stream, tokenTable(stream)],
  );
  return isPublished;
}

async function alterTokens(
  session: Session,
  { stream, action }: { readonly stream: string; readonly action: "ADD" | "DROP" },
): Promise<void> {
  await withoutEventTriggers(session, () =>
    session.execute(
      `ALTER PUBLICATION ${quoteIdentifier(stream)} ${action} TABLE ONLY ${tokenTable(stream)}`,
    ));
}

/** How much later the server ends the creation of a slot than the tool. */
const observedLateMs = 5_000;

/**
 * Creates the slot of a stream if it does not exist, or again if it was lost: what it lacks would
 * be skipped anyway, see {@linkcode advanceSlot}. The server waits for its running transactions, up
 * to the timeout.
 *
 * @param session on the side that the stream leaves
 * @throws ReplicatorError (prerequisite) with the transactions that did not end in time
 */
export async function ensureSlot(
  session: Session,
  { name, timeoutMs }: { readonly name: string; readonly timeoutMs: number },
): Promise<"created" | "existing"> {
  const [found] = await readSlots(session, [name]);
  if (found !== undefined && (!isSlotLost(found) || found.active)) return "existing";
  const failover = found !== undefined && await dropLostSlot(session, name);
  await using observer = await retry(() => openSession(session.endpoint));
  const watch = new AbortController();
  const watching = new SlotWait({ walsender: session, observer, timeoutMs, events: ignoreEvents })
    .watch(watch.signal);
  // if what it waits for cannot be observed
  const limitMs = timeoutMs + observedLateMs;
  await session.execute(`SET statement_timeout = ${Math.max(1, Math.ceil(limitMs))}`);
  try {
    await session.query(
      `SELECT FROM pg_catalog.pg_create_logical_replication_slot($1, 'pgoutput'${
        failover ? ", failover => true" : ""
      })`,
      [name],
    );
  } catch (error) {
    watch.abort();
    throw await watching ?? error;
  } finally {
    watch.abort();
    await watching;
    if (session.isOpen) await session.execute("SET statement_timeout = 0");
  }
  return "created";
}

/** Returns whether it was a failover slot (17+). */
async function dropLostSlot(session: Session, name: string): Promise<boolean> {
  const { failover } = await session.queryOne<{ readonly failover: boolean | null }>(
    `SELECT (pg_catalog.to_jsonb(s) ->> 'failover')::pg_catalog.bool AS failover
       FROM pg_catalog.pg_replication_slots AS s WHERE s.slot_name = $1`,
    [name],
  );
  await session.query("SELECT pg_catalog.pg_drop_replication_slot($1)", [name]);
  return failover === true;
}

/**
 * Has the server write down which transactions are running. From there a slot need not read older
 * WAL again when it is advanced and when its stream starts; by itself, the server does so every 15
 * seconds. Before 16, only creating another slot has this effect.
 *
 * Source: PostgreSQL documentation, "9.28.3. Backup Control Functions" (pg_log_standby_snapshot).
 *
 * @param session on the side that the stream leaves
 */
export async function logRunningTransactions(session: Session): Promise<void> {
  try {
    // twice: the second is the first that knows which transactions began after the other
    await session.query(
      session.majorVersion >= 16
        ? "SELECT pg_catalog.pg_log_standby_snapshot(), pg_catalog.pg_log_standby_snapshot()"
        : "SELECT FROM pg_catalog.pg_create_logical_replication_slot($1, 'pgoutput', true)",
      session.majorVersion >= 16 ? [] : [temporarySlot(session)],
    );
  } catch (error) {
    // it only saves time: neither a missing privilege nor a missing slot matters
    if (!(error instanceof ServerError)) throw error;
  }
}

function temporarySlot(session: Session): string {
  return `seren_temporary_${session.processId}`;
}

const busySlotDelaysMs: readonly number[] = Array.from({ length: 100 }, () => 20);

/**
 * Lets a slot skip everything up to the end of the WAL. Its reader has just been stopped.
 *
 * A slot advances no further than the flushed WAL, silently, and apply workers commit
 * asynchronously: without the flush, their last transactions would come back. A durable transaction
 * of the tool flushes everything before it.
 *
 * After a crash the slot may be where it was at the last checkpoint: see `Applier.advance`.
 *
 * @returns its new position
 * @throws ReplicatorError if the slot did not reach the end
 */
export async function advanceSlot(session: Session, slot: string): Promise<Lsn> {
  if (session.majorVersion >= 16) await logRunningTransactions(session);
  const { lsn } = await session.queryOne<{ readonly lsn: string }>(
    "SELECT pg_catalog.pg_current_wal_insert_lsn()::pg_catalog.text AS lsn",
  );
  await flushWal(session);
  const { reached, end } = await retry(
    () =>
      session.queryOne<{ readonly reached: boolean; readonly end: string }>(
        `SELECT a.end_lsn >= $2::pg_catalog.pg_lsn AS reached, a.end_lsn::pg_catalog.text AS end
           FROM pg_catalog.pg_replication_slot_advance($1, pg_catalog.pg_current_wal_flush_lsn()) AS a`,
        [slot, lsn],
      ),
    {
      delaysMs: busySlotDelaysMs,
      isRetryable: (error) =>
        error instanceof ServerError && error.sqlState === SqlState.objectInUse,
    },
  );
  if (reached) return parseLsn(end);
  throw new ReplicatorError(`the slot ${slot} did not advance to ${lsn}`, {
    side: session.side,
    object: `database ${session.endpoint.database}`,
    remedy: "run the same command again",
  });
}

/** Flushes all WAL; a synchronous standby, which may be away, is not waited for. */
export async function flushWal(session: Session): Promise<void> {
  await session.execute(
    "BEGIN; SET LOCAL synchronous_commit = local; " +
      "SELECT pg_catalog.pg_logical_emit_message(true, 'seren', ''); COMMIT",
  );
}

/** A slot that is kept while no stream reads it. */
export interface KeptSlot {
  /** The name of the slot. */
  readonly name: string;
  /** Bytes of WAL that it retains; null if it has been invalidated. */
  readonly retainedBytes: number | null;
}

/** An unused slot that retains more than this is reported. */
const retainedLimitBytes = 1024 ** 3;

/** What is wrong with a slot of the way back that is kept on the target, if anything. Pure. */
export function judgeKeptSlot(
  { name, retainedBytes }: KeptSlot,
): { readonly message: string; readonly remedy: string } | undefined {
  if (retainedBytes === null || retainedBytes <= retainedLimitBytes) return undefined;
  return {
    message: `the slot ${name} of the way back is not used before the next switch, and retains ${
      formatBytes(retainedBytes)
    } of WAL on the target's disk`,
    remedy:
      `run cutover status, which lets it advance unless something else was written on the target; or drop it on the target, the next switch creates it again: SELECT pg_catalog.pg_drop_replication_slot(${
        quoteLiteral(name).trim()
      });`,
  };
}

/** Reads how much WAL a slot retains; undefined if it does not exist. */
export async function readKeptSlot(session: Session, name: string): Promise<KeptSlot | undefined> {
  const [slot] = await session.query<{ readonly retained: number | null }>(
    `SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), restart_lsn)::pg_catalog.float8 AS retained
       FROM pg_catalog.pg_replication_slots WHERE slot_name = $1`,
    [name],
  );
  return slot && { name, retainedBytes: slot.retained };
}

/**
 * The same as `advanceSlot` for a slot that may be in use: then it cannot be advanced, and need not
 * be.
 */
export async function advanceSlotIfIdle(session: Session, slot: string): Promise<void> {
  const [row] = await session.query<{ readonly active: boolean }>(
    "SELECT active FROM pg_catalog.pg_replication_slots WHERE slot_name = $1",
    [slot],
  );
  if (row?.active === false) await advanceSlot(session, slot);
}
