/**
 * Arranges the indexes and keys of a table so that all indexes can be built at the same time. Pure.
 *
 * `ALTER TABLE … ADD PRIMARY KEY` takes an exclusive lock, which blocks other builds too. `CREATE
 * UNIQUE INDEX` does not, and adding the key with the finished index takes no time.
 *
 * Source: PostgreSQL documentation, "ALTER TABLE", ADD table_constraint_using_index.
 *
 * @module
 */
import { quoteIdentifier, quoteQualified } from "../core/internal.ts";
import { type DumpStatement, SqlCursor } from "../schema/internal.ts";

/** Statements that can run at the same time, and those that follow. */
export interface IndexPlan {
  /** Independent of each other; each may set a tablespace, build an index, and reset it. */
  readonly builds: readonly (readonly DumpStatement[])[];
  /**
   * Executed in this order after all builds: keys that use an index, and statements that name one
   * (CLUSTER ON, comments).
   */
  readonly finish: readonly DumpStatement[];
}

/** The state in which every session starts, and leaves each table. */
const defaultTablespace: DumpStatement = { sql: "SET default_tablespace = '';" };

/**
 * Arranges the statements of one table.
 *
 * @param partitioned whether the table has partitions: its own indexes are empty, and its keys
 * cannot use an existing index
 */
export function planIndexes(
  statements: readonly DumpStatement[],
  { partitioned }: { readonly partitioned: boolean },
): IndexPlan {
  if (partitioned) return planInOrder(statements);
  const builds: (readonly DumpStatement[])[] = [];
  const finish: DumpStatement[] = [];
  let tablespace = defaultTablespace;
  const build = (statement: DumpStatement) =>
    builds.push(
      tablespace.sql === defaultTablespace.sql
        ? [statement]
        : [tablespace, statement, defaultTablespace],
    );
  for (const statement of statements) {
    if (setsTablespace(statement)) tablespace = statement;
    const key = statement.type === "CONSTRAINT" ? readKey(statement.sql) : undefined;
    if (key !== undefined) {
      build({ ...statement, sql: key.build });
      finish.push({ ...statement, sql: key.attach });
    } else if (statement.type === "INDEX" && createsIndex(statement)) {
      build(statement);
    } else finish.push(statement);
  }
  if (tablespace.sql !== defaultTablespace.sql) finish.push(defaultTablespace);
  return { builds, finish };
}

/** The statements in the dump's order, for tables too small to gain from parallel builds. */
export function planInOrder(statements: readonly DumpStatement[]): IndexPlan {
  const last = statements.findLast(setsTablespace);
  const moved = last !== undefined && last.sql !== defaultTablespace.sql;
  return { builds: [], finish: moved ? [...statements, defaultTablespace] : statements };
}

/** Splits a key into its index and the constraint that uses it; undefined if that is impossible. */
function readKey(sql: string): { readonly build: string; readonly attach: string } | undefined {
  const cursor = new SqlCursor(sql);
  if (!cursor.words("alter", "table")) return undefined;
  cursor.words("only");
  const relation = cursor.qualified();
  const name = cursor.words("add", "constraint") ? cursor.identifier() : undefined;
  if (relation?.schema === undefined || name === undefined) return undefined;
  const kind = cursor.words("primary", "key")
    ? "PRIMARY KEY"
    : cursor.words("unique")
    ? "UNIQUE"
    : undefined;
  const distinct = cursor.words("nulls", "not", "distinct") ? " NULLS NOT DISTINCT" : "";
  const columns = cursor.parentheses();
  if (kind === undefined || columns === undefined) return undefined;
  // a GiST index, 18+
  if (new SqlCursor(columns.slice(1, -1)).endsWith("without", "overlaps")) return undefined;
  const include = cursor.words("include") ? cursor.parentheses() : undefined;
  const storage = cursor.words("with") ? cursor.parentheses() : undefined;
  const deferrable = cursor.words("deferrable") ? " DEFERRABLE" : "";
  const deferred = cursor.words("initially", "deferred") ? " INITIALLY DEFERRED" : "";
  if (!cursor.atEnd) return undefined; // syntax of a newer version
  const table = quoteQualified(relation.schema, relation.name);
  const index = quoteIdentifier(name);
  return {
    build: `CREATE UNIQUE INDEX ${index} ON ${table} ${columns}` +
      (include === undefined ? "" : ` INCLUDE ${include}`) + distinct +
      (storage === undefined ? "" : ` WITH ${storage}`) + ";",
    attach:
      `ALTER TABLE ${table} ADD CONSTRAINT ${index} ${kind} USING INDEX ${index}${deferrable}${deferred};`,
  };
}

/** `SET default_tablespace = …` */
function setsTablespace({ sql }: DumpStatement): boolean {
  return new SqlCursor(sql).words("set", "default_tablespace");
}

function createsIndex({ sql }: DumpStatement): boolean {
  const cursor = new SqlCursor(sql);
  if (!cursor.words("create")) return false;
  cursor.words("unique");
  return cursor.words("index");
}
