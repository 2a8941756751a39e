/**
 * Privileges that a table's owner needs, because from version 16 on the apply worker acts as the
 * owner.
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

/** The first version of the target whose worker acts as the owner of each table. */
const actsAsOwnerFrom = 16;

type OwnedTable = TableName & {
  readonly oid: number;
  readonly owner: string;
  readonly is_forced: boolean;
  readonly lacks: string | null;
};

const statement = `
  SELECT c.oid, n.nspname AS schema, c.relname AS name, r.rolname AS owner,
         c.relrowsecurity AND c.relforcerowsecurity AND NOT r.rolbypassrls AS is_forced,
         (SELECT pg_catalog.string_agg(p.name, ', ')
            FROM (VALUES ('INSERT'), ('UPDATE'), ('DELETE'), ('TRUNCATE'), ('SELECT')) AS p (name)
           WHERE NOT pg_catalog.has_table_privilege(r.oid, c.oid, p.name)) AS lacks
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_roles AS r ON r.oid = c.relowner
   WHERE c.relkind = 'r' AND NOT r.rolsuper
   ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C"`;

/** Who applies changes: from 16 on the worker of a subscription acts as the tables' owners. */
export type ChangeActor =
  | { readonly kind: "subscription" }
  /** The role of the target's URL. */
  | { readonly kind: "client"; readonly bypassesRowSecurity: boolean };

/**
 * Finds tables whose owner lacks the rights that the worker needs. Owners, privileges and policies
 * are copied to the target.
 */
export async function findOwnerRights(
  session: Session,
  { published, targetMajor, actor }: {
    readonly published: ReadonlySet<number>;
    readonly targetMajor: number;
    readonly actor: ChangeActor;
  },
): Promise<readonly Hazard[]> {
  if (actor.kind === "client") {
    if (actor.bypassesRowSecurity) return [];
  } else if (targetMajor < actsAsOwnerFrom) return [];
  const tables = (await session.query<OwnedTable>(statement)).filter(({ oid }) =>
    published.has(oid)
  );
  const forced = tables.filter(({ is_forced }) => is_forced);
  const lacking = tables.filter(({ lacks, is_forced }) =>
    actor.kind === "subscription" && lacks !== null && !is_forced
  );
  const hazards: Hazard[] = [];
  const [first] = forced;
  if (first !== undefined) {
    hazards.push({
      id: "forced-row-security",
      isCertain: true,
      finding: `${
        actor.kind === "client"
          ? "the role of --target, which applies the changes, does not bypass row-level security, and cannot where it is forced"
          : `a target of version ${actsAsOwnerFrom} or newer applies changes as the tables' owners, which fails where row-level security is forced`
      } on them: ${listSome(forced.map(displayName))}`,
      remedy: `run on the source until the cutover: ${
        listSome(
          forced.map(({ schema, name }) =>
            `ALTER TABLE ${quoteQualified(schema, name)} NO FORCE ROW LEVEL SECURITY;`
          ),
          " ",
        )
      } or ALTER ROLE ${quoteIdentifier(first.owner)} BYPASSRLS;`,
    });
  }
  if (lacking.length > 0) {
    hazards.push({
      id: "owner-privileges",
      isCertain: true,
      finding:
        `a target of version ${actsAsOwnerFrom} or newer applies changes as the tables' owners, who lack privileges on these tables: ${
          listSome(lacking.map((table) => `${displayName(table)} (${table.owner}: ${table.lacks})`))
        }`,
      remedy: `run on the source: ${
        listSome(
          lacking.map(({ schema, name, owner, lacks }) =>
            `GRANT ${lacks} ON ${quoteQualified(schema, name)} TO ${quoteIdentifier(owner)};`
          ),
          " ",
        )
      }`,
    });
  }
  return hazards;
}
