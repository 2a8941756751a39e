/**
 * The snapshot that a database is copied under, with the scope that it sees.
 *
 * @module
 */
import type { Endpoint } from "../../postgres/internal.ts";
import {
  exportLockedSnapshot,
  type LockedSnapshot,
  type LockOptions,
} from "../../copy/internal.ts";
import { isComplete, type Ledger } from "../../checkpoint/internal.ts";
import type { TableRules } from "../../rules/internal.ts";
import type { ReplicationSetup } from "../shared/replication_setup.ts";
import { type ReadScope, readScope } from "../shared/table_scope.ts";
import { importEarlierSnapshot } from "./earlier_snapshot.ts";

/** A snapshot, its locked tables, and what the rules decide about them. */
export interface ScopedSnapshot extends LockedSnapshot {
  /** As the snapshot sees it; undefined without rules, when everything is copied. */
  readonly scope: ReadScope | undefined;
}

/** Where the snapshot comes from. */
export interface OpenSnapshotOptions {
  readonly source: Endpoint;
  readonly rules: TableRules;
  /** With replication, a slot provides the snapshot. */
  readonly stream: ReplicationSetup | undefined;
  /** Of an earlier attempt, whose snapshot is used while it is still held. */
  readonly ledger: Ledger | undefined;
  readonly signal: AbortSignal;
}

/** Opens a snapshot on the source and reads the scope under it. */
export async function openSnapshot(options: OpenSnapshotOptions): Promise<ScopedSnapshot> {
  const { rules } = options;
  const { snapshot, tables } = await lockSnapshot(options);
  try {
    return { snapshot, tables, scope: await readScope(snapshot.session, rules) };
  } catch (error) {
    await snapshot[Symbol.asyncDispose]();
    throw error;
  }
}

async function lockSnapshot(
  { source, rules, stream, ledger, signal }: OpenSnapshotOptions,
): Promise<LockedSnapshot> {
  const lock: LockOptions = {
    signal,
    select: async (session, tables) => {
      const read = await readScope(session, rules);
      return tables.filter((table) => read?.scope.isMade(table) ?? true);
    },
  };
  if (stream !== undefined) {
    return await stream.begin(lock, ledger?.state.tables.filter(isComplete));
  }
  const last = ledger?.state.generations.at(-1);
  const held = last === undefined ? undefined : await importEarlierSnapshot(source, last, lock);
  return held ?? await exportLockedSnapshot(source, lock);
}
