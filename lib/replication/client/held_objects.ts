/**
 * What must not act on a change that the tool applies, for a role that may not set
 * `session_replication_role`: triggers, rules and foreign keys of the stream's tables.
 *
 * Triggers and rules are disabled. Foreign keys are checked at COMMIT, when the target is as the
 * source was at one of its own; those with actions (CASCADE, SET NULL, RESTRICT), which cannot
 * wait, and those to or from tables outside the stream are dropped. What restores each object is
 * recorded in the same transaction, and is done when the last stream of the database is stopped: so
 * it is done before a cutover opens the target, while writers wait. No rows are read then: dropped
 * keys come back NOT VALID, those of a partitioned table in each partition, because it takes no
 * unchecked key before 18. Its own is added once those of the partitions are validated, which it
 * then adopts without reading rows.
 *
 * @module
 */
import {
  applySchema,
  ExitCode,
  quoteIdentifier,
  ReplicatorError,
  type TableName,
} from "../../core/internal.ts";
import {
  ServerError,
  type Session,
  SqlState,
  textArray,
  withoutEventTriggers,
} from "../../postgres/internal.ts";
import { revokeDefaultPrivileges } from "../../checkpoint/internal.ts";
import { applyStreamTable } from "./apply_schema.ts";

/** The table with the objects that were disabled, deferred or dropped. */
export const heldTable = `${applySchema}.held`;

const createStatement = `
  CREATE TABLE IF NOT EXISTS ${heldTable} (
    object text PRIMARY KEY,
    restore text,
    validate text,
    is_restored boolean NOT NULL DEFAULT false)`;

/** The session sees qualified names only. */
const settingStatement =
  "SET LOCAL search_path = pg_catalog; SET LOCAL lock_timeout = '10s'; SET LOCAL client_min_messages = error";

/** An object that acts on changes which are applied. */
interface ActingObject {
  /** For messages: `trigger t of public.orders`. */
  readonly object: string;
  /** Why this role cannot prevent it; null if it can. */
  readonly obstacle: string | null;
  /** Null for the key of a partition, which is dropped with that of the partitioned table. */
  readonly hold: string | null;
  /** Null for the key of a partitioned table. */
  readonly restore: string | null;
  /** Checks existing rows after the restoration; null if that is not needed. */
  readonly validate: string | null;
  readonly effect: HeldEffect;
}

/** What happens to an object. */
export type HeldEffect = "disabled" | "deferred" | "dropped";

// Triggers of partitions that belong to one of the partitioned table: before 15 they are internal,
// and follow it, which before 13 needs a superuser; from 15 on each is listed. The key of a
// partition belongs to that of the partitioned table, too: a stream lists partitions, so those are
// found above them. What a partition outside the stream has is not as on the source, so that keys
// of its table cannot wait. Triggers that are enabled ALWAYS fire under
// session_replication_role = replica as well, and do here.
const actingStatement = `
  WITH RECURSIVE applied (oid) AS (
    SELECT c.oid
      FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) AS t (schema_name, table_name)
      JOIN pg_catalog.pg_namespace AS n ON n.nspname = t.schema_name
      JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = t.table_name
     WHERE c.relkind IN ('r', 'p')
    UNION
    SELECT i.inhrelid FROM applied
      JOIN pg_catalog.pg_inherits AS i ON i.inhparent = applied.oid
      JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid AND c.relispartition
  ), above (oid) AS (
    SELECT i.inhparent FROM applied
      JOIN pg_catalog.pg_class AS c ON c.oid = applied.oid AND c.relispartition
      JOIN pg_catalog.pg_inherits AS i ON i.inhrelid = c.oid
    UNION
    SELECT i.inhparent FROM above
      JOIN pg_catalog.pg_class AS c ON c.oid = above.oid AND c.relispartition
      JOIN pg_catalog.pg_inherits AS i ON i.inhrelid = c.oid
  ), concerned (oid) AS (
    SELECT oid FROM applied UNION SELECT oid FROM above
  ), whole (oid) AS (
    SELECT oid FROM applied
    UNION
    SELECT above.oid FROM above
     WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_partition_tree(above.oid) AS p
                        WHERE p.isleaf AND p.relid::pg_catalog.oid NOT IN (SELECT oid FROM applied))
  ), named AS (
    SELECT c.oid, c.relkind, c.relowner, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name,
           CASE WHEN NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')
                THEN 'its table belongs to ' || pg_catalog.pg_get_userbyid(c.relowner) END AS obstacle
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  ), foreign_key AS (
    SELECT k.oid, k.confrelid, k.conname, k.condeferrable, k.condeferred, t.name, t.obstacle,
           k.convalidated, t.relkind = 'p' AND k.convalidated AS is_split,
           $3::pg_catalog.bool AND k.confdeltype = 'a' AND k.confupdtype = 'a'
             AND k.conrelid IN (SELECT oid FROM whole)
             AND k.confrelid IN (SELECT oid FROM whole) AS can_wait,
           CASE WHEN NOT pg_catalog.has_table_privilege(k.confrelid, 'REFERENCES')
                THEN 'restoring it requires REFERENCES on ' || r.name END AS reference_obstacle
      FROM pg_catalog.pg_constraint AS k
      JOIN named AS t ON t.oid = k.conrelid
      JOIN named AS r ON r.oid = k.confrelid
     WHERE k.contype = 'f' AND k.conparentid = 0
       AND (k.conrelid IN (SELECT oid FROM concerned) OR k.confrelid IN (SELECT oid FROM concerned))
       -- from 18 on a key may be NOT ENFORCED
       AND EXISTS (SELECT FROM pg_catalog.pg_trigger AS g WHERE g.tgconstraint = k.oid)
  ), inherited (oid, confrelid) AS (
    SELECT k.oid, k.confrelid FROM foreign_key AS k WHERE k.is_split AND NOT k.can_wait
    UNION
    SELECT k.oid, k.confrelid FROM inherited
      JOIN pg_catalog.pg_constraint AS k ON k.conparentid = inherited.oid AND k.confrelid = inherited.confrelid
  ), addition AS (
    SELECT k.oid, pg_catalog.format('ALTER TABLE %s ADD CONSTRAINT %I %s', t.name, k.conname,
                                    pg_catalog.pg_get_constraintdef(k.oid)) AS statement,
           COALESCE(pg_catalog.format('; COMMENT ON CONSTRAINT %I ON %s IS %L', k.conname, t.name,
                                      pg_catalog.obj_description(k.oid, 'pg_constraint')), '') AS comment
      FROM pg_catalog.pg_constraint AS k
      JOIN named AS t ON t.oid = k.conrelid
     WHERE k.contype = 'f'
  )
  SELECT pg_catalog.format('trigger %I of %s', g.tgname, t.name) AS object, t.obstacle,
         CASE WHEN v.must_drop THEN pg_catalog.format('DROP TRIGGER %I ON %s', g.tgname, t.name)
              ELSE pg_catalog.format('ALTER TABLE %s DISABLE TRIGGER %I', v.only || t.name, g.tgname) END AS hold,
         CASE WHEN v.must_drop
              THEN pg_catalog.pg_get_triggerdef(g.oid) || COALESCE(pg_catalog.format(
                     '; COMMENT ON TRIGGER %I ON %s IS %L', g.tgname, t.name,
                     pg_catalog.obj_description(g.oid, 'pg_trigger')), '')
              ELSE pg_catalog.format('ALTER TABLE %s ENABLE TRIGGER %I', v.only || t.name, g.tgname) END AS restore,
         NULL AS validate, CASE WHEN v.must_drop THEN 'dropped' ELSE 'disabled' END AS effect
    FROM concerned
    JOIN named AS t ON t.oid = concerned.oid
    JOIN pg_catalog.pg_trigger AS g ON g.tgrelid = t.oid
   CROSS JOIN (SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS number) AS server
   CROSS JOIN LATERAL (
         SELECT CASE WHEN server.number >= 150000 THEN 'ONLY ' ELSE '' END AS only,
                server.number < 130000 AND t.relkind = 'p' AND (g.tgtype & 1) = 1 AS must_drop) AS v
   WHERE NOT g.tgisinternal AND g.tgenabled = 'O'
     AND (server.number < 150000 OR t.oid IN (SELECT oid FROM applied))
  UNION ALL
  SELECT pg_catalog.format('rule %I of %s', w.rulename, t.name), t.obstacle,
         pg_catalog.format('ALTER TABLE %s DISABLE RULE %I', t.name, w.rulename),
         pg_catalog.format('ALTER TABLE %s ENABLE RULE %I', t.name, w.rulename), NULL, 'disabled'
    FROM applied
    JOIN named AS t ON t.oid = applied.oid
    JOIN pg_catalog.pg_rewrite AS w ON w.ev_class = t.oid AND w.ev_enabled = 'O'
  UNION ALL
  SELECT pg_catalog.format('foreign key %I of %s', k.conname, k.name), k.obstacle,
         pg_catalog.format('ALTER TABLE %s ALTER CONSTRAINT %I DEFERRABLE INITIALLY DEFERRED', k.name, k.conname),
         pg_catalog.format('ALTER TABLE %s ALTER CONSTRAINT %I %s', k.name, k.conname,
           CASE WHEN k.condeferrable THEN 'DEFERRABLE INITIALLY IMMEDIATE' ELSE 'NOT DEFERRABLE' END),
         NULL, 'deferred'
    FROM foreign_key AS k
   WHERE k.can_wait AND NOT (k.condeferrable AND k.condeferred)
  UNION ALL
  SELECT pg_catalog.format('foreign key %I of %s', k.conname, k.name),
         COALESCE(k.obstacle, k.reference_obstacle),
         pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I', k.name, k.conname),
         CASE WHEN NOT k.is_split
              THEN a.statement || CASE WHEN k.convalidated THEN ' NOT VALID' ELSE '' END || a.comment END,
         CASE WHEN k.is_split THEN a.statement || a.comment
              WHEN k.convalidated THEN pg_catalog.format('ALTER TABLE %s VALIDATE CONSTRAINT %I', k.name, k.conname) END,
         'dropped'
    FROM foreign_key AS k
    JOIN addition AS a ON a.oid = k.oid
   WHERE NOT k.can_wait
  UNION ALL
  SELECT pg_catalog.format('foreign key %I of %s', k.conname, t.name), t.obstacle, NULL,
         a.statement || ' NOT VALID' || a.comment,
         pg_catalog.format('ALTER TABLE %s VALIDATE CONSTRAINT %I', t.name, k.conname), 'dropped'
    FROM inherited
    JOIN pg_catalog.pg_constraint AS k ON k.oid = inherited.oid
    JOIN named AS t ON t.oid = k.conrelid AND t.relkind = 'r'
    JOIN addition AS a ON a.oid = k.oid
   ORDER BY 1`;

type ActingRow = ActingObject & Record<string, unknown>;

/** What the objects must not act on. */
export interface HoldOptions {
  /**
   * Whether rows are copied into the tables, one after another: then no foreign key can wait for
   * the end of a transaction.
   *
   * @default false
   */
  readonly isCopied?: boolean;
}

async function readActing(
  session: Session,
  tables: readonly TableName[],
  { isCopied = false }: HoldOptions,
): Promise<readonly ActingObject[]> {
  return await session.query<ActingRow>(actingStatement, [
    textArray(tables.map((table) => table.schema)),
    textArray(tables.map((table) => table.name)),
    !isCopied,
  ]);
}

/** @throws ReplicatorError (prerequisite) with the objects that the role cannot hold */
async function readHoldable(
  session: Session,
  tables: readonly TableName[],
  options: HoldOptions,
): Promise<readonly ActingObject[]> {
  const acting = await readActing(session, tables, options);
  const obstacles = acting.flatMap(({ object, obstacle }) =>
    obstacle === null ? [] : [`${object}: ${obstacle}`]
  );
  if (obstacles.length > 0) throw cannotHold(session, obstacles);
  return acting;
}

/**
 * Whether triggers, rules or foreign keys of the tables would act on changes that are applied. Only
 * reads, and waits for no lock.
 *
 * @throws ReplicatorError (prerequisite) if they would, and the role cannot prevent it
 */
export async function hasActingObjects(
  session: Session,
  tables: readonly TableName[],
  options: HoldOptions = {},
): Promise<boolean> {
  return (await readHoldable(session, tables, options)).length > 0;
}

const recordStatement = `
  INSERT INTO ${heldTable} (object, restore, validate) VALUES ($1, $2, $3)
  ON CONFLICT (object) DO UPDATE
     SET is_restored = false, restore = EXCLUDED.restore,
         validate = COALESCE(EXCLUDED.validate, ${heldTable}.validate)`;

/**
 * Prevents triggers, rules and foreign keys of the tables from acting on changes that are applied.
 *
 * @returns what was done, without the keys of partitions; empty if nothing was left to do
 * @throws ReplicatorError (prerequisite) if the role cannot
 */
export async function holdObjects(
  session: Session,
  tables: readonly TableName[],
  options: HoldOptions = {},
): Promise<readonly { readonly object: string; readonly effect: HeldEffect }[]> {
  return await withoutEventTriggers(session, async () => {
    await session.execute(settingStatement);
    const found = await readHoldable(session, tables, options);
    if (found.length === 0) return [];
    await session.execute(createStatement);
    await revokeDefaultPrivileges(session, applySchema);
    const acting = await releaseHeld(session, found)
      ? await readHoldable(session, tables, options)
      : found;
    for (const { object, hold, restore, validate } of acting) {
      await session.query(recordStatement, [object, restore, validate]);
      if (hold !== null) await executeHold(session, { object, hold });
    }
    const left = await readActing(session, tables, options);
    if (left.length > 0) throw cannotHold(session, left.map(({ object }) => object));
    return acting.filter(({ hold }) => hold !== null);
  });
}

/**
 * Restores those that are held already, and act nevertheless: what is recorded next must be what
 * they were at first. A key that is checked at COMMIT, for one, is dropped once a table at its
 * other end has left the stream.
 *
 * @returns whether there were any
 */
async function releaseHeld(
  session: Session,
  acting: readonly ActingObject[],
): Promise<boolean> {
  const rows = await session.query<{ readonly restore: string | null }>(
    `DELETE FROM ${heldTable} WHERE NOT is_restored AND object = ANY ($1::pg_catalog.text[])
     RETURNING restore`,
    [textArray(acting.map(({ object }) => object))],
  );
  for (const { restore } of rows) {
    if (restore !== null) await executeUnlessGone(session, restore);
  }
  return rows.length > 0;
}

async function executeHold(
  session: Session,
  { object, hold }: { readonly object: string; readonly hold: string },
): Promise<void> {
  try {
    await session.execute(hold);
  } catch (error) {
    if (!(error instanceof ServerError) || error.sqlState !== SqlState.insufficientPrivilege) {
      throw error;
    }
    throw cannotHold(session, [`${object}: ${error.message}`]);
  }
}

function cannotHold({ endpoint, majorVersion }: Session, details: readonly string[]) {
  const grant = majorVersion >= 15
    ? `run as a superuser: GRANT SET ON PARAMETER session_replication_role TO ${
      quoteIdentifier(endpoint.user)
    }; or connect`
    : "connect";
  return new ReplicatorError(
    `triggers or foreign keys would act on replicated changes: the role ${endpoint.user} may neither set session_replication_role nor alter them`,
    {
      side: "target",
      object: `database ${endpoint.database}`,
      details: details.slice(0, 20),
      remedy: `${grant} as the tables' owner, as a superuser, or as the provider's admin role`,
      exitCode: ExitCode.prerequisite,
    },
  );
}

interface HeldRow {
  readonly object: string;
  readonly restore: string | null;
  readonly validate: string | null;
}

async function hasHeld(session: Session): Promise<boolean> {
  const { found } = await session.queryOne<{ readonly found: boolean }>(
    "SELECT pg_catalog.to_regclass($1) IS NOT NULL AS found",
    [heldTable],
  );
  return found;
}

/** Restores everything, unless another stream of the database may be applied. */
export async function restoreHeldObjects(session: Session): Promise<void> {
  if (!await hasHeld(session)) return;
  await withoutEventTriggers(session, async () => {
    await session.execute(`${settingStatement}; LOCK TABLE ${heldTable}`);
    const rows = await session.query<HeldRow & Record<string, unknown>>(
      `SELECT h.object, h.restore, h.validate FROM ${heldTable} AS h
        WHERE NOT h.is_restored AND NOT EXISTS (SELECT FROM ${applyStreamTable} AS s WHERE s.enabled)
        ORDER BY h.object COLLATE pg_catalog."C"`,
    );
    for (const { object, restore, validate } of rows) {
      const exists = restore === null || await executeUnlessGone(session, restore);
      await session.query(
        validate === null || !exists
          ? `DELETE FROM ${heldTable} WHERE object = $1`
          : `UPDATE ${heldTable} SET is_restored = true WHERE object = $1`,
        [object],
      );
    }
  });
}

/** How often restoring is tried when it meets a lock of the session that applies changes. */
const maxMeasurements = 5;

/**
 * How long restoring takes, while streams are applied: it is rolled back.
 *
 * @param session one that silences event triggers
 * @param options `timeoutMs`: how long each lock may be waited for, because appliers wait meanwhile
 * @returns milliseconds; 0 if nothing is held
 */
export async function measureRestoring(
  session: Session,
  { timeoutMs }: { readonly timeoutMs: number },
): Promise<number> {
  if (!await hasHeld(session)) return 0;
  for (let count = 1;; count++) {
    const start = performance.now();
    try {
      await session.execute(`BEGIN; ${settingStatement}; SET LOCAL lock_timeout = ${timeoutMs}`);
      const rows = await session.query<{ readonly restore: string }>(
        `SELECT h.restore FROM ${heldTable} AS h WHERE NOT h.is_restored AND h.restore IS NOT NULL
          ORDER BY h.object COLLATE pg_catalog."C"`,
      );
      for (const { restore } of rows) await executeUnlessGone(session, restore);
      return performance.now() - start;
    } catch (error) {
      const isBusy = error instanceof ServerError && error.sqlState === SqlState.lockNotAvailable;
      if (!isBusy || count === maxMeasurements) throw error;
    } finally {
      if (session.isOpen) await session.execute("ROLLBACK");
    }
  }
}

/** A foreign key that was restored, but whose existing rows violate it. */
export interface ViolatedKey {
  readonly object: string;
  /** The statement that failed. */
  readonly statement: string;
  /** The server's message. */
  readonly reason: string;
}

/**
 * Checks existing rows against the foreign keys that were restored, unless a stream of the database
 * may be applied: that will drop them again.
 *
 * @returns those that rows violate, which stay NOT VALID or, on a partitioned table, missing; they
 * stay recorded, so that they are reported again if the caller dies before it has reported them
 */
export async function validateHeldKeys(session: Session): Promise<readonly ViolatedKey[]> {
  if (!await hasHeld(session)) return [];
  const rows = await session.query<HeldRow & Record<string, unknown>>(
    `SELECT h.object, h.restore, h.validate FROM ${heldTable} AS h
      WHERE h.is_restored AND NOT EXISTS (SELECT FROM ${applyStreamTable} AS s WHERE s.enabled)
      ORDER BY h.restore IS NULL, h.object COLLATE pg_catalog."C"`,
  );
  const failed: ViolatedKey[] = [];
  for (const { object, validate } of rows) {
    if (validate === null) continue;
    try {
      await session.transaction(async () => {
        await session.execute(settingStatement);
        await executeUnlessGone(session, validate);
        await session.query(`DELETE FROM ${heldTable} WHERE object = $1`, [object]);
      });
    } catch (error) {
      const isViolated = error instanceof ServerError &&
        error.sqlState === SqlState.foreignKeyViolation;
      if (!isViolated) throw error;
      failed.push({ object, statement: validate, reason: error.message });
    }
  }
  return failed;
}

const goneStates: ReadonlySet<string> = new Set([
  SqlState.undefinedTable,
  SqlState.undefinedObject,
  SqlState.undefinedColumn,
  SqlState.duplicateObject,
  SqlState.invalidSchemaName,
]);

/**
 * @returns false if the object was dropped, or created again, by another session
 */
async function executeUnlessGone(session: Session, sql: string): Promise<boolean> {
  await session.execute("SAVEPOINT seren_held");
  try {
    await session.execute(sql);
    return true;
  } catch (error) {
    if (!(error instanceof ServerError) || !goneStates.has(error.sqlState)) throw error;
    await session.execute("ROLLBACK TO SAVEPOINT seren_held");
    return false;
  }
}
