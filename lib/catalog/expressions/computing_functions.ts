/**
 * Finds user-defined functions that the target server calls for arriving rows.
 *
 * @module
 */
import type { Session } from "../../postgres/internal.ts";
import { notOfExtension } from "../extension_members.ts";

/** What calls a function. */
export type ComputingKind =
  | "check constraint"
  | "domain constraint"
  | "generated column"
  | "partition key"
  | "always trigger";

/**
 * A function that is called for each arriving row, with the privileges of the session that writes
 * the row.
 */
export interface ComputingFunction {
  readonly kind: ComputingKind;
  /** `check constraint positive of public.orders` */
  readonly object: string;
  /** `m.check_it(integer)` */
  readonly name: string;
  /** The role that owns the function and can change it. */
  readonly owner: string;
}

/**
 * Excludes indexes, statistics, materialized views and foreign keys, which the server computes as
 * the table's owner in a restricted context. Of triggers only ALWAYS and REPLICA ones count: `init`
 * creates triggers after copying the rows, and apply workers fire no others.
 */
const statement = `
  WITH expression (kind, object, classid, objid) AS (
    SELECT 'check constraint', pg_catalog.format('%I of %I.%I', k.conname, n.nspname, c.relname),
           'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid
      FROM pg_catalog.pg_constraint AS k
      JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE k.contype = 'c'
     UNION ALL
    SELECT 'domain constraint', pg_catalog.format('%I of %I.%I', k.conname, n.nspname, t.typname),
           'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid
      FROM pg_catalog.pg_constraint AS k
      JOIN pg_catalog.pg_type AS t ON t.oid = k.contypid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
     WHERE k.contype = 'c'
     UNION ALL
    SELECT 'generated column', pg_catalog.format('%I.%I.%I', n.nspname, c.relname, a.attname),
           'pg_catalog.pg_attrdef'::pg_catalog.regclass, d.oid
      FROM pg_catalog.pg_attrdef AS d
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
      JOIN pg_catalog.pg_class AS c ON c.oid = d.adrelid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE a.attgenerated = 's'
     UNION ALL
    SELECT 'partition key', pg_catalog.format('%I.%I', n.nspname, c.relname),
           'pg_catalog.pg_class'::pg_catalog.regclass, p.partrelid
      FROM pg_catalog.pg_partitioned_table AS p
      JOIN pg_catalog.pg_class AS c ON c.oid = p.partrelid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     UNION ALL
    SELECT 'always trigger', pg_catalog.format('%I of %I.%I', g.tgname, n.nspname, c.relname),
           'pg_catalog.pg_trigger'::pg_catalog.regclass, g.oid
      FROM pg_catalog.pg_trigger AS g
      JOIN pg_catalog.pg_class AS c ON c.oid = g.tgrelid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE g.tgenabled IN ('A', 'R') AND NOT g.tgisinternal
  ), called (kind, object, function) AS (
    SELECT e.kind, e.object, d.refobjid
      FROM expression AS e
      JOIN pg_catalog.pg_depend AS d ON d.classid = e.classid AND d.objid = e.objid
     WHERE d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
     UNION
    SELECT e.kind, e.object, o.oprcode
      FROM expression AS e
      JOIN pg_catalog.pg_depend AS d ON d.classid = e.classid AND d.objid = e.objid
      JOIN pg_catalog.pg_operator AS o ON o.oid = d.refobjid
     WHERE d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass
  )
  SELECT called.kind, called.object, r.rolname AS owner,
         pg_catalog.format('%I.%I(%s)', n.nspname, p.proname,
                           pg_catalog.pg_get_function_identity_arguments(p.oid)) AS name
    FROM called
    JOIN pg_catalog.pg_proc AS p ON p.oid = called.function
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_roles AS r ON r.oid = p.proowner
   WHERE p.oid >= 16384 AND NOT r.rolsuper AND ${notOfExtension("pg_proc", "p.oid")}
   ORDER BY called.kind, called.object, name`;

/**
 * The functions in the session's database that are called for rows arriving on a target, except
 * those owned by superusers.
 */
export function listComputingFunctions(session: Session): Promise<ComputingFunction[]> {
  return session.query<ComputingFunction & Readonly<Record<string, unknown>>>(statement);
}
