/**
 * Existing publications with their comments, and the streams that they form with slots and
 * appliers. Only reads.
 *
 * @module
 */
import { cutoverSchema, type TableName } from "../../core/internal.ts";
import { type Session, textArray } from "../../postgres/internal.ts";
import { parseComment, type ScopeComment } from "../publication/publication_comment.ts";
import { parseReplicationName } from "../publication/names.ts";
import { readSlots, type SlotState } from "../slot/read_slots.ts";
import { type ApplierReading, readAppliers } from "../read_appliers.ts";

/** A publication of the session's database. */
export interface PublicationState {
  /** Publication name, unquoted. */
  readonly name: string;
  /** Whether it was created `FOR ALL TABLES`. */
  readonly allTables: boolean;
  /** Sorted by name; a partitioned table as the publication lists it. */
  readonly tables: readonly TableName[];
  /** Its comment; undefined if the tool did not write it. */
  readonly scopeComment: ScopeComment | undefined;
}

const publicationStatement = `
  SELECT p.pubname AS name, p.puballtables AS all_tables,
         pg_catalog.obj_description(p.oid, 'pg_publication') AS comment,
         (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('schema', n.nspname, 'name', c.relname)
                                   ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C"), '[]')
            FROM pg_catalog.pg_publication_rel AS r
            JOIN pg_catalog.pg_class AS c ON c.oid = r.prrelid
            JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
           WHERE r.prpubid = p.oid AND n.nspname <> '${cutoverSchema}') AS tables
    FROM pg_catalog.pg_publication AS p
   WHERE $1::pg_catalog.text[] IS NULL OR p.pubname = ANY ($1::pg_catalog.text[])
   ORDER BY p.pubname COLLATE pg_catalog."C"`;

type PublicationRow = {
  readonly name: string;
  readonly all_tables: boolean;
  readonly comment: string | null;
  readonly tables: readonly TableName[];
};

/** Reads the publications of the session's database: those named, or all. */
export async function readPublications(
  session: Session,
  names?: readonly string[],
): Promise<readonly PublicationState[]> {
  const rows = await session.query<PublicationRow>(publicationStatement, [
    names === undefined ? null : textArray(names),
  ]);
  return rows.map(({ name, all_tables, comment, tables }) => ({
    name,
    allTables: all_tables,
    tables,
    scopeComment: parseComment(comment),
  }));
}

/** One stream of a scope, with those of its objects that exist. */
export interface ReplicationStream {
  /** The name of publication, slot and applier. */
  readonly name: string;
  /** Snapshot generation: 1 for the first copy, higher for later ones. */
  readonly epoch: number;
  /** Publication on the source; undefined if it does not exist. */
  readonly publication: PublicationState | undefined;
  /** Replication slot on the source; undefined if it does not exist. */
  readonly slot: SlotState | undefined;
  /** What applies the changes on the target; undefined if it does not exist. */
  readonly applier: ApplierReading | undefined;
  /** The comment of the publication, or else of the applier. */
  readonly scopeComment: ScopeComment | undefined;
}

/** Reads all streams of a scope, ordered by snapshot generation. */
export async function readStreams(
  hash: string,
  { source, target }: {
    /** A session on the source's database. */
    readonly source: Session;
    /** A session on the target's database; undefined if that does not exist. */
    readonly target: Session | undefined;
  },
): Promise<readonly ReplicationStream[]> {
  const belongs = (name: string) => parseReplicationName(name)?.hash === hash;
  const publications = (await readPublications(source)).filter(({ name }) => belongs(name));
  const slots = (await readSlots(source)).filter(({ name }) => belongs(name));
  const appliers = target === undefined
    ? []
    : (await readAppliers(target)).filter(({ name }) => belongs(name));
  const names = new Set([...publications, ...slots, ...appliers].map(({ name }) => name));
  return [...names].map((name): ReplicationStream => {
    const publication = publications.find((each) => each.name === name);
    const applier = appliers.find((each) => each.name === name);
    return {
      name,
      epoch: parseReplicationName(name)?.epoch ?? 1,
      publication,
      slot: slots.find((each) => each.name === name),
      applier,
      scopeComment: publication?.scopeComment ?? applier?.scopeComment,
    };
  }).sort((a, b) => a.epoch - b.epoch);
}
