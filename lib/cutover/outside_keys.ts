/**
 * Foreign keys between tables in scope and tables that are left out. Only reads.
 *
 * @module
 */
import { tableKey, type TableName } from "../core/internal.ts";
import type { Session } from "../postgres/internal.ts";

/** A foreign key with one end in scope. */
export interface OutsideKey {
  /** Name of the constraint. */
  readonly name: string;
  readonly referencing: TableName;
  readonly referenced: TableName;
  /**
   * `cascade`: the referenced table is left out, and changing its rows changes rows in scope;
   * `reference`: the referencing table is left out.
   */
  readonly kind: "cascade" | "reference";
}

// a key of a partition belongs to that of its partitioned table
const statement = `
  SELECT k.conname AS key, n.nspname AS schema, c.relname AS name,
         fn.nspname AS other_schema, f.relname AS other_name,
         k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd') AS changes
    FROM pg_catalog.pg_constraint AS k
    JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_class AS f ON f.oid = k.confrelid
    JOIN pg_catalog.pg_namespace AS fn ON fn.oid = f.relnamespace
   WHERE k.contype = 'f' AND k.conparentid = 0
   ORDER BY 2, 3, 1`;

type KeyRow = {
  readonly key: string;
  readonly schema: string;
  readonly name: string;
  readonly other_schema: string;
  readonly other_name: string;
  readonly changes: boolean;
};

/** Reads those of a database that a cutover has to report. */
export async function readOutsideKeys(
  session: Session,
  tables: readonly TableName[],
): Promise<readonly OutsideKey[]> {
  const inScope = new Set(tables.map((table) => tableKey(table)));
  return (await session.query<KeyRow>(statement)).flatMap((row): readonly OutsideKey[] => {
    const referencing = { schema: row.schema, name: row.name };
    const referenced = { schema: row.other_schema, name: row.other_name };
    const isInside = inScope.has(tableKey(referencing));
    if (isInside === inScope.has(tableKey(referenced)) || isInside && !row.changes) return [];
    return [{ name: row.key, referencing, referenced, kind: isInside ? "cascade" : "reference" }];
  });
}
