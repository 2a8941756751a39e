/**
 * Reads what the preflight checks. Only reads.
 *
 * @module
 */
import {
  formatBytes,
  type Lsn,
  lsnDistance,
  pause,
  poll,
  tableKey,
  type TableName,
} from "../../core/internal.ts";
import {
  type EventTrigger,
  readUnsilencedEventTriggers,
  type Session,
} from "../../postgres/internal.ts";
import { listSequences, listTables, summarizeLargeObjects } from "../../catalog/internal.ts";
import {
  type ApplierProgress,
  type ApplierReading,
  backwardSides,
  compareShapes,
  forwardSides,
  isSlotLost,
  readApplierProgress,
  readAppliers,
  readPublications,
  readPublished,
  readShapes,
  readSlots,
  readTypes,
  readWaiting,
  readWalPosition,
  type SlotState,
  streamState,
} from "../../replication/internal.ts";
import type { FenceKind } from "../../config/internal.ts";
import { readFence } from "../fence.ts";
import type { UnfinishedSwitch } from "../interrupted_switch.ts";
import { readOutsideKeys } from "../outside_keys.ts";
import { readForwardStreams } from "../prepare.ts";
import { isFenceOutdated } from "../own_schema.ts";
import { readReadOnlyDefaults, readRoleDefaults, type RoleDefault } from "../read_only_default.ts";
import { readOtherSessions } from "../session_fence.ts";
import { type PrivilegesInput, readPrivileges } from "../read_privileges.ts";
import type { PreflightFacts } from "./preflight_facts.ts";
import type { OldTransaction, SessionFacts, SideFacts } from "./side_facts.ts";
import type { StreamReading } from "./stream_reading.ts";

/** What {@linkcode readPreflightFacts} takes. */
export interface FactsInput {
  /** A session on the side in use. */
  readonly from: Session;
  /** A session on the side that will be opened. */
  readonly to: Session;
  /** Streams from one to the other; undefined to find them. */
  readonly streams: readonly string[] | undefined;
  /** Tables with a fence; undefined before `prepare`. */
  readonly tables: readonly TableName[] | undefined;
  /** Tables that `prepare` has reported as not carried; empty before it. */
  readonly leftOut: readonly TableName[];
  /** Whether a way back is wanted or exists. */
  readonly wayBack: boolean;
  /** How the sides are closed; before `prepare`, as it was requested. */
  readonly fences: { readonly from: FenceKind; readonly to: FenceKind };
  /** Streams that a switch starts; empty before `prepare`. */
  readonly starting: readonly string[];
  /** How long to wait for the process that applies their changes, in milliseconds. */
  readonly attendanceMs: number;
  /** A switch that is running, or was interrupted; undefined before `prepare`. */
  readonly unfinished: UnfinishedSwitch | undefined;
  /** How `prepare` would create the way back; undefined after it. */
  readonly preparing: Pick<PrivilegesInput, "wayBack" | "probes"> | undefined;
  /** From which age on a transaction is worth a warning, in milliseconds. */
  readonly oldTransactionMs: number;
}

/** Reads both sides of one database. */
export async function readPreflightFacts(input: FactsInput): Promise<PreflightFacts> {
  const { from, to, wayBack, preparing } = input;
  const forward = await readForwardStreams({ source: from, target: to });
  const names = input.streams ?? forward.names;
  const tables = input.tables ?? forward.tables;
  const own = [...names, ...input.starting];
  // alone in their sessions: a refused setting aborts the transaction for a moment
  const [eventsFrom, eventsTo] = await Promise.all([
    readUnsilencedEventTriggers(from),
    readUnsilencedEventTriggers(to),
  ]);
  const [bothFrom, bothTo, streams, drift, sequences, outsideKeys, partitions] = await Promise.all([
    readSideFacts(from, {
      tables,
      oldTransactionMs: input.oldTransactionMs,
      fence: input.fences.from,
      streams: own,
      eventTriggers: eventsFrom,
    }),
    readSideFacts(to, {
      tables,
      oldTransactionMs: input.oldTransactionMs,
      fence: input.fences.to,
      streams: own,
      eventTriggers: eventsTo,
    }),
    readStreamsOf(names, { from, to }),
    readDrift(names, { from, to }),
    readUnmappedSequences({ from, to, streams: names, carried: forward.tables }),
    // those of the other side belong to the same tables
    readOutsideKeys(from, tables),
    readPartitions(to),
  ]);
  const common = await readCommonSequences(from, to);
  const [onFrom, onTo] = [bothFrom, bothTo].map((side): SideFacts => ({
    ...side,
    sequences: side.sequences.filter((sequence) => common.has(tableKey(sequence))),
  })) as [SideFacts, SideFacts];
  const carried = new Set(forward.tables.map((table) => tableKey(table)));
  const existing = await listTables(from);
  const notCarried = existing.filter((table) => !carried.has(tableKey(table)));
  const here = new Set(existing.map((table) => tableKey(table)));
  return {
    database: from.endpoint.database,
    from: onFrom,
    to: onTo,
    streams,
    unfinished: input.unfinished,
    tables,
    carried: forward.tables,
    drift,
    unmappedSequences: sequences,
    notCarried,
    partitionsNotCarried: notCarried.filter(({ partitionRoot }) =>
      partitionRoot !== undefined && carried.has(tableKey(partitionRoot))
    ),
    partitionsElsewhere: partitions.filter(({ root, ...table }) =>
      carried.has(tableKey(root)) && !here.has(tableKey(table))
    ).map(({ schema, name }) => ({ schema, name })),
    partitionsAlone: notCarried.filter(({ partitionRoot, ...table }) =>
      partitionRoot !== undefined && carried.has(tableKey(partitionRoot)) &&
      !partitions.some((other) => tableKey(other) === tableKey(table))
    ),
    leftOut: input.leftOut,
    outsideKeys,
    wayBack,
    unattended: await readUnattended(from, input),
    privileges: preparing === undefined ? undefined : await readPrivileges({
      source: from,
      target: to,
      streams: names,
      tables,
      ...preparing,
    }),
    largeObjects: await summarizeLargeObjects(from),
  };
}

/** The keys of sequences that both sides have: those whose values a switch carries. */
async function readCommonSequences(from: Session, to: Session): Promise<ReadonlySet<string>> {
  const [here, there] = await Promise.all([listSequences(from), listSequences(to)]);
  const keys = new Set(here.map((sequence) => tableKey(sequence)));
  return new Set(there.map((sequence) => tableKey(sequence)).filter((key) => keys.has(key)));
}

async function readPartitions(
  session: Session,
): Promise<readonly (TableName & { readonly root: TableName })[]> {
  return (await listTables(session)).flatMap(({ schema, name, partitionRoot }) =>
    partitionRoot === undefined ? [] : [{ schema, name, root: partitionRoot }]
  );
}

async function readStreamsOf(
  names: readonly string[],
  { from, to }: { readonly from: Session; readonly to: Session },
): Promise<readonly StreamReading[]> {
  const departure = await readDeparture(from, names);
  const appliers = await readAppliers(to);
  return names.map((name) => streamReading(name, { departure, appliers }));
}

/** What the side that streams leave shows of them. */
export interface StreamDeparture {
  readonly slots: readonly SlotState[];
  /** The position up to which the server has written WAL. */
  readonly inserted: Lsn;
}

/** Reads the slots of streams. */
export async function readDeparture(
  session: Session,
  names: readonly string[],
): Promise<StreamDeparture> {
  const slots = await readSlots(session, names);
  const { inserted } = await readWalPosition(session);
  return { slots, inserted };
}

/** A stream as both its sides show it. */
export function streamReading(
  name: string,
  { departure: { slots, inserted }, appliers }: {
    readonly departure: StreamDeparture;
    /** With the tables they apply, where first copies matter. */
    readonly appliers: readonly (ApplierProgress & Partial<Pick<ApplierReading, "tables">>)[];
  },
): StreamReading {
  const slot = slots.find((each) => each.name === name);
  const applier = appliers.find((each) => each.name === name);
  return {
    name,
    state: streamState({
      slot,
      applier,
      sourceReachable: true,
      targetReachable: true,
      activity: undefined,
    }),
    kind: applier?.kind,
    error: applier?.error?.message,
    lagBytes: slot?.confirmedFlushLsn === undefined
      ? undefined
      : Math.max(0, lsnDistance(slot.confirmedFlushLsn, inserted)),
    unready:
      applier?.tables?.filter(({ state }) => state !== "ready" && state !== "synchronized") ??
        [],
    risk: slot === undefined ? undefined : slotRisk(slot),
  };
}

const attendancePollMs = 200;

/** Streams of the tool's own applier that no process applies, or waits for. */
async function readUnattended(
  session: Session,
  { starting, attendanceMs }: FactsInput,
): Promise<readonly string[]> {
  const read = async () => {
    const clients = (await readApplierProgress(session, starting)).filter(({ kind }) =>
      kind === "client"
    );
    const isWaiting = clients.length === 0 ? undefined : await readWaiting(session);
    return clients.filter(({ name, workerPid }) =>
      workerPid === undefined && isWaiting?.(name) !== true
    ).map(({ name }) => name);
  };
  // a process that has just been stopped begins to wait in a moment
  let unattended = await read();
  await poll(async () => {
    if (unattended.length === 0) return true;
    unattended = await read();
    return unattended.length === 0 || undefined;
  }, { intervalMs: attendancePollMs, timeoutMs: attendanceMs });
  return unattended;
}

const minSafeBytes = 64 * 1024 * 1024;

function slotRisk(slot: SlotState): string | undefined {
  if (isSlotLost(slot)) return `it is lost (${slot.invalidationReason ?? "WAL was removed"})`;
  if (slot.walStatus === "unreserved") return "its WAL may be removed at the next checkpoint";
  return slot.safeWalBytes !== undefined && slot.safeWalBytes < minSafeBytes
    ? `${formatBytes(slot.safeWalBytes)} of WAL are left until it is lost`
    : undefined;
}

async function readDrift(
  names: readonly string[],
  { from, to }: { readonly from: Session; readonly to: Session },
): Promise<readonly string[]> {
  const published = (await readPublished(from)).filter(({ publication }) =>
    names.includes(publication)
  );
  const appliers = (await readAppliers(to)).filter(({ name }) => names.includes(name));
  const listed = new Set(published.map((table) => tableKey(table)));
  const drift = compareShapes({
    source: await readShapes(from),
    target: await readShapes(to),
    published,
    subscribed: appliers.flatMap(({ tables }) => tables),
    types: { source: await readTypes(from), target: await readTypes(to) },
    // tables that no stream lists are reported apart
    inScope: (table) => listed.has(tableKey(table)),
    isSkipped: () => false,
    sides: from.side === "source" ? forwardSides : backwardSides,
  });
  return drift.filter(({ severity }) => severity === "problem").map(({ message }) => message);
}

/**
 * Sequences that the other side should have: those of carried tables, and standalone ones unless
 * rules left tables out, and with them sequences.
 */
async function readUnmappedSequences(
  { from, to, streams, carried }: {
    readonly from: Session;
    readonly to: Session;
    readonly streams: readonly string[];
    readonly carried: readonly TableName[];
  },
): Promise<readonly TableName[]> {
  const [here, there] = await Promise.all([listSequences(from), listSequences(to)]);
  const existing = new Set(there.map((sequence) => tableKey(sequence)));
  const inScope = new Set(carried.map((table) => tableKey(table)));
  const hasRules = (await readPublications(from, streams)).some(({ scopeComment }) =>
    (scopeComment?.words.length ?? 0) > 0
  );
  return here.filter((sequence) =>
    !existing.has(tableKey(sequence)) &&
    (sequence.ownedBy === undefined ? !hasRules : inScope.has(tableKey(sequence.ownedBy)))
  ).map(({ schema, name }) => ({ schema, name }));
}

const sideStatement = `
  SELECT pg_catalog.current_setting('max_locks_per_transaction')::pg_catalog.int4
           * (pg_catalog.current_setting('max_connections')::pg_catalog.int4
              + pg_catalog.current_setting('max_prepared_transactions')::pg_catalog.int4) AS max_locks,
         (SELECT coalesce(pg_catalog.json_agg(p.gid), '[]') FROM pg_catalog.pg_prepared_xacts AS p
           WHERE p.database = pg_catalog.current_database()) AS prepared,
         pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS may_create,
         (SELECT pg_catalog.pg_has_role(d.datdba, 'USAGE') FROM pg_catalog.pg_database AS d
           WHERE d.datname = pg_catalog.current_database()) AS owns_database,
         pg_catalog.pg_has_role('pg_signal_backend', 'MEMBER') AS may_signal,
         pg_catalog.current_setting('wal_level') AS wal_level,
         pg_catalog.current_setting('max_replication_slots')::pg_catalog.int4
           - (SELECT pg_catalog.count(*)::pg_catalog.int4 FROM pg_catalog.pg_replication_slots) AS free_slots,
         EXISTS (SELECT FROM pg_catalog.pg_language AS l WHERE l.lanname = 'plpgsql') AS has_plpgsql,
         pg_catalog.pg_is_in_recovery() AS is_standby`;

type SideRow = {
  readonly max_locks: number;
  readonly prepared: readonly string[];
  readonly may_create: boolean;
  readonly owns_database: boolean;
  readonly may_signal: boolean;
  readonly wal_level: string;
  readonly free_slots: number;
  readonly has_plpgsql: boolean;
  readonly is_standby: boolean;
};

const tableStatement = `
  SELECT n.nspname AS schema, c.relname AS name, pg_catalog.pg_has_role(c.relowner, 'USAGE') AS owned
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`;

// pg_stat_subscription, because roles may not read the OIDs in pg_subscription before 14
const subscriptionStatement = `
  SELECT DISTINCT s.subname::pg_catalog.text AS subscription, n.nspname AS schema, c.relname AS name
    FROM pg_catalog.pg_subscription AS s
    JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid AND d.datname = pg_catalog.current_database()
    JOIN pg_catalog.pg_stat_subscription AS t ON t.subname = s.subname
    JOIN pg_catalog.pg_subscription_rel AS r ON r.srsubid = t.subid
   CROSS JOIN LATERAL (SELECT r.srrelid AS oid
                       UNION SELECT a.relid::pg_catalog.oid FROM pg_catalog.pg_partition_ancestors(r.srrelid) AS a
                       UNION SELECT p.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree(r.srrelid) AS p) AS f
    JOIN pg_catalog.pg_class AS c ON c.oid = f.oid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE s.subenabled
   ORDER BY 1, 2, 3`;

/** Subscriptions and streams of others that write into the tables, their partitions or parents. */
async function readOtherSubscriptions(
  session: Session,
  { tables, own }: { readonly tables: readonly TableName[]; readonly own: readonly string[] },
): Promise<readonly string[]> {
  const keys = new Set(tables.map((table) => tableKey(table)));
  const rows = await session.query<{ subscription: string; schema: string; name: string }>(
    subscriptionStatement,
  );
  const streams = (await readAppliers(session)).filter(({ kind, workerPid }) =>
    kind === "client" && workerPid !== undefined
  ).flatMap(({ name, tables }) => tables.map((table) => ({ ...table, subscription: name })));
  return [
    ...new Set(
      [...rows, ...streams].filter((table) =>
        keys.has(tableKey(table)) && !own.includes(table.subscription)
      )
        .map(({ subscription }) => subscription),
    ),
  ];
}

const transactionStatement = `
  SELECT a.pid, a.usename::pg_catalog.text AS username, a.state,
         (extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start) * 1000)::pg_catalog.float8 AS age_ms
    FROM pg_catalog.pg_stat_activity AS a
   WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
     AND a.backend_type = 'client backend'
     AND a.xact_start < pg_catalog.clock_timestamp() - $1::pg_catalog.interval
   ORDER BY a.xact_start
   LIMIT 20`;

const grantsStatement = `
  SELECT n.nspname AS schema, c.relname AS name
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_'
     AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE')
              AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
              AND pg_catalog.has_table_privilege(c.oid, 'INSERT')
              AND pg_catalog.has_table_privilege(c.oid, 'UPDATE')
              AND pg_catalog.has_table_privilege(c.oid, 'DELETE')
              AND pg_catalog.has_table_privilege(c.oid, 'TRUNCATE'))
   ORDER BY 1, 2`;

// rows of the table are hidden from the session's role; or from its owner, as whom a subscription
// writes from 16 on
const hiddenRowsStatement = `
  SELECT n.nspname AS schema, c.relname AS name
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_roles AS o ON o.oid = c.relowner
   WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity
     AND (pg_catalog.row_security_active(c.oid)
          OR pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 160000
             AND c.relforcerowsecurity AND NOT o.rolsuper AND NOT o.rolbypassrls)
   ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C"`;

const sequencesStatement = `
  SELECT n.nspname AS schema, c.relname AS name
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_'
     AND NOT CASE c.relkind WHEN 'S' THEN pg_catalog.has_schema_privilege(n.oid, 'USAGE')
              AND pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
              AND pg_catalog.has_sequence_privilege(c.oid, 'UPDATE') END
   ORDER BY 1, 2`;

const startingMs = 200;

/**
 * Sessions that the role may not terminate. A walsender that starts or ends is for a moment not
 * known to be one: a session counts if it is found twice.
 */
async function readKeptSessions(session: Session): Promise<SessionFacts["kept"]> {
  const read = async () =>
    (await readOtherSessions(session)).filter(({ isProtected }) => isProtected);
  const first = await read();
  if (first.length === 0) return first;
  await pause(startingMs);
  const pids = new Set(first.map(({ pid }) => pid));
  return (await read()).filter(({ pid }) => pids.has(pid));
}

async function readSessionFacts(
  session: Session,
  { tables, roles }: {
    readonly tables: readonly TableName[];
    readonly roles: readonly RoleDefault[];
  },
): Promise<SessionFacts> {
  const keys = new Set(tables.map((table) => tableKey(table)));
  type Row = TableName & Record<string, unknown>;
  return {
    kept: await readKeptSessions(session),
    writableRoles: roles.filter(({ isReadOnly }) => !isReadOnly).map(({ role }) => role),
    withoutGrants: (await session.query<Row>(grantsStatement)).filter((table) =>
      keys.has(tableKey(table))
    ),
  };
}

async function readSideFacts(
  session: Session,
  { tables, oldTransactionMs, fence, eventTriggers, streams }: {
    readonly tables: readonly TableName[];
    readonly eventTriggers: readonly EventTrigger[];
    readonly oldTransactionMs: number;
    readonly fence: FenceKind;
    /** The cutover's own, in both directions. */
    readonly streams: readonly string[];
  },
): Promise<SideFacts> {
  const row = await session.queryOne<SideRow>(sideStatement);
  const existing = new Map(
    (await session.query<{ schema: string; name: string; owned: boolean }>(tableStatement))
      .map((table) => [tableKey(table), table]),
  );
  const transactions = await session.query<
    { pid: number; username: string | null; state: string | null; age_ms: number }
  >(transactionStatement, [`${Math.round(oldTransactionMs)} milliseconds`]);
  const notOwned = tables.filter((table) => existing.get(tableKey(table))?.owned === false);
  const roles = await readRoleDefaults(session);
  const inScope = new Set(tables.map((table) => tableKey(table)));
  const fenceKind = fence === "sessions" && notOwned.length > 0 ? "sessions" : "triggers";
  return {
    side: session.side,
    fenceKind,
    sessions: fenceKind === "triggers"
      ? undefined
      : await readSessionFacts(session, { tables, roles }),
    sequences: await session.query<TableName & Record<string, unknown>>(sequencesStatement),
    hiddenRows: (await session.query<TableName & Record<string, unknown>>(hiddenRowsStatement))
      .filter((table) => inScope.has(tableKey(table))),
    isFenceOutdated: await isFenceOutdated(session),
    readOnlyDefaults: await readReadOnlyDefaults(session),
    readOnlyRoles: roles.filter(({ isReadOnly }) => isReadOnly).map(({ role }) => role),
    major: session.majorVersion,
    missing: tables.filter((table) => !existing.has(tableKey(table))),
    notOwned,
    fence: await readFence(session),
    maxLocks: row.max_locks,
    prepared: row.prepared,
    mayCreate: row.may_create,
    ownsDatabase: row.owns_database,
    maySignal: row.may_signal,
    walLevel: row.wal_level,
    freeSlots: row.free_slots,
    hasPlpgsql: row.has_plpgsql,
    isStandby: row.is_standby,
    eventTriggers: eventTriggers.map(({ name }) => name),
    subscriptions: await readOtherSubscriptions(session, { tables, own: streams }),
    oldTransactions: transactions.map((each): OldTransaction => ({
      pid: each.pid,
      user: each.username ?? undefined,
      state: each.state ?? undefined,
      ageMs: each.age_ms,
    })),
  };
}
