/**
 * Recognizes members of extensions, which `CREATE EXTENSION` creates and copies omit.
 *
 * @module
 */

/**
 * An SQL condition: the object of a system catalog is not a member of an extension.
 *
 * @param oid an SQL expression for its OID
 *
 * @example
 * ```ts
 * import { notOfExtension } from "./extension_members.ts";
 *
 * const own = `SELECT oid FROM pg_class AS c WHERE ${notOfExtension("pg_class", "c.oid")}`;
 * ```
 */
export function notOfExtension(catalog: string, oid: string): string {
  return `NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS made
                       WHERE made.classid = 'pg_catalog.${catalog}'::pg_catalog.regclass
                         AND made.objid = ${oid} AND made.objsubid = 0 AND made.deptype = 'e')`;
}
