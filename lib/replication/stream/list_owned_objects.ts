/**
 * Finding what is ours on a server: by name, and described by a comment where there can be one.
 *
 * @module
 */
import type { Session } from "../../postgres/internal.ts";
import { parseComment, type ScopeComment } from "../publication/publication_comment.ts";
import { type NameParts, parseReplicationName } from "../publication/names.ts";
import { readSlots, type SlotState } from "../slot/read_slots.ts";
import { subscriptionIdentifiers } from "../subscription/read_subscriptions.ts";

/** Something that has a name of ours. */
export interface Named {
  readonly name: string;
  readonly parts: NameParts;
}

/** A slot of ours. */
export interface OwnedSlot extends SlotState {
  readonly parts: NameParts;
}

/** A publication of ours in the session's database. */
export interface OwnedPublication extends Named {
  readonly allTables: boolean;
  /** Publishes changes of partitions as those of their root. */
  readonly viaRoot: boolean;
  readonly tables: number;
  /** Its comment; undefined when there is none that we understand. */
  readonly descriptor: ScopeComment | undefined;
  /**
   * Whether this session's role or a superuser owns it: whoever owns it can write anything into its
   * comment.
   */
  readonly isTrusted: boolean;
}

/** A subscription of ours, in any database of the session's server. */
export interface OwnedSubscription extends Named {
  readonly database: string;
  readonly slotName: string | undefined;
}

/** Slots of ours, of all databases of the session's server. */
export async function listOwnedSlots(session: Session): Promise<readonly OwnedSlot[]> {
  return (await readSlots(session)).flatMap((slot) => {
    const parts = parseReplicationName(slot.name);
    return parts === undefined ? [] : [{ ...slot, parts }];
  });
}

/**
 * A worker's slot for a first copy of a table, left by a subscription: `pg_16394_sync_16385_7012…`.
 */
export interface TableSyncSlot {
  readonly name: string;
  readonly database: string;
  readonly active: boolean;
  /** OID of the subscription. */
  readonly subscriptionOid: number;
  /** Of the subscriber's server; before 14 the name does not have it. */
  readonly systemIdentifier: string | undefined;
}

/**
 * Slots that workers of subscriptions make for first copies. Whose they are, OID and system
 * identifier tell.
 */
export async function listTableSyncSlots(session: Session): Promise<readonly TableSyncSlot[]> {
  return (await readSlots(session)).flatMap(({ name, database, active }) => {
    const [, oid, system] = /^pg_(\d+)_sync_\d+(?:_(\d+))?$/.exec(name) ?? [];
    return oid === undefined
      ? []
      : [{ name, database, active, subscriptionOid: Number(oid), systemIdentifier: system }];
  });
}

const publicationStatement = `
  SELECT p.pubname::pg_catalog.text AS name, p.puballtables AS all_tables,
         coalesce((pg_catalog.to_jsonb(p) ->> 'pubviaroot')::boolean, false) AS via_root,       -- 13+
         (SELECT pg_catalog.count(*)::int FROM pg_catalog.pg_publication_tables AS t WHERE t.pubname = p.pubname) AS tables,
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

/** Publications of ours in the session's database. */
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
      descriptor: parseComment(row.comment),
      isTrusted: row.is_trusted,
    }];
  });
}

const subscriptionStatement = `
  SELECT s.subname::pg_catalog.text AS name, d.datname::pg_catalog.text AS database, s.subslotname::pg_catalog.text AS slot_name
    FROM pg_catalog.pg_subscription AS s
    JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid
   WHERE s.subname LIKE 'seren\\_%'
   ORDER BY s.subname::pg_catalog.text COLLATE pg_catalog."C", d.datname::pg_catalog.text COLLATE pg_catalog."C"`;

/** Subscriptions of ours, in all databases of the session's server. */
export async function listOwnedSubscriptions(
  session: Session,
): Promise<readonly OwnedSubscription[]> {
  const rows = await session.query<
    { readonly name: string; readonly database: string; readonly slot_name: string | null }
  >(subscriptionStatement);
  return rows.flatMap(({ name, database, slot_name }) => {
    const parts = parseReplicationName(name);
    return parts === undefined ? [] : [{ name, parts, database, slotName: slot_name ?? undefined }];
  });
}

const commentStatement = (identifiers: string) => `
  SELECT s.name, d.description AS comment
    FROM (${identifiers}) AS s
    JOIN pg_catalog.pg_description AS d ON d.classoid = 'pg_catalog.pg_subscription'::pg_catalog.regclass AND d.objoid = s.oid`;

/**
 * Comments of the subscriptions of the session's database, by name; a subscription's comment can
 * only be read there.
 */
export async function readSubscriptionComments(
  session: Session,
): Promise<ReadonlyMap<string, ScopeComment>> {
  const descriptors = new Map<string, ScopeComment>();
  for (
    const { name, comment } of await session.query<{ name: string; comment: string }>(
      commentStatement(await subscriptionIdentifiers(session)),
    )
  ) {
    const descriptor = parseComment(comment);
    if (descriptor !== undefined) descriptors.set(name, descriptor);
  }
  return descriptors;
}
