/**
 * Foreign keys: added without a check, then validated several at once.
 *
 * @module
 */
import {
  displayName,
  type EventSink,
  quoteIdentifier,
  quoteQualified,
  type TableName,
} from "../core/mod.ts";
import { type Endpoint, openSession, ServerError, SqlState } from "../postgres/mod.ts";
import { withSessions } from "./run_statements.ts";

/** A foreign key that is there and not validated. */
export interface UnvalidatedKey {
  readonly table: TableName;
  readonly name: string;
  /** Bytes of the table, for the order. */
  readonly bytes: number;
}

/** A foreign key whose rows do not all have their parents. */
export interface OrphanedKey {
  readonly table: TableName;
  readonly name: string;
  readonly message: string;
}

/** Where, how many at once, and who is told. */
export interface ValidateForeignKeysOptions {
  readonly target: Endpoint;
  readonly jobs: number;
  readonly signal: AbortSignal;
  readonly events: EventSink;
  readonly database: string;
}

/**
 * Lets an `ALTER TABLE … ADD CONSTRAINT … FOREIGN KEY` of a dump skip the check of existing rows. Only for ordinary
 * tables: before version 18 a partitioned one knows no NOT VALID.
 *
 * @returns the statement, and whether it is to be validated (one that was NOT VALID at the source stays so)
 */
export function withoutValidation(
  sql: string,
): { readonly sql: string; readonly validate: boolean } {
  const bare = sql.replace(/[\s;]+$/, "");
  return /\bNOT VALID$/i.test(bare)
    ? { sql: bare, validate: false }
    : { sql: `${bare} NOT VALID`, validate: true };
}

/**
 * Validates foreign keys, those of the largest tables first. Rows without a parent leave their key NOT VALID and are
 * returned: new rows are checked all the same, and nothing else stops.
 */
export async function validateForeignKeys(
  keys: readonly UnvalidatedKey[],
  { target, jobs, signal, events, database }: ValidateForeignKeysOptions,
): Promise<readonly OrphanedKey[]> {
  const orphaned: OrphanedKey[] = [];
  let done = 0;
  // two keys of one table would wait for each other's lock and keep a session from other work
  const byTable = Map.groupBy(keys, ({ table }) => JSON.stringify([table.schema, table.name]));
  const queue = [...byTable.values()].sort((a, b) => (b[0]?.bytes ?? 0) - (a[0]?.bytes ?? 0));
  await withSessions(queue, async (group, session) => {
    for (const { table, name } of group) {
      try {
        await session.execute(
          `ALTER TABLE ${quoteQualified(table.schema, table.name)} VALIDATE CONSTRAINT ${
            quoteIdentifier(name)
          }`,
        );
      } catch (error) {
        if (!(error instanceof ServerError) || error.sqlState !== SqlState.foreignKeyViolation) {
          throw error;
        }
        orphaned.push({ table, name, message: [error.message, ...error.details].join("; ") });
      }
      done++;
      events({
        kind: "step-progress",
        step: "foreign-keys",
        database,
        done,
        total: keys.length,
        current: displayName(table),
      });
    }
  }, { target, limit: jobs, signal });
  return orphaned;
}

const unvalidatedStatement = `
  SELECT n.nspname AS schema, c.relname AS name, con.conname AS constraint,
         pg_relation_size(c.oid)::float8 AS bytes
    FROM pg_constraint AS con
    JOIN pg_class AS c ON c.oid = con.conrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
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
