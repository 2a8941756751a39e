/**
 * Streams whose changes the tool itself applies: creating, starting, stopping and dropping their
 * records. The process that applies them obeys the record and needs no connection to this one.
 *
 * @module
 */
import {
  applySchema,
  cutoverSchema,
  ExitCode,
  formatLsn,
  type Lsn,
  poll,
  ReplicatorError,
  type TableName,
} from "../../core/internal.ts";
import { revokeDefaultPrivileges } from "../../checkpoint/internal.ts";
import {
  ServerError,
  type Session,
  SqlState,
  textArray,
  withoutEventTriggers,
} from "../../postgres/internal.ts";
import {
  type ChangedIdentity,
  printComment,
  type ScopeComment,
} from "../publication/publication_comment.ts";
import { type LeftIdentity, restoreIdentities } from "../publication/restore_replica_identities.ts";
import { readApplyLocks } from "./apply_lock.ts";
import { dropApplyOrigin } from "./apply_origin.ts";
import { notStopping } from "../subscription/subscription.ts";
import {
  holdObjects,
  restoreHeldObjects,
  validateHeldKeys,
  type ViolatedKey,
} from "./held_objects.ts";
import {
  applySchemaStatements,
  applyStreamTable,
  applyTableTable,
  hasApplySchema,
  refuseForeignApplySchema,
} from "./apply_schema.ts";
import { readApplyRecords } from "./apply_record.ts";

/** A table whose changes are applied. */
export interface FilteredTable extends TableName {
  /** Which rows, if the source's publication cannot filter them. */
  readonly rowFilter?: string | undefined;
}

/** What {@linkcode createClientStream} takes. */
export interface CreateClientStreamOptions {
  /** Its name, shared with slot and publication. */
  readonly name: string;
  readonly slot: string;
  /** The slot's position: everything before it is on the target. */
  readonly endLsn: Lsn;
  /** The tables whose changes are applied. */
  readonly tables: readonly FilteredTable[];
  readonly scopeComment: ScopeComment;
}

const createStatement = `
  INSERT INTO ${applyStreamTable} (name, enabled, comment, slot_name, end_lsn)
  VALUES ($1, false, $2, $3, $4::pg_catalog.pg_lsn)
  ON CONFLICT (name) DO NOTHING
  RETURNING name`;

const addTablesStatement = `
  INSERT INTO ${applyTableTable} (stream, schema_name, table_name, row_filter)
  SELECT $1, t.schema, t.name, t."rowFilter"
    FROM pg_catalog.json_to_recordset($2::pg_catalog.json)
      AS t (schema pg_catalog.text, name pg_catalog.text, "rowFilter" pg_catalog.text)
  ON CONFLICT DO NOTHING`;

/**
 * Creates the record of a stream, stopped, and the schema if it does not exist. Leaves an existing
 * record as it is.
 *
 * @throws ReplicatorError if a schema of that name exists that the tool did not create
 */
export async function createClientStream(
  session: Session,
  { name, slot, endLsn, tables, scopeComment }: CreateClientStreamOptions,
): Promise<void> {
  await refuseForeignApplySchema(session);
  await withoutEventTriggers(session, async () => {
    for (const statement of applySchemaStatements) await session.execute(statement);
    await revokeDefaultPrivileges(session, applySchema);
    const created = await session.query(createStatement, [
      name,
      printComment(scopeComment),
      slot,
      formatLsn(endLsn),
    ]);
    if (created.length > 0) await insertTables(session, { name, tables });
  });
}

async function insertTables(
  session: Session,
  { name, tables }: { readonly name: string; readonly tables: readonly FilteredTable[] },
): Promise<void> {
  await session.query(addTablesStatement, [
    name,
    JSON.stringify(tables.map(({ schema, name, rowFilter }) => ({ schema, name, rowFilter }))),
  ]);
}

/** How long the applier's transaction may lock the record before its backend is terminated. */
const recordTimeoutMs = 3_000;

/** Each failed attempt terminates the backend that has locked the record. */
const recordAttempts = 10;

/**
 * Changes the record. A transaction of the applier locks it just before its COMMIT: unless that
 * ends soon, its backend is terminated, which rolls it back.
 */
async function changeRecord(
  session: Session,
  { name, work }: { readonly name: string; readonly work: () => Promise<unknown> },
): Promise<void> {
  for (let attempt = 1;; attempt++) {
    try {
      await session.transaction(async () => {
        await session.execute(
          `SET LOCAL lock_timeout = ${recordTimeoutMs}; SET LOCAL synchronous_commit = on`,
        );
        await work();
      });
      return;
    } catch (error) {
      const isHeld = error instanceof ServerError && error.sqlState === SqlState.lockNotAvailable;
      if (!isHeld || attempt >= recordAttempts) throw error;
      await endApplying(session, name);
    }
  }
}

/**
 * Terminates the backend that applies the stream's changes; without the privilege, does nothing.
 */
async function endApplying(session: Session, name: string): Promise<void> {
  const pid = (await readApplyLocks(session))(name);
  if (pid === undefined) return;
  try {
    await session.query("SELECT pg_catalog.pg_terminate_backend($1)", [pid]);
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
  }
}

const enableStatement =
  `UPDATE ${applyStreamTable} SET enabled = true, error = NULL WHERE name = $1 RETURNING name`;

/** Lets the stream's changes be applied, and forgets the error that stopped it. */
export async function enableClientStream(session: Session, name: string): Promise<void> {
  await changeRecord(session, {
    name,
    work: async () => refuseAbsent(session, name, await session.query(enableStatement, [name])),
  });
}

const disableStatement = `UPDATE ${applyStreamTable} SET enabled = false WHERE name = $1`;

const lockPauseMs = 50;

/**
 * Stops a stream, and resolves once nothing is being applied any longer: the process that applies
 * its changes has lost its session, and finds the record disabled when it opens another. With the
 * last stream, triggers and foreign keys that were disabled, deferred or dropped are restored.
 *
 * @throws ReplicatorError if that takes longer than the timeout, by default none
 */
export async function disableClientStream(
  session: Session,
  { name, signal, timeoutMs = Infinity, keepsHeldObjects = false }: {
    readonly name: string;
    readonly signal?: AbortSignal | undefined;
    readonly timeoutMs?: number | undefined;
    readonly keepsHeldObjects?: boolean;
  },
): Promise<void> {
  await changeRecord(session, { name, work: () => session.query(disableStatement, [name]) });
  let pids: readonly number[] = [];
  const stopped = await poll(async () => {
    const pid = (await readApplyLocks(session))(name);
    if (pid === undefined) return true;
    pids = [pid];
    await endApplying(session, name);
    return undefined;
  }, { intervalMs: lockPauseMs, signal, timeoutMs });
  if (stopped === undefined) throw notStopping(session, { name, pids });
  if (!keepsHeldObjects) await restoreHeldObjects(session);
}

const skipStatement = `
  UPDATE ${applyStreamTable} SET skip_lsn = $2::pg_catalog.pg_lsn, enabled = true, error = NULL
   WHERE name = $1 AND NOT enabled AND (error ->> 'finishLsn')::pg_catalog.pg_lsn OPERATOR(pg_catalog.=) $2::pg_catalog.pg_lsn
  RETURNING name`;

/**
 * Lets a stream that is stopped by the transaction that ends at a position skip it, and starts it.
 *
 * @throws ReplicatorError if that transaction does not stop it, or no longer
 */
export async function skipClientTransaction(
  session: Session,
  { name, lsn }: { readonly name: string; readonly lsn: Lsn },
): Promise<void> {
  await changeRecord(session, {
    name,
    work: async () => {
      const skipped = await session.query(skipStatement, [name, formatLsn(lsn)]);
      if (skipped.length > 0) return;
      throw new ReplicatorError(
        `the transaction that ends at ${formatLsn(lsn)} does not stop the stream ${name}`,
        {
          side: "target",
          object: `database ${session.endpoint.database}`,
          remedy: "see sync and status for the state of replication",
          exitCode: ExitCode.prerequisite,
        },
      );
    },
  });
}

const advanceRecordStatement = `
  UPDATE ${applyStreamTable} SET end_lsn = greatest(end_lsn, $2::pg_catalog.pg_lsn) WHERE name = $1`;

/** Lets a stopped stream resume no earlier than a position of its slot. */
export async function advanceClientStream(
  session: Session,
  { name, lsn }: { readonly name: string; readonly lsn: Lsn },
): Promise<void> {
  await changeRecord(session, {
    name,
    work: () => session.query(advanceRecordStatement, [name, formatLsn(lsn)]),
  });
}

/**
 * Lets the changes of more tables be applied. The process that applies them reads the list when it
 * opens its next session.
 */
export async function addClientTables(
  session: Session,
  { name, tables }: { readonly name: string; readonly tables: readonly TableName[] },
): Promise<void> {
  await session.transaction(() => insertTables(session, { name, tables }));
  await endApplying(session, name);
}

const keepTablesStatement = `
  DELETE FROM ${applyTableTable} AS t
   WHERE t.stream = $1 AND t.schema_name <> '${cutoverSchema}'
     AND NOT EXISTS (SELECT FROM ROWS FROM (pg_catalog.unnest($2::pg_catalog.text[]), pg_catalog.unnest($3::pg_catalog.text[])) AS k (schema_name, table_name)
                      WHERE k.schema_name = t.schema_name AND k.table_name = t.table_name)`;

/** Ignores the changes of all other tables from now on. */
export async function keepClientTables(
  session: Session,
  { name, tables, signal }: {
    readonly name: string;
    readonly tables: readonly TableName[];
    readonly signal?: AbortSignal | undefined;
  },
): Promise<void> {
  await changeRecord(session, {
    name,
    work: async () => {
      // nothing is applied meanwhile: the transaction that applies changes updates the record
      await session.query(`SELECT FROM ${applyStreamTable} WHERE name = $1 FOR UPDATE`, [name]);
      await session.query(keepTablesStatement, [
        name,
        textArray(tables.map((table) => table.schema)),
        textArray(tables.map((table) => table.name)),
      ]);
    },
  });
  // the process that holds the lock may have read the previous list
  const before = (await readApplyLocks(session))(name);
  if (before === undefined) return;
  await poll(async () => {
    if ((await readApplyLocks(session))(name) !== before) return true;
    await endApplying(session, name);
    return undefined;
  }, { intervalMs: lockPauseMs, signal });
}

/**
 * Stops a stream and drops its record; the schema too if it was the last one. Leaves the slot,
 * because the source may be unreachable.
 *
 * @returns tables whose replica identity could not be restored
 * @throws ViolatedKeysError if rows violate a foreign key that was dropped; everything else is done
 * then
 */
export async function dropClientStream(
  session: Session,
  { name, signal, restore, keepsHeldObjects }: {
    readonly name: string;
    readonly signal?: AbortSignal | undefined;
    /** Whether triggers and foreign keys stay as they are, with their record. */
    readonly keepsHeldObjects: boolean;
    /** Replica identities to restore in the same transaction. */
    readonly restore: readonly ChangedIdentity[];
  },
): Promise<readonly LeftIdentity[]> {
  await disableClientStream(session, { name, signal, keepsHeldObjects });
  const unvalidated = keepsHeldObjects ? [] : await validateHeldKeys(session);
  await dropApplyOrigin(session, name);
  const left = await withoutEventTriggers(session, async () => {
    await session.execute("SET LOCAL lock_timeout = '10s'");
    const left = await restoreIdentities(session, restore, { side: "target" });
    await session.query(`DELETE FROM ${applyTableTable} WHERE stream = $1`, [name]);
    await session.query(`DELETE FROM ${applyStreamTable} WHERE name = $1`, [name]);
    if (!keepsHeldObjects) await dropUnusedSchema(session);
    return left;
  });
  if (unvalidated.length > 0) throw new ViolatedKeysError(session, unvalidated);
  return left;
}

async function dropUnusedSchema(session: Session): Promise<void> {
  const { isUsed } = await session.queryOne<{ readonly isUsed: boolean }>(
    `SELECT EXISTS (SELECT FROM ${applyStreamTable}) AS "isUsed"`,
  );
  if (isUsed) return;
  await session.execute(
    `SET LOCAL client_min_messages = error; DROP SCHEMA ${applySchema} CASCADE`,
  );
}

/**
 * Prevents triggers, rules and foreign keys of existing tables from acting on rows that are copied
 * into them, for a role that may not set `session_replication_role`. The stream that follows keeps
 * them so; without one, {@linkcode releaseAfterCopy} restores them.
 *
 * @throws ReplicatorError (prerequisite) if the role cannot
 */
export async function holdForCopy(session: Session, tables: readonly TableName[]): Promise<void> {
  await refuseForeignApplySchema(session);
  await withoutEventTriggers(session, async () => {
    for (const statement of applySchemaStatements) await session.execute(statement);
    await revokeDefaultPrivileges(session, applySchema);
  });
  await holdObjects(session, tables, { isCopied: true });
}

/**
 * Restores after a copy that has failed what was held for it, unless a stream of the database may
 * be applied, which restores it when it is stopped.
 *
 * @throws ViolatedKeysError if existing rows violate a foreign key; everything else is done then
 */
export async function releaseAfterCopy(session: Session): Promise<void> {
  if (!await hasApplySchema(session)) return;
  await restoreHeldObjects(session);
  if ((await readApplyRecords(session)).length > 0) return;
  const unvalidated = await validateHeldKeys(session);
  await withoutEventTriggers(session, () => dropUnusedSchema(session));
  if (unvalidated.length > 0) throw new ViolatedKeysError(session, unvalidated);
}

/** A stream was removed, and foreign keys were restored that existing rows violate. */
export class ViolatedKeysError extends ReplicatorError {
  /** Class name, for `error.name`. */
  override readonly name = "ViolatedKeysError";

  /** Names the keys, with what to do. */
  constructor({ endpoint }: Session, keys: readonly ViolatedKey[]) {
    super(
      "the record was removed, and foreign keys were restored, but existing rows violate them: they stay NOT VALID",
      {
        side: "target",
        object: `database ${endpoint.database}`,
        details: keys.map(({ object, reason }) => `${object}: ${reason}`),
        remedy: `correct the rows, then run on the target: ${
          keys.map(({ statement }) => `${statement};`).join(" ")
        }`,
        exitCode: ExitCode.unhealthy,
      },
    );
  }
}

function refuseAbsent(session: Session, name: string, updated: readonly unknown[]): void {
  if (updated.length > 0) return;
  throw new ReplicatorError(`no record of the stream ${name} exists`, {
    side: "target",
    object: `database ${session.endpoint.database}`,
    remedy: "create it with sync",
  });
}
