/**
 * Finds what a cutover has created in a database. Only reads.
 *
 * @module
 */
import type { ReplicatorError, Side } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { observeSide, readFence, type SideRecord } from "../../cutover/internal.ts";
import {
  type ChangedIdentity,
  openApplier,
  readSubscriptionComments,
} from "../../replication/internal.ts";

/** One side of a cutover. */
export interface FoundCutover {
  readonly database: string;
  readonly record: SideRecord;
  /** Tables with a fence. */
  readonly tables: number;
  /**
   * Whether this side's part of the way back exists: its subscription, or its slot or publication.
   */
  readonly hasWayBack: boolean;
  /** Replica identities that the way back has changed on the target; known to the source only. */
  readonly changedIdentities: readonly ChangedIdentity[];
}

/** A schema of the tool that is not trusted: its record may show that this side is closed. */
export interface DistrustedCutover {
  readonly database: string;
  /** Why, with the remedy. */
  readonly distrust: ReplicatorError;
}

/** The same as {@linkcode FoundCutover}, and which side it is. */
export interface SidedCutover extends FoundCutover {
  readonly side: Side;
}

/**
 * Reads the cutover of the session's database, if the database is that side of it. On one server
 * both sides are found from either.
 */
export async function findCutover(
  session: Session,
  { database, side }: { readonly database: string; readonly side: Side },
): Promise<FoundCutover | DistrustedCutover | undefined> {
  // a schema of another role is left alone
  const { record, distrust } = await observeSide(session);
  if (distrust !== undefined) return { database, distrust };
  if (record === undefined || record.details.side !== side) return undefined;
  const { back } = record.details;
  const comments = side === "source" ? await readSubscriptionComments(session) : undefined;
  return {
    database,
    record,
    tables: (await readFence(session)).length,
    hasWayBack: back !== null && await hasWayBack(session, { back, side }),
    changedIdentities: comments?.get(back ?? "")?.changedIdentities ?? [],
  };
}

const departureStatement = `
  SELECT EXISTS (SELECT FROM pg_catalog.pg_publication AS p WHERE p.pubname = $1)
      OR EXISTS (SELECT FROM pg_catalog.pg_replication_slots AS s WHERE s.slot_name = $1) AS exists`;

async function hasWayBack(
  session: Session,
  { back, side }: { readonly back: string; readonly side: Side },
): Promise<boolean> {
  if (side === "target") {
    const { exists } = await session.queryOne<{ readonly exists: boolean }>(
      departureStatement,
      [back],
    );
    return exists;
  }
  await using applier = await openApplier(session, { name: back });
  return await applier.state() !== "absent";
}
