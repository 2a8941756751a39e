/**
 * The fence: triggers that refuse every write to a closed database.
 *
 * A statement-level trigger that fires ALWAYS stops superusers, sessions with
 * `session_replication_role = replica`, sessions that override a read-only default, COPY, MERGE,
 * writable CTEs and writes to either a partitioned table or its leaves. It does not fire for
 * changes that an apply worker writes, so replication passes. An applied TRUNCATE does fire it: the
 * function lets apply workers pass, which it recognizes by their process ID, and sessions of the
 * tool that apply changes, which the record of their stream names.
 *
 * Creating, enabling and disabling a trigger takes SHARE ROW EXCLUSIVE, the lock of the barrier.
 *
 * Source: PostgreSQL documentation, "ALTER TABLE" (ENABLE ALWAYS TRIGGER), "CREATE TRIGGER".
 *
 * @module
 */
import { quoteIdentifier, quoteQualified, type TableName } from "../core/internal.ts";
import type { Session } from "../postgres/internal.ts";
import { fenceFunction } from "./own_schema.ts";

/** The trigger for INSERT, UPDATE and DELETE. */
export const fenceTrigger = "seren_fence";

/** The trigger for TRUNCATE. */
export const fenceTruncateTrigger = "seren_fence_truncate";

/** Statements that create the fence of one table, disabled, in one transaction of the caller. */
export function createFence(table: TableName): readonly string[] {
  const name = quoteQualified(table.schema, table.name);
  return [
    `CREATE TRIGGER ${fenceTrigger} BEFORE INSERT OR UPDATE OR DELETE ON ${name}
       FOR EACH STATEMENT EXECUTE FUNCTION ${fenceFunction}()`,
    `CREATE TRIGGER ${fenceTruncateTrigger} BEFORE TRUNCATE ON ${name}
       FOR EACH STATEMENT EXECUTE FUNCTION ${fenceFunction}()`,
    disableFence(table),
  ];
}

/** The statement that closes one table. ONLY, because every partition has its own fence. */
export function enableFence({ schema, name }: TableName): string {
  return `ALTER TABLE ONLY ${quoteQualified(schema, name)} ENABLE ALWAYS TRIGGER ${
    quoteIdentifier(fenceTrigger)
  }, ENABLE ALWAYS TRIGGER ${quoteIdentifier(fenceTruncateTrigger)}`;
}

/** The statement that opens one table. */
export function disableFence({ schema, name }: TableName): string {
  return `ALTER TABLE ONLY ${quoteQualified(schema, name)} DISABLE TRIGGER ${
    quoteIdentifier(fenceTrigger)
  }, DISABLE TRIGGER ${quoteIdentifier(fenceTruncateTrigger)}`;
}

/** Statements in one message. */
const messageSize = 200;

/** Statements for many tables, as few messages. */
export function fenceMessages(
  tables: readonly TableName[],
  statementOf: (table: TableName) => string,
): readonly string[] {
  const messages: string[] = [];
  for (let from = 0; from < tables.length; from += messageSize) {
    messages.push(tables.slice(from, from + messageSize).map(statementOf).join(";\n"));
  }
  return messages;
}

/** Statements that remove the fence of one table. */
export function dropFence({ schema, name }: TableName): readonly string[] {
  const table = quoteQualified(schema, name);
  return [fenceTrigger, fenceTruncateTrigger].map((trigger) =>
    `DROP TRIGGER IF EXISTS ${trigger} ON ${table}`
  );
}

/** A table with a fence, and whether it refuses writes. */
export interface FencedTable extends TableName {
  readonly isClosed: boolean;
}

const fenceStatement = `
  SELECT n.nspname AS schema, c.relname AS name,
         pg_catalog.bool_and(t.tgenabled = 'A') AS is_closed
    FROM pg_catalog.pg_trigger AS t
    JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
   WHERE t.tgname IN ('${fenceTrigger}', '${fenceTruncateTrigger}') AND NOT t.tgisinternal
     AND p.oid = pg_catalog.to_regproc('${fenceFunction}')::pg_catalog.oid
   GROUP BY n.nspname, c.relname
   HAVING pg_catalog.count(*) = 2
   ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C"`;

/** Reads which tables of the session's database have a complete fence. */
export async function readFence(session: Session): Promise<readonly FencedTable[]> {
  const rows = await session.query<
    { readonly schema: string; readonly name: string; readonly is_closed: boolean }
  >(fenceStatement);
  return rows.map(({ schema, name, is_closed }) => ({ schema, name, isClosed: is_closed }));
}
