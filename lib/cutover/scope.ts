/**
 * Which tables a cutover still closes and opens: those that `prepare` has recorded, as they are
 * now. Tables that were dropped on both sides need no fence, and a table that was renamed on both
 * sides has taken its fence along.
 *
 * @module
 */
import { tableKey, type TableName } from "../core/internal.ts";
import type { Session } from "../postgres/internal.ts";
import { readFence } from "./fence.ts";
import { fenceOf, type SideRecords } from "./model.ts";

/** The tables of a database's cutover. */
export interface CutoverScope {
  /** Those with a fence on both sides. */
  readonly tables: readonly TableName[];
  /** Recorded by `prepare`, and no longer on either side. */
  readonly gone: readonly TableName[];
}

/** What one side shows of the tables of a cutover. */
export interface SideTables {
  /** The recorded tables that exist. */
  readonly existing: readonly TableName[];
  readonly fenced: readonly TableName[];
}

/** Reads what one side shows of the recorded tables. */
export async function readSideTables(
  session: Session,
  recorded: readonly TableName[],
): Promise<SideTables> {
  const existing = await session.query<TableName & Record<string, unknown>>(
    `SELECT n.nspname AS schema, c.relname AS name
       FROM pg_catalog.pg_class AS c
       JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p')
        AND (n.nspname, c.relname) IN (
              SELECT (t.entry ->> 'schema')::pg_catalog.name, (t.entry ->> 'name')::pg_catalog.name
                FROM pg_catalog.jsonb_array_elements($1::pg_catalog.jsonb) AS t (entry))`,
    [JSON.stringify(recorded.map(({ schema, name }) => ({ schema, name })))],
  );
  return { existing, fenced: await readFence(session) };
}

/** The scope, from the records and what both sides show. Pure. */
export function currentScope(
  records: SideRecords,
  sides: { readonly source: SideTables; readonly target: SideTables },
): CutoverScope {
  const { source, target } = records;
  const recorded = source?.details.tables ?? target?.details.tables ?? [];
  const existing = keysOf([...sides.source.existing, ...sides.target.existing]);
  const gone = recorded.filter((table) => !existing.has(tableKey(table)));
  if (gone.length === 0) return { tables: recorded, gone };
  // a source that is closed by its sessions has no triggers
  const isFencedThere = source !== undefined && fenceOf(source) === "sessions"
    ? () => true
    : has(sides.source.fenced);
  const isKnown = has([
    ...recorded,
    ...source?.details.leftOut ?? [],
    ...target?.details.leftOut ?? [],
  ]);
  const renamed = sides.target.fenced.filter((table) => isFencedThere(table) && !isKnown(table))
    .map(({ schema, name }) => ({ schema, name }));
  return {
    tables: [...recorded.filter((table) => existing.has(tableKey(table))), ...renamed],
    gone,
  };
}

function has(tables: readonly TableName[]): (table: TableName) => boolean {
  const keys = keysOf(tables);
  return (table) => keys.has(tableKey(table));
}

function keysOf(tables: readonly TableName[]): ReadonlySet<string> {
  return new Set(tables.map((table) => tableKey(table)));
}
