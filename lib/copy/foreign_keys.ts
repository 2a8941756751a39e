/**
 * Foreign keys: added NOT VALID, then validated several at the same time.
 *
 * @module
 */
import {
  displayName,
  type EventSink,
  quoteIdentifier,
  quoteQualified,
  tableKey,
  type TableName,
} from "../core/internal.ts";
import {
  type Endpoint,
  openSession,
  ownSearchPath,
  type ServerError,
  type Session,
  SqlState,
} from "../postgres/internal.ts";
import { concernsOneObject, isRefusal, SqlCursor } from "../schema/internal.ts";
import { withSessions } from "./run_statements.ts";

/** A foreign key that is not validated. */
export interface UnvalidatedKey {
  readonly table: TableName;
  readonly name: string;
  /** Size of the table, which determines the order. */
  readonly bytes: number;
}

/** A foreign key with orphaned rows, or whose rows could not be checked. */
export interface OrphanedKey {
  readonly table: TableName;
  readonly name: string;
  readonly message: string;
  /** Rows without a parent; undefined if they cannot be counted (keys with PERIOD). */
  readonly orphans: number | undefined;
  /** Why the rows could not be checked; undefined when they were. */
  readonly refusal: ServerError | undefined;
}

/** Where and how foreign keys are validated. */
export interface ValidateForeignKeysOptions {
  readonly target: Endpoint;
  readonly jobs: number;
  readonly signal: AbortSignal;
  readonly events: EventSink;
  readonly database: string;
}

/** A foreign key of a dump. */
export interface ForeignKeyStatement {
  readonly table: TableName;
  readonly name: string;
  /** The same statement without the check of existing rows. */
  readonly sql: string;
  /** `ADD CONSTRAINT … FOREIGN KEY …`, without the check. */
  readonly action: string;
  /**
   * Whether to validate it: one that is NOT VALID or NOT ENFORCED on the source stays so.
   */
  readonly validate: boolean;
}

/**
 * Parses an `ALTER TABLE … ADD CONSTRAINT … FOREIGN KEY` as written by pg_dump.
 *
 * @returns undefined for any other statement, such as a comment
 */
export function readForeignKey(sql: string): ForeignKeyStatement | undefined {
  const cursor = new SqlCursor(sql);
  if (!cursor.words("alter", "table")) return undefined;
  cursor.words("only");
  const table = cursor.qualified();
  if (table?.schema === undefined) return undefined;
  const { schema, name: tableName } = table;
  const added = cursor.rest;
  const name = cursor.words("add", "constraint") ? cursor.identifier() : undefined;
  if (name === undefined || !cursor.words("foreign", "key")) return undefined;
  const validate = !cursor.endsWith("not", "valid") && !cursor.endsWith("not", "enforced"); // 18+
  const action = validate ? `${added} NOT VALID` : added;
  const key = { table: { schema, name: tableName }, name, action, validate };
  return { ...key, sql: foreignKeyOf(key, key.table) };
}

/**
 * Validates foreign keys, those of the largest tables first. A key with orphaned rows stays NOT
 * VALID and is returned; new rows are still checked, and other keys are not affected.
 */
export async function validateForeignKeys(
  keys: readonly UnvalidatedKey[],
  { target, jobs, signal, events, database }: ValidateForeignKeysOptions,
): Promise<readonly OrphanedKey[]> {
  const orphaned: OrphanedKey[] = [];
  let done = 0;
  // two keys of one table would wait for each other's lock and occupy a session
  const byTable = Map.groupBy(keys, ({ table }) => tableKey(table));
  const queue = [...byTable.values()].sort((a, b) => (b[0]?.bytes ?? 0) - (a[0]?.bytes ?? 0));
  await withSessions(queue, async (group, session, worker) => {
    for (const { table, name } of group) {
      const startedAtMs = performance.now();
      try {
        const { begin, end } = target.ownSearchPath ? ownSearchPath : { begin: "", end: "" };
        await session.execute(
          `${begin} ALTER TABLE ${quoteQualified(table.schema, table.name)} VALIDATE CONSTRAINT ${
            quoteIdentifier(name)
          }; ${end}`,
        );
      } catch (error) {
        // a user-defined comparison may fail, which does not concern other keys
        if (!isRefusal(error) || !concernsOneObject(error)) throw error;
        const violated = error.sqlState === SqlState.foreignKeyViolation;
        orphaned.push({
          table,
          name,
          message: [error.message, ...error.details].join("; "),
          orphans: violated ? await tryToCount(session, { table, name }) : undefined,
          refusal: violated ? undefined : error,
        });
      }
      done++;
      events({
        kind: "work-finished",
        database,
        work: "foreign-key",
        lane: worker,
        label: `${displayName(table)} ${name}`,
        startedAtMs,
        ms: performance.now() - startedAtMs,
      });
      events({
        kind: "step-progress",
        step: "foreign-keys",
        database,
        done,
        total: keys.length,
        current: displayName(table),
      });
    }
    // a crash must not undo a validation that the ledger records
  }, {
    target,
    limit: jobs,
    signal,
    events,
    computesValues: true,
    settings: { synchronous_commit: "on" },
  });
  return orphaned;
}

/** Undefined if a comparison fails. */
async function tryToCount(
  session: Session,
  key: Pick<UnvalidatedKey, "table" | "name">,
): Promise<number | undefined> {
  try {
    return await countOrphans(session, key);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return undefined;
  }
}

// A row counts if all columns of its key are set (MATCH SIMPLE), or any of them (MATCH FULL).
const orphansStatement = `
  SELECT pg_catalog.format('SELECT pg_catalog.count(*)::pg_catalog.float8 AS orphans FROM %s AS child WHERE (%s) AND NOT EXISTS (SELECT FROM %s AS parent WHERE %s)',
           CASE child.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || con.conrelid::pg_catalog.regclass,
           pg_catalog.string_agg(pg_catalog.format('child.%I IS NOT NULL', a.attname),
                      CASE con.confmatchtype WHEN 'f' THEN ' OR ' ELSE ' AND ' END),
           CASE parent.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || con.confrelid::pg_catalog.regclass,
           pg_catalog.string_agg(pg_catalog.format('parent.%I OPERATOR(%I.%s) child.%I',
                             b.attname, n.nspname, o.oprname, a.attname), ' AND ')) AS query
    FROM pg_catalog.pg_constraint AS con
    JOIN pg_catalog.pg_class AS child ON child.oid = con.conrelid
    JOIN pg_catalog.pg_class AS parent ON parent.oid = con.confrelid
   CROSS JOIN LATERAL unnest(con.conkey, con.confkey, con.conpfeqop) AS key (own, other, operator)
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = con.conrelid AND a.attnum = key.own
    JOIN pg_catalog.pg_attribute AS b ON b.attrelid = con.confrelid AND b.attnum = key.other
    JOIN pg_catalog.pg_operator AS o ON o.oid = key.operator
    JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace
   WHERE con.contype = 'f' AND con.conrelid = $1::pg_catalog.regclass AND con.conname = $2
     AND NOT coalesce((pg_catalog.to_jsonb(con) ->> 'conperiod')::boolean, false)  -- 18+
   GROUP BY con.oid, con.conrelid, con.confrelid, con.confmatchtype, child.relkind, parent.relkind`;

/** Counts the rows of a table without a parent; undefined if they cannot be counted. */
async function countOrphans(
  session: Session,
  { table, name }: Pick<UnvalidatedKey, "table" | "name">,
): Promise<number | undefined> {
  const [found] = await session.query<{ readonly query: string }>(orphansStatement, [
    quoteQualified(table.schema, table.name),
    name,
  ]);
  if (found === undefined) return undefined;
  return (await session.queryOne<{ readonly orphans: number }>(found.query)).orphans;
}

/**
 * The same foreign key for another table: a partition, if the partitioned table cannot have one
 * that is NOT VALID.
 */
export function foreignKeyOf(
  { action }: Pick<ForeignKeyStatement, "action">,
  { schema, name }: TableName,
): string {
  return `ALTER TABLE ONLY ${quoteQualified(schema, name)} ${action}`;
}

const unvalidatedStatement = `
  SELECT n.nspname AS schema, c.relname AS name, con.conname AS constraint,
         pg_catalog.pg_relation_size(c.oid)::pg_catalog.float8 AS bytes
    FROM pg_catalog.pg_constraint AS con
    JOIN pg_catalog.pg_class AS c ON c.oid = con.conrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE con.contype = 'f' AND NOT con.convalidated`;

/** The foreign keys of a database that are not validated. Requires `--allow-net` for the target. */
export async function listUnvalidatedKeys(
  target: Endpoint,
  signal: AbortSignal,
): Promise<readonly UnvalidatedKey[]> {
  await using session = await openSession(target, { signal });
  const rows = await session.query<
    {
      readonly schema: string;
      readonly name: string;
      readonly constraint: string;
      readonly bytes: number;
    }
  >(unvalidatedStatement);
  return rows.map(({ schema, name, constraint, bytes }) => ({
    table: { schema, name },
    name: constraint,
    bytes,
  }));
}
