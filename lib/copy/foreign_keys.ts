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

/** A foreign key of a dump, taken apart. */
export interface ForeignKeyStatement {
  readonly table: TableName;
  readonly name: string;
  /** The same statement without the check of existing rows. */
  readonly sql: string;
  /** Whether it is to be validated: one that was NOT VALID or NOT ENFORCED at the source stays so. */
  readonly validate: boolean;
}

const identifier = `("(?:[^"]|"")+"|[^\\s".]+)`;
const addForeignKey = new RegExp(
  `^ALTER TABLE (?:ONLY )?${identifier}\\.${identifier}\\s+ADD CONSTRAINT ${identifier} FOREIGN KEY`,
);

/**
 * Takes an `ALTER TABLE … ADD CONSTRAINT … FOREIGN KEY` as pg_dump writes it apart.
 *
 * @returns undefined for any other statement, such as a comment
 */
export function readForeignKey(sql: string): ForeignKeyStatement | undefined {
  const match = addForeignKey.exec(sql);
  if (match === null) return undefined;
  const [schema, table, name] = match.slice(1).map(unquote);
  if (schema === undefined || table === undefined || name === undefined) return undefined;
  const bare = sql.replace(/[\s;]+$/, "");
  const validate = !/\bNOT (?:VALID|ENFORCED)$/.test(bare); // the latter from 18 on
  return {
    table: { schema, name: table },
    name,
    sql: validate ? `${bare} NOT VALID` : bare,
    validate,
  };
}

function unquote(text: string): string {
  return text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text;
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
