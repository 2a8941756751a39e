/**
 * The tool's publications in a database, found by name and described by their comments. Only reads.
 *
 * @module
 */
import { cutoverSchema } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { type NameParts, parseReplicationName } from "./names.ts";
import { parseComment, type ScopeComment } from "./publication_comment.ts";

/** A publication owned by the tool, in the session's database. */
export interface OwnedPublication {
  /** Publication name, unquoted: `seren_` and the parts. */
  readonly name: string;
  /** Scope hash and snapshot generation, parsed from the name. */
  readonly parts: NameParts;
  /** Whether it was created `FOR ALL TABLES`. */
  readonly allTables: boolean;
  /** Publishes changes of partitions as those of their root. */
  readonly viaRoot: boolean;
  /** Number of published tables. */
  readonly tables: number;
  /** Its comment; undefined without one that the tool understands. */
  readonly scopeComment: ScopeComment | undefined;
  /**
   * Whether its owner is this session's role or a superuser: an owner can write anything into the
   * comment.
   */
  readonly isTrusted: boolean;
}

const publicationStatement = `
  SELECT p.pubname::pg_catalog.text AS name, p.puballtables AS all_tables,
         coalesce((pg_catalog.to_jsonb(p) ->> 'pubviaroot')::boolean, false) AS via_root,       -- 13+
         (SELECT pg_catalog.count(*)::int FROM pg_catalog.pg_publication_tables AS t
           WHERE t.pubname = p.pubname AND t.schemaname <> '${cutoverSchema}') AS tables,
         pg_catalog.obj_description(p.oid, 'pg_publication') AS comment,
         EXISTS (SELECT FROM pg_catalog.pg_roles AS r
                  WHERE r.oid = p.pubowner AND (r.rolsuper OR r.rolname = current_user)) AS is_trusted
    FROM pg_catalog.pg_publication AS p
   WHERE p.pubname LIKE 'seren\\_%'
   ORDER BY p.pubname::pg_catalog.text COLLATE pg_catalog."C"`;

type PublicationRow = {
  readonly name: string;
  readonly all_tables: boolean;
  readonly via_root: boolean;
  readonly tables: number;
  readonly comment: string | null;
  readonly is_trusted: boolean;
};

/** Lists the tool's publications in the session's database. */
export async function listOwnedPublications(
  session: Session,
): Promise<readonly OwnedPublication[]> {
  const rows = await session.query<PublicationRow>(publicationStatement);
  return rows.flatMap((row) => {
    const parts = parseReplicationName(row.name);
    return parts === undefined ? [] : [{
      name: row.name,
      parts,
      allTables: row.all_tables,
      viaRoot: row.via_root,
      tables: row.tables,
      scopeComment: parseComment(row.comment),
      isTrusted: row.is_trusted,
    }];
  });
}
