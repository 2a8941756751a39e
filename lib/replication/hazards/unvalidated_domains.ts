/**
 * Existing values that violate a NOT VALID constraint of their domain.
 *
 * @module
 */
import {
  displayName,
  quoteIdentifier,
  quoteQualified,
  type TableName,
} from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { type Hazard, listSome } from "./hazard.ts";

type UncheckedColumn = TableName & {
  readonly column: string;
  readonly domain_schema: string;
  readonly domain: string;
  readonly constraint: string;
  readonly expression: string;
  /** Whether the column's type is the domain itself, not a type that contains it. */
  readonly is_direct: boolean;
};

// the source evaluates table checks on every UPDATE, but domain checks only for new values
const statement = `
  WITH RECURSIVE within (relation, attribute, type, is_direct) AS (
    SELECT a.attrelid, a.attnum, a.atttypid, true
      FROM pg_catalog.pg_attribute AS a
      JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
     WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
       AND a.attrelid = ANY ($1::pg_catalog.oid[])
    UNION
    SELECT w.relation, w.attribute, inner_type.type, w.is_direct AND inner_type.is_direct
      FROM within AS w
      JOIN pg_catalog.pg_type AS t ON t.oid = w.type
     CROSS JOIN LATERAL (
       SELECT t.typbasetype AS type, true AS is_direct WHERE t.typtype = 'd'
       UNION ALL
       SELECT t.typelem, false WHERE t.typcategory = 'A' AND t.typelem <> 0
       UNION ALL
       SELECT r.rngsubtype, false FROM pg_catalog.pg_range AS r WHERE r.rngtypid = t.oid
       UNION ALL
       SELECT a.atttypid, false FROM pg_catalog.pg_attribute AS a
        WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
     ) AS inner_type
  )
  SELECT n.nspname AS schema, c.relname AS name, a.attname AS column,
         m.nspname AS domain_schema, t.typname AS domain, k.conname AS constraint,
         pg_catalog.pg_get_expr(k.conbin, 0) AS expression, w.is_direct
    FROM within AS w
    JOIN pg_catalog.pg_constraint AS k
      ON k.contypid = w.type AND k.contype = 'c' AND NOT k.convalidated
     AND coalesce((pg_catalog.to_jsonb(k) ->> 'conenforced')::pg_catalog.bool, true) -- 18+
    JOIN pg_catalog.pg_type AS t ON t.oid = w.type
    JOIN pg_catalog.pg_namespace AS m ON m.oid = t.typnamespace
    JOIN pg_catalog.pg_class AS c ON c.oid = w.relation
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = w.relation AND a.attnum = w.attribute
   ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C", a.attnum`;

/**
 * Finds columns of domains with NOT VALID constraints. The source does not check a value that an
 * UPDATE leaves unchanged; the target parses it again and rejects it.
 *
 * The constraints are not evaluated: they may call user-defined functions.
 */
export async function findUnvalidatedDomains(
  session: Session,
  tables: readonly number[],
): Promise<readonly Hazard[]> {
  if (tables.length === 0) return [];
  const columns = await session.query<UncheckedColumn>(statement, [`{${tables.join(",")}}`]);
  const direct = columns.find(({ is_direct }) => is_direct);
  if (columns.length === 0) return [];
  const validate = columns.map(({ domain_schema, domain, constraint }) =>
    `ALTER DOMAIN ${quoteQualified(domain_schema, domain)} VALIDATE CONSTRAINT ${
      quoteIdentifier(constraint)
    };`
  );
  return [{
    id: "unvalidated-domains",
    isCertain: false,
    finding:
      "a change of a row that violates a NOT VALID constraint of a domain would stop replication; affected columns: " +
      listSome(
        columns.map((column) =>
          `${displayName(column)}.${column.column} (${
            displayName({ schema: column.domain_schema, name: column.domain })
          }, ${column.constraint})`
        ),
      ),
    remedy: `correct the rows on the source and run there: ${listSome(validate, " ")}` +
      (direct === undefined ? "" : ` To find the rows: ${rowsOf(direct)}`),
  }];
}

function rowsOf({ schema, name, column, expression }: UncheckedColumn): string {
  return `SELECT t.* FROM ${quoteQualified(schema, name)} AS t, LATERAL (SELECT t.${
    quoteIdentifier(column)
  }) AS d (value) WHERE NOT ${expression};`;
}
