/**
 * Removing what a cutover has created: `finish` and `cleanup`.
 *
 * @module
 */
import { cutoverSchema, retry } from "../core/internal.ts";
import {
  durableSettings,
  type Endpoint,
  openSession,
  type Session,
  withoutEventTriggers,
} from "../postgres/internal.ts";
import {
  dropPublication,
  dropSlot,
  type LeftIdentity,
  openApplier,
  ViolatedKeysError,
} from "../replication/internal.ts";
import { unpublishTokens } from "./back_stream.ts";
import { changeFence } from "./change_fence.ts";
import { dropFence, readFence } from "./fence.ts";
import { readSide } from "./own_schema.ts";
import { staysReadOnly } from "./open_side.ts";
import { tryResetReadOnly } from "./read_only_default.ts";

/** What {@linkcode removeStream} takes; an undefined side is left as it is. */
export interface StreamEnds {
  /** The side that the stream leaves. */
  readonly leaves: Endpoint | undefined;
  /** The side where it arrives. */
  readonly arrives: Endpoint | undefined;
  /**
   * Whether the tables where it arrives get back the replica identity that they had before they
   * were copied.
   */
  readonly restoresCopies: boolean;
}

/**
 * Removes a stream: the applier on the side where it arrives, then slot and publication on the side
 * that it leaves, whose tables get back their replica identities. What does not exist is skipped.
 *
 * @returns tables that keep REPLICA IDENTITY FULL, by the side
 * @throws ViolatedKeysError if rows violate a foreign key that was dropped; everything else is done
 * then
 */
export async function removeStream(
  name: string,
  { leaves, arrives, restoresCopies }: StreamEnds,
): Promise<
  { readonly leaves: readonly LeftIdentity[]; readonly arrives: readonly LeftIdentity[] }
> {
  let onArrival: readonly LeftIdentity[] = [];
  let violated: ViolatedKeysError | undefined;
  try {
    if (arrives !== undefined) onArrival = await removeArrival(name, { arrives, restoresCopies });
  } catch (error) {
    // the applier is gone: its slot, which retains WAL, must not stay
    if (!(error instanceof ViolatedKeysError)) throw error;
    violated = error;
  }
  const onDeparture = leaves === undefined ? [] : await removeDeparture(name, leaves);
  if (violated !== undefined) throw violated;
  return { arrives: onArrival, leaves: onDeparture };
}

async function removeArrival(
  name: string,
  { arrives, restoresCopies }: { readonly arrives: Endpoint; readonly restoresCopies: boolean },
): Promise<readonly LeftIdentity[]> {
  await using session = await open(arrives);
  await using applier = await openApplier(session, { name });
  return await applier.remove({ restoreIdentities: restoresCopies });
}

async function removeDeparture(name: string, leaves: Endpoint): Promise<readonly LeftIdentity[]> {
  await using session = await open(leaves);
  await dropSlot(session, { name });
  await unpublishTokens(session, name);
  return await dropPublication(session, name);
}

/**
 * Removes the fence and the tool's schema from one side, and the read-only default if the cutover
 * has set it. The side then accepts writes.
 *
 * @param options.keepsReadOnly whether the source of a finished cutover keeps the read-only
 * default: clients that list both servers would otherwise return to it
 * @returns the number of tables that had a fence
 * @throws ReplicatorError if the role may not remove the default; the schema is left then
 */
export async function dismantleSide(
  session: Session,
  { keepsReadOnly }: { readonly keepsReadOnly: boolean },
): Promise<number> {
  const fenced = await readFence(session);
  for (const table of fenced) await changeFence(session, table, dropFence);
  const record = await readSide(session);
  await withoutEventTriggers(session, async () => {
    await session.execute("SET LOCAL client_min_messages = error; SET LOCAL lock_timeout = '10s'");
    // a side that no switch has closed has no default of the cutover
    const isReadOnly = record?.details.isClosing === true ||
      record?.isOpen === false && record.details.evidence !== null;
    const stays = keepsReadOnly && record?.details.isFinished === true && !record.isOpen;
    // the schema says why the database is read-only: it stays too
    if (isReadOnly && !stays && !await tryResetReadOnly(session)) throw staysReadOnly(session);
    await session.execute(`DROP SCHEMA IF EXISTS ${cutoverSchema} CASCADE`);
  });
  return fenced.length;
}

function open(endpoint: Endpoint): Promise<Session> {
  return retry(() => openSession(endpoint, { settings: durableSettings }));
}
