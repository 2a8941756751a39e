/**
 * What is there: publications and subscriptions with what is remembered of them, and streams put
 * together from both sides.
 *
 * @module
 */
import type { TableName } from "../../core/internal.ts";
import { type Session, textArray } from "../../postgres/internal.ts";
import { parseComment, type ScopeComment } from "../publication/publication_comment.ts";
import { parseReplicationName } from "../publication/names.ts";
import { readSlots, type SlotState } from "../slot/read_slots.ts";
import { readSubscriptions, type SubscriptionState } from "../subscription/read_subscriptions.ts";

/** A publication of the session's database. */
export interface PublicationState {
  readonly name: string;
  readonly allTables: boolean;
  /** In the order of their names; of a partitioned table as the publication lists it. */
  readonly tables: readonly TableName[];
  /** What we remember in its comment; undefined for somebody else's. */
  readonly descriptor: ScopeComment | undefined;
}

const publicationStatement = `
  SELECT p.pubname AS name, p.puballtables AS all_tables,
         pg_catalog.obj_description(p.oid, 'pg_publication') AS comment,
         (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('schema', n.nspname, 'name', c.relname)
                                   ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C"), '[]')
            FROM pg_catalog.pg_publication_rel AS r
            JOIN pg_catalog.pg_class AS c ON c.oid = r.prrelid
            JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
           WHERE r.prpubid = p.oid) AS tables
    FROM pg_catalog.pg_publication AS p
   WHERE $1::pg_catalog.text[] IS NULL OR p.pubname = ANY ($1::pg_catalog.text[])
   ORDER BY p.pubname COLLATE pg_catalog."C"`;

type PublicationRow = {
  readonly name: string;
  readonly all_tables: boolean;
  readonly comment: string | null;
  readonly tables: readonly TableName[];
};

/** Publications of the session's database; those of the given names, or all. */
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
    descriptor: parseComment(comment),
  }));
}

/** A subscription with what is remembered of it, and the tables it follows. */
export interface DescribedSubscription extends SubscriptionState {
  /** Undefined for somebody else's. */
  readonly descriptor: ScopeComment | undefined;
  /** Of `pg_subscription_rel`: changes of other tables are passed over. */
  readonly tables: readonly TableName[];
}

const relationStatement = `
  SELECT s.subname AS name, pg_catalog.obj_description(s.oid, 'pg_subscription') AS comment,
         (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('schema', n.nspname, 'name', c.relname)
                                   ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C"), '[]')
            FROM pg_catalog.pg_subscription_rel AS r
            JOIN pg_catalog.pg_class AS c ON c.oid = r.srrelid
            JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
           WHERE r.srsubid = s.oid) AS tables
    FROM pg_catalog.pg_subscription AS s
   WHERE s.subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())`;

/** Subscriptions of the session's database. */
export async function readDescribedSubscriptions(
  session: Session,
): Promise<readonly DescribedSubscription[]> {
  const states = await readSubscriptions(session);
  const rows = new Map(
    (await session.query<
      {
        readonly name: string;
        readonly comment: string | null;
        readonly tables: readonly TableName[];
      }
    >(relationStatement)).map((row) => [row.name, row]),
  );
  return states.map((state) => ({
    ...state,
    descriptor: parseComment(rows.get(state.name)?.comment),
    tables: rows.get(state.name)?.tables ?? [],
  }));
}

/** One stream of changes of a scope: what of it is there. */
export interface ReplicationStream {
  /** Of publication, slot and subscription. */
  readonly name: string;
  readonly epoch: number;
  readonly publication: PublicationState | undefined;
  readonly slot: SlotState | undefined;
  readonly subscription: DescribedSubscription | undefined;
  /** Of publication or subscription, whichever is there. */
  readonly descriptor: ScopeComment | undefined;
}

/** All streams of a scope, by epoch. */
export async function readStreams(
  hash: string,
  { source, target }: {
    /** On the source's database. */
    readonly source: Session;
    /** On the target's database; undefined when it is not there. */
    readonly target: Session | undefined;
  },
): Promise<readonly ReplicationStream[]> {
  const ours = (name: string) => parseReplicationName(name)?.hash === hash;
  const publications = (await readPublications(source)).filter(({ name }) => ours(name));
  const slots = (await readSlots(source)).filter(({ name }) => ours(name));
  const subscriptions = target === undefined
    ? []
    : (await readDescribedSubscriptions(target)).filter(({ name }) => ours(name));
  const names = new Set([...publications, ...slots, ...subscriptions].map(({ name }) => name));
  return [...names].map((name): ReplicationStream => {
    const publication = publications.find((each) => each.name === name);
    const subscription = subscriptions.find((each) => each.name === name);
    return {
      name,
      epoch: parseReplicationName(name)?.epoch ?? 1,
      publication,
      slot: slots.find((each) => each.name === name),
      subscription,
      descriptor: publication?.descriptor ?? subscription?.descriptor,
    };
  }).sort((a, b) => a.epoch - b.epoch);
}
