/**
 * Rights on existing tables of the target that the tool's own applier needs: it acts as the role of
 * the target's URL.
 *
 * @module
 */
import {
  displayName,
  quoteIdentifier,
  quoteQualified,
  type TableName,
} from "../../core/internal.ts";
import { type Session, textArray } from "../../postgres/internal.ts";
import { type Hazard, listSome } from "./hazard.ts";

type TableRights = TableName & {
  readonly is_secured: boolean;
  readonly lacks: string | null;
};

const statement = `
  SELECT n.nspname AS schema, c.relname AS name,
         pg_catalog.row_security_active(c.oid) AS is_secured,
         (SELECT pg_catalog.string_agg(p.name, ', ')
            FROM (VALUES ('INSERT'), ('UPDATE'), ('DELETE'), ('TRUNCATE'), ('SELECT')) AS p (name)
           WHERE NOT pg_catalog.has_table_privilege(c.oid, p.name)) AS lacks
    FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) AS t (schema_name, table_name)
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = t.schema_name
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = t.table_name
   WHERE c.relkind IN ('r', 'p')
   ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C"`;

/**
 * Finds tables of the target to which the session's role cannot apply changes.
 *
 * @param session on the target's database, as the role that applies changes
 */
export async function findRoleRights(
  session: Session,
  tables: readonly TableName[],
): Promise<readonly Hazard[]> {
  const found = await session.query<TableRights>(statement, [
    textArray(tables.map(({ schema }) => schema)),
    textArray(tables.map(({ name }) => name)),
  ]);
  const role = session.endpoint.user;
  const secured = found.filter(({ is_secured }) => is_secured);
  const lacking = found.filter(({ lacks }) => lacks !== null);
  const hazards: Hazard[] = [];
  if (secured.length > 0) {
    hazards.push({
      id: "forced-row-security",
      isCertain: true,
      finding:
        `the role ${role} of the target, which applies the changes, does not bypass row-level security of these tables: ${
          listSome(secured.map(displayName))
        }`,
      remedy: `run on the target: ALTER ROLE ${
        quoteIdentifier(role)
      } BYPASSRLS; or until the cutover: ${
        listSome(
          secured.map(({ schema, name }) =>
            `ALTER TABLE ${quoteQualified(schema, name)} DISABLE ROW LEVEL SECURITY;`
          ),
          " ",
        )
      }`,
    });
  }
  if (lacking.length > 0) {
    hazards.push({
      id: "role-privileges",
      isCertain: true,
      finding:
        `the role ${role} of the target, which applies the changes, lacks privileges on these tables: ${
          listSome(lacking.map((table) => `${displayName(table)} (${table.lacks})`))
        }`,
      remedy: `run on the target: ${
        listSome(
          lacking.map(({ schema, name, lacks }) =>
            `GRANT ${lacks} ON ${quoteQualified(schema, name)} TO ${quoteIdentifier(role)};`
          ),
          " ",
        )
      }`,
    });
  }
  return hazards;
}
