/**
 * Removing tables from the streams that replicate them.
 *
 * @module
 */
import { quoteIdentifier, tableKey, type TableName } from "../../core/internal.ts";
import { type Session, withoutEventTriggers } from "../../postgres/internal.ts";
import {
  type ChangedIdentity,
  dropSlot,
  keepTables,
  openApplier,
  type ReplicationStream,
} from "../../replication/internal.ts";
import type { Recorder } from "../shared/recorder.ts";

/** What {@linkcode removeFromStreams} takes besides the streams. */
export interface RemoveFromStreamsOptions {
  readonly tables: readonly TableName[];
  /** A session on the source's database. */
  readonly from: Session;
  /** A session on the target's database. */
  readonly to: Session;
  readonly recorder: Recorder;
  readonly signal: AbortSignal;
  /** Whether triggers and foreign keys that a stream holds stay so, also if it is removed. */
  readonly keepsHeldObjects: boolean;
}

/**
 * Removes the tables from existing streams.
 *
 * @returns the changed replica identities that those streams recorded
 */
export async function removeFromStreams(
  streams: readonly ReplicationStream[],
  { tables, from, to, recorder, signal, keepsHeldObjects }: RemoveFromStreamsOptions,
): Promise<readonly ChangedIdentity[]> {
  const leavingKeys = new Set(tables.map((table) => tableKey(table)));
  const remembered: ChangedIdentity[] = [];
  for (const stream of streams) {
    const { publication, scopeComment, name } = stream;
    const listed = publication?.tables ?? stream.applier?.tables ?? [];
    const leaving = listed.filter((table) => leavingKeys.has(tableKey(table)));
    const unfinished = stream.applier === undefined && scopeComment?.copiedAt === undefined;
    if (leaving.length === 0 && !(unfinished && listed.length === 0)) continue;
    remembered.push(
      ...scopeComment?.changedIdentities.filter((table) => leavingKeys.has(tableKey(table))) ?? [],
    );
    if (leaving.length === listed.length) {
      await removeReplicationStream(stream, { from, to, signal, keepsHeldObjects });
      recorder.events({ kind: "info", message: `removed ${name}, which has no tables left` });
    } else await shrinkStream(stream, { leaving, from, to, signal });
  }
  return remembered;
}

async function removeReplicationStream(
  { name, applier: existing, slot }: ReplicationStream,
  { from, to, signal, keepsHeldObjects }: {
    readonly from: Session;
    readonly to: Session;
    readonly signal: AbortSignal;
    readonly keepsHeldObjects: boolean;
  },
): Promise<void> {
  if (existing !== undefined) {
    await using applier = await openApplier(to, { name, signal });
    await applier.remove({ restoreIdentities: false, keepsHeldObjects });
  }
  if (slot !== undefined) await dropSlot(from, { name, signal });
  // replica identities are kept: the tables are about to be published again
  await withoutEventTriggers(
    from,
    () => from.execute(`DROP PUBLICATION IF EXISTS ${quoteIdentifier(name)}`),
  );
}

async function shrinkStream(
  stream: ReplicationStream,
  { leaving, from, to, signal }: {
    readonly leaving: readonly TableName[];
    readonly from: Session;
    readonly to: Session;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { name, applier: existing, publication } = stream;
  const gone = new Set(leaving.map((table) => tableKey(table)));
  const kept = publication?.tables.filter((table) => !gone.has(tableKey(table))) ?? [];
  await keepTables(from, stream, kept);
  if (existing === undefined) return;
  // REFRESH requires an enabled subscription; a disabled one is disabled again afterwards
  await using applier = await openApplier(to, { name, signal });
  const mustStart = existing.kind === "subscription" && !existing.enabled;
  if (mustStart) await applier.start();
  await applier.keepTables(kept);
  if (mustStart) await applier.stop();
}
