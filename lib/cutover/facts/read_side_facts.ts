/**
 * Reads what a preflight needs to know of one side. Only reads.
 *
 * @module
 */
import { tableKey, type TableName } from "../../core/internal.ts";
import type { FenceKind } from "../../config/internal.ts";
import type { EventTrigger, Session } from "../../postgres/internal.ts";
import { readFence } from "../fence.ts";
import { isFenceOutdated } from "../own_schema.ts";
import { readReadOnlyDefaults, readRoleDefaults } from "../read_only_default.ts";
import { readHiddenRows } from "./hidden_rows.ts";
import { readOldTransactions } from "./old_transactions.ts";
import { readOtherSubscriptions } from "./other_subscriptions.ts";
import { readUnusableSequences } from "./sequence_scope.ts";
import { readSessionFacts } from "./session_facts.ts";
import type { SideFacts } from "./side_facts.ts";

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

type SideCapabilities = Pick<
  SideFacts,
  | "maxLocks"
  | "prepared"
  | "mayCreate"
  | "ownsDatabase"
  | "maySignal"
  | "walLevel"
  | "freeSlots"
  | "hasPlpgsql"
  | "isStandby"
>;

async function readCapabilities(session: Session): Promise<SideCapabilities> {
  const row = await session.queryOne<SideRow>(sideStatement);
  return {
    maxLocks: row.max_locks,
    prepared: row.prepared,
    mayCreate: row.may_create,
    ownsDatabase: row.owns_database,
    maySignal: row.may_signal,
    walLevel: row.wal_level,
    freeSlots: row.free_slots,
    hasPlpgsql: row.has_plpgsql,
    isStandby: row.is_standby,
  };
}

const tableStatement = `
  SELECT n.nspname AS schema, c.relname AS name, pg_catalog.pg_has_role(c.relowner, 'USAGE') AS owned
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`;

/** Which of the tables do not exist, and which the role does not own. */
async function readOwnership(
  session: Session,
  tables: readonly TableName[],
): Promise<Pick<SideFacts, "missing" | "notOwned">> {
  type Row = { readonly schema: string; readonly name: string; readonly owned: boolean };
  const existing = new Map(
    (await session.query<Row>(tableStatement)).map((table) => [tableKey(table), table]),
  );
  return {
    missing: tables.filter((table) => !existing.has(tableKey(table))),
    notOwned: tables.filter((table) => existing.get(tableKey(table))?.owned === false),
  };
}

/** What {@linkcode readSideFacts} takes. */
export interface SideFactsInput {
  /** Tables with a fence, or to be fenced. */
  readonly tables: readonly TableName[];
  /** Event triggers of the database that fire for the commands of a switch. */
  readonly eventTriggers: readonly EventTrigger[];
  /** From which age on a transaction is worth a warning, in milliseconds. */
  readonly oldTransactionMs: number;
  /** How the side is closed, or is to be. */
  readonly fence: FenceKind;
  /** The cutover's own streams, in both directions. */
  readonly streams: readonly string[];
}

/** Reads one side; its `sequences` are all that the role may not read and set. */
export async function readSideFacts(
  session: Session,
  { tables, oldTransactionMs, fence, eventTriggers, streams }: SideFactsInput,
): Promise<SideFacts> {
  const ownership = await readOwnership(session, tables);
  const roles = await readRoleDefaults(session);
  const inScope = new Set(tables.map((table) => tableKey(table)));
  const fenceKind = fence === "sessions" && ownership.notOwned.length > 0 ? "sessions" : "triggers";
  return {
    ...await readCapabilities(session),
    ...ownership,
    side: session.side,
    major: session.majorVersion,
    fenceKind,
    sessions: fenceKind === "triggers"
      ? undefined
      : await readSessionFacts(session, { tables, roles }),
    sequences: await readUnusableSequences(session),
    hiddenRows: (await readHiddenRows(session)).filter((table) => inScope.has(tableKey(table))),
    isFenceOutdated: await isFenceOutdated(session),
    readOnlyDefaults: await readReadOnlyDefaults(session),
    readOnlyRoles: roles.filter(({ isReadOnly }) => isReadOnly).map(({ role }) => role),
    fence: await readFence(session),
    eventTriggers: eventTriggers.map(({ name }) => name),
    subscriptions: await readOtherSubscriptions(session, { tables, own: streams }),
    oldTransactions: await readOldTransactions(session, oldTransactionMs),
  };
}
