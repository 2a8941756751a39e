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
import { dropPublication, dropSlot, openApplier } from "../replication/internal.ts";
import { unpublishTokens } from "./back_stream.ts";
import { changeFence } from "./change_fence.ts";
import { dropFence, readFence } from "./fence.ts";
import { readSide } from "./own_schema.ts";
import { tryResetReadOnly } from "./read_only_default.ts";

/**
 * Removes a stream: the applier on the side where it arrives, then slot and publication on the side
 * that it leaves. What does not exist is skipped.
 */
export async function removeStream(
  name: string,
  { leaves, arrives }: { readonly leaves: Endpoint; readonly arrives: Endpoint },
): Promise<void> {
  await using onArrival = await open(arrives);
  await using applier = await openApplier(onArrival, { name });
  await applier.remove({ restoreIdentities: false });
  await using onDeparture = await open(leaves);
  await dropSlot(onDeparture, { name });
  await unpublishTokens(onDeparture, name);
  await dropPublication(onDeparture, name);
}

/**
 * Removes the fence and the tool's schema from one side, and the read-only default if the cutover
 * has set it. The side then accepts writes.
 *
 * @returns the number of tables that had a fence
 */
export async function dismantleSide(session: Session): Promise<number> {
  const fenced = await readFence(session);
  for (const table of fenced) await changeFence(session, table, dropFence);
  const record = await readSide(session);
  await withoutEventTriggers(session, async () => {
    await session.execute("SET LOCAL client_min_messages = error; SET LOCAL lock_timeout = '10s'");
    if (record !== undefined && !record.isOpen) await tryResetReadOnly(session);
    await session.execute(`DROP SCHEMA IF EXISTS ${cutoverSchema} CASCADE`);
  });
  return fenced.length;
}

function open(endpoint: Endpoint): Promise<Session> {
  return retry(() => openSession(endpoint, { settings: durableSettings }));
}
