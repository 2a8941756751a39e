/**
 * The tool's subscriptions on a server, found by name, and their comments. Only reads.
 *
 * @module
 */
import type { Session } from "../../postgres/internal.ts";
import { type NameParts, parseReplicationName } from "../publication/names.ts";
import { parseComment, type ScopeComment } from "../publication/publication_comment.ts";
import { subscriptionIdentifiers } from "./read_subscriptions.ts";

/** A subscription owned by the tool, in any database of the session's server. */
export interface OwnedSubscription {
  /** Subscription name, unquoted: `seren_` and the parts. */
  readonly name: string;
  /** Scope hash and snapshot generation, parsed from the name. */
  readonly parts: NameParts;
  /** Database that it belongs to, unquoted. */
  readonly database: string;
  /** Slot that it reads, unquoted; undefined if detached. */
  readonly slotName: string | undefined;
}

const subscriptionStatement = `
  SELECT s.subname::pg_catalog.text AS name, d.datname::pg_catalog.text AS database, s.subslotname::pg_catalog.text AS slot_name
    FROM pg_catalog.pg_subscription AS s
    JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid
   WHERE s.subname LIKE 'seren\\_%'
   ORDER BY s.subname::pg_catalog.text COLLATE pg_catalog."C", d.datname::pg_catalog.text COLLATE pg_catalog."C"`;

/** Lists the tool's subscriptions in all databases of the session's server. */
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
 * Reads the comments of the subscriptions of the session's database, by name. They cannot be read
 * from other databases.
 */
export async function readSubscriptionComments(
  session: Session,
): Promise<ReadonlyMap<string, ScopeComment>> {
  const scopeComments = new Map<string, ScopeComment>();
  for (
    const { name, comment } of await session.query<{ name: string; comment: string }>(
      commentStatement(await subscriptionIdentifiers(session)),
    )
  ) {
    const scopeComment = parseComment(comment);
    if (scopeComment !== undefined) scopeComments.set(name, scopeComment);
  }
  return scopeComments;
}
