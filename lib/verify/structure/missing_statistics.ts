/**
 * Finds tables that lack planner statistics on the target.
 *
 * @module
 */
import {
  displayName,
  ownSchemaList,
  plural,
  tableKey,
  type TableName,
} from "../../core/internal.ts";
import { catalogResultBytes, type Session } from "../../postgres/internal.ts";
import type { VerifiedSection } from "../report/report.ts";

// a table without readable columns has no statistics that pg_stats would show
const statement = `
  WITH described AS (
    SELECT DISTINCT s.schemaname, s.tablename FROM pg_catalog.pg_stats AS s
  )
  SELECT n.nspname AS schema, c.relname AS name, d.tablename IS NOT NULL AS described
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN described AS d ON d.schemaname = n.nspname AND d.tablename = c.relname
   WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
     AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', ${ownSchemaList})
     AND coalesce(pg_catalog.pg_relation_size(c.oid), 0) > 0
     AND NOT pg_catalog.row_security_active(c.oid)
     AND EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
                  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                    AND coalesce(a.attstattarget, -1) <> 0
                    AND pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT'))
   ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C"`;

type DescribedTable = TableName & { readonly described: boolean };

/** Names in a note; it gives the number of all. */
const maxNamed = 10;

/**
 * A note about tables with rows that have statistics on the source and none on the target;
 * undefined if there are none. Queries of these tables are planned badly, but both sides are equal.
 */
export async function findMissingStatistics(
  { source, target }: { readonly source: Session; readonly target: Session },
): Promise<VerifiedSection | undefined> {
  const options = { resultBytes: catalogResultBytes };
  const [onSource, onTarget] = await Promise.all([
    source.query<DescribedTable>(statement, [], options),
    target.query<DescribedTable>(statement, [], options),
  ]);
  const described = new Set(onSource.filter(({ described }) => described).map(tableKey));
  const missing = onTarget.filter((table) => !table.described && described.has(tableKey(table)));
  if (missing.length === 0) return undefined;
  const names = missing.slice(0, maxNamed).map((table) => displayName(table)).join(", ");
  return {
    section: "planner-statistics",
    verdict: "equal",
    compared: 0, // nothing else about them is compared
    differences: [],
    notes: [{
      object: `planner statistics of ${plural(missing.length, "table")}`,
      message: `do not exist on the target: ${names}${missing.length > maxNamed ? ", …" : ""}`,
      reason: "statistics are not data, but queries may be slow until the target runs ANALYZE",
      remedy: "run ANALYZE on the target",
    }],
  };
}
