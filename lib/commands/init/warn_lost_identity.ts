/**
 * Replicated tables whose rows the apply worker cannot find, because their key was set aside.
 *
 * @module
 */
import {
  displayName,
  type EventSink,
  quoteQualified,
  tableKey,
  type TableName,
} from "../../core/internal.ts";
import { type Endpoint, openSession } from "../../postgres/internal.ts";
import { type PublishableIdentity, readReplicaIdentities } from "../../replication/internal.ts";

/** A table whose rows the source can identify and the target cannot. */
export interface LostIdentity {
  readonly table: TableName;
  /**
   * Whether the source has REPLICA IDENTITY FULL: the target then searches all rows; otherwise the
   * apply worker stops.
   */
  readonly isFull: boolean;
}

/** Warns about each replicated table that has a key on the source and none on the target. */
export async function warnLostIdentities(
  { source, target, tables, events, signal }: {
    readonly source: Endpoint;
    readonly target: Endpoint;
    readonly tables: readonly TableName[];
    readonly events: EventSink;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  await using onSource = await openSession(source, { signal });
  await using onTarget = await openSession(target, { signal });
  const lost = findLostIdentities({
    source: await readReplicaIdentities(onSource),
    target: await readReplicaIdentities(onTarget),
    tables,
  });
  for (const identity of lost) events(lostIdentityWarning(identity));
}

/** Compares the replica identities of both servers. Pure. */
function findLostIdentities(
  { source, target, tables }: {
    readonly source: ReadonlyMap<number, PublishableIdentity>;
    readonly target: ReadonlyMap<number, PublishableIdentity>;
    readonly tables: readonly TableName[];
  },
): readonly LostIdentity[] {
  const wanted = new Set(tables.map(tableKey));
  const identities = new Map([...target.values()].map((each) => [tableKey(each.table), each]));
  return [...source.values()].flatMap((identity): readonly LostIdentity[] => {
    const { table, kind } = identity;
    const onTarget = identities.get(tableKey(table));
    if (!wanted.has(tableKey(table)) || onTarget === undefined) return [];
    return hasKey(identity) && !hasKey(onTarget) ? [{ table, isFull: kind === "f" }] : [];
  });
}

function hasKey({ columns = [], primaryKey }: PublishableIdentity): boolean {
  return columns.length > 0 || primaryKey.length > 0;
}

function lostIdentityWarning({ table, isFull }: LostIdentity): Parameters<EventSink>[0] {
  const create = "remove the cause and run the same command again, which creates the key";
  return {
    kind: "warning",
    side: "target",
    object: `table ${displayName(table)}`,
    message: "its key was set aside, so it has no replica identity on the target: " +
      (isFull
        ? "each UPDATE and DELETE is applied by a sequential scan"
        : "the apply worker stops at the first UPDATE or DELETE of the table"),
    remedy: isFull
      ? create
      : `${create}, before the source changes rows of this table; until then ` +
        `ALTER TABLE ${
          quoteQualified(table.schema, table.name)
        } REPLICA IDENTITY FULL; on the source ` +
        "lets the target apply later changes by sequential scans",
  };
}
