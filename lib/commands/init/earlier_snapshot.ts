/**
 * The snapshot of an earlier attempt, while it is still held.
 *
 * @module
 */
import { parseOptionalLsn } from "../../core/internal.ts";
import {
  type Endpoint,
  ServerError,
  type Session,
  SnapshotHolder,
  SnapshotLostError,
} from "../../postgres/internal.ts";
import { type LockedSnapshot, type LockOptions, lockTables } from "../../copy/internal.ts";
import { listTables } from "../../catalog/internal.ts";
import {
  isSamePoint,
  readSourcePoint,
  type SnapshotGeneration,
} from "../../checkpoint/internal.ts";

/**
 * Imports the snapshot of an earlier generation; undefined if it is gone.
 *
 * Identifiers are reused after a server restart, so the position that it sees is compared too.
 */
export async function importEarlierSnapshot(
  source: Endpoint,
  { snapshot: identifier, lsn, point }: SnapshotGeneration,
  { signal, select }: LockOptions,
): Promise<LockedSnapshot | undefined> {
  if (point === undefined) return undefined;
  let snapshot: SnapshotHolder | undefined;
  try {
    snapshot = await SnapshotHolder.reexport(source, {
      identifier,
      lsn: parseOptionalLsn(lsn || null),
      signal,
    });
    const { session } = snapshot;
    if (isSamePoint(point, await readSourcePoint(session))) {
      const tables = await selected(session, select);
      await lockTables(session, tables);
      return { snapshot, tables };
    }
  } catch (error) {
    await snapshot?.[Symbol.asyncDispose]();
    const isGone = error instanceof SnapshotLostError || error instanceof ServerError;
    if (!isGone) throw error;
    return undefined;
  }
  await snapshot[Symbol.asyncDispose]();
  return undefined;
}

async function selected(session: Session, select: LockOptions["select"]) {
  const tables = await listTables(session);
  return await (select?.(session, tables) ?? Promise.resolve(tables));
}
