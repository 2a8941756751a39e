/**
 * Reads large objects: values of up to 4 TB stored outside tables.
 *
 * @module
 */
import type { Session } from "../../postgres/internal.ts";

/** A large object without its contents. */
export type LargeObject = {
  readonly oid: number;
  readonly owner: string;
  /** Privileges as `aclitem`s; undefined for the default ones. */
  readonly acl: readonly string[] | undefined;
  readonly comment: string | undefined;
};

/** Number and size of large objects. */
export type LargeObjectSummary = {
  readonly count: number;
  /** Bytes of `pg_largeobject` on disk: an upper bound of their compressed size. */
  readonly bytes: number;
  /** The number that the role may not read. */
  readonly unreadable: number;
};

const summaryStatement = `
  SELECT pg_catalog.count(*)::pg_catalog.float8 AS count,
         pg_catalog.pg_relation_size('pg_catalog.pg_largeobject')::pg_catalog.float8 AS bytes,
         pg_catalog.count(*) FILTER (WHERE NOT (
           pg_catalog.pg_has_role(lo.lomowner, 'USAGE')
           OR (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
           OR EXISTS (SELECT FROM pg_catalog.aclexplode(lo.lomacl) AS grants
                       WHERE grants.privilege_type = 'SELECT'
                         AND CASE WHEN grants.grantee = 0 THEN true
                                  ELSE pg_catalog.pg_has_role(grants.grantee, 'USAGE') END)
         ))::pg_catalog.float8 AS unreadable
    FROM pg_catalog.pg_largeobject_metadata AS lo`;

/** Counts the large objects of the database. */
export async function summarizeLargeObjects(session: Session): Promise<LargeObjectSummary> {
  return await session.queryOne<LargeObjectSummary>(summaryStatement);
}

const pageStatement = `
  SELECT lo.oid, pg_catalog.pg_get_userbyid(lo.lomowner) AS owner, pg_catalog.to_json(lo.lomacl::pg_catalog.text[]) AS acl,
         pg_catalog.obj_description(lo.oid, 'pg_largeobject') AS comment
    FROM pg_catalog.pg_largeobject_metadata AS lo
   WHERE lo.oid > $1::pg_catalog.oid
   ORDER BY lo.oid
   LIMIT $2`;

type LargeObjectRow = {
  readonly oid: number;
  readonly owner: string;
  readonly acl: readonly string[] | null;
  readonly comment: string | null;
};

/**
 * Lists large objects by OID, in pages: there may be millions.
 *
 * @param options.after start after this OID, to resume
 */
export async function* listLargeObjects(
  session: Session,
  { after = 0, pageSize = 10_000 }: { readonly after?: number; readonly pageSize?: number } = {},
): AsyncGenerator<readonly LargeObject[], void, void> {
  for (let last = after;;) {
    const rows = await session.query<LargeObjectRow>(pageStatement, [last, pageSize]);
    const final = rows.at(-1);
    if (final === undefined) return;
    last = final.oid;
    yield rows.map(({ oid, owner, acl, comment }) => ({
      oid,
      owner,
      acl: acl ?? undefined,
      comment: comment ?? undefined,
    }));
    if (rows.length < pageSize) return;
  }
}
