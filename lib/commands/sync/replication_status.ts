/**
 * How replication of one database stands: what is there on both sides, and which tables it should
 * have.
 *
 * @module
 */
import { type Endpoint, openSession, retry, type Session } from "../../postgres/internal.ts";
import { tableKey, type TableName } from "../../core/internal.ts";
import { listTables, type Table } from "../../catalog/internal.ts";
import {
  describeScope,
  evaluateStream,
  readDatabaseRef,
  readDescribedSubscriptions,
  readPublications,
  readStreams,
  type ReplicationScope,
  type ReplicationStream,
  sameDatabaseRefs,
  type ScopeComment,
  type StreamVerdict,
} from "../../replication/internal.ts";
import type { TableRules } from "../../rules/internal.ts";
import type { PlannedDatabase } from "../shared/database_plan.ts";
import { selectRows } from "../shared/replication_setup.ts";

/** One database, as it stands. */
export interface ReplicationStatus {
  readonly planned: PlannedDatabase;
  /** The database on the source. */
  readonly source: Endpoint;
  /** The database on the target. */
  readonly target: Endpoint;
  /** Rules with the moment that the first copy had. */
  readonly scope: ReplicationScope;
  readonly wanted: ScopeComment;
  readonly streams: readonly ReplicationStream[];
  readonly verdicts: readonly StreamVerdict[];
  /** Streams between the same databases under other rules. */
  readonly others: readonly ScopeComment[];
  /** Tables of the source whose rows should follow. */
  readonly tables: readonly Table[];
  /** Of those: what no stream has, and the target has. */
  readonly unfollowed: readonly Table[];
  /**
   * Of those: what no stream has, and the target does not either, or only as an interrupted run has
   * left it.
   */
  readonly appeared: readonly Table[];
  /** Of those: what an interrupted run has made. */
  readonly halfAdded: readonly TableName[];
  /** Published and yet passed over by the subscription. */
  readonly unsubscribed: readonly TableName[];
}

/** What is read. */
export interface ReplicationStatusInput {
  readonly planned: PlannedDatabase;
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly rules: TableRules;
  readonly signal: AbortSignal;
}

/** Reads both sides. */
export async function readReplicationStatus(
  input: ReplicationStatusInput,
): Promise<ReplicationStatus> {
  const { planned, source, target, signal } = input;
  await using from = await retry(() => openSession(source, { signal }), { signal });
  await using to = await retry(() => openSession(target, { signal }), { signal });
  const places = { source: await readDatabaseRef(from), target: await readDatabaseRef(to) };
  const asked = { ...places, rules: input.rules };
  const described = await describeScope(asked, { epoch: 1, createdAt: "", changedIdentities: [] });
  const streams = await readStreams(described.hash, { source: from, target: to });
  // windows of time reach back from the moment of the first copy
  const now = streams.find(({ descriptor }) => descriptor !== undefined)?.descriptor?.rulesNow;
  const rules = { ...input.rules, ...(now === undefined ? {} : { now }) };
  const { tables } = await selectRows(from, undefined, rules);
  const listed = streams.flatMap(({ publication }) => publication?.tables ?? []);
  const halfAdded = streams.flatMap(unfinishedAdditions);
  const unfinished = new Set(halfAdded.map((table) => tableKey(table)));
  const published = new Set(
    listed.map((table) => tableKey(table)).filter((key) => !unfinished.has(key)),
  );
  const loose = tables.filter((table) => !table.isUnlogged && !published.has(tableKey(table)));
  const there = new Set((await listTables(to)).map((table) => tableKey(table)));
  return {
    planned,
    source,
    target,
    scope: { ...places, rules },
    wanted: described,
    streams,
    verdicts: streams.map(evaluateStream),
    others: await readOthers(described, { from, to }),
    tables,
    unfollowed: loose.filter((table) =>
      there.has(tableKey(table)) && !unfinished.has(tableKey(table))
    ),
    appeared: loose.filter((table) =>
      !there.has(tableKey(table)) || unfinished.has(tableKey(table))
    ),
    halfAdded,
    unsubscribed: streams.flatMap(passedOver),
  };
}

/**
 * Tables of `--add-tables` whose run has ended before they were in: the target has them
 * incompletely, or not at all.
 */
function unfinishedAdditions(
  { publication, subscription, descriptor }: ReplicationStream,
): readonly TableName[] {
  if (subscription !== undefined || descriptor?.copiedAt !== undefined) return [];
  const added = new Set((descriptor?.added ?? []).map((table) => tableKey(table)));
  return publication?.tables.filter((table) => added.has(tableKey(table))) ?? [];
}

function passedOver({ publication, subscription }: ReplicationStream): readonly TableName[] {
  if (publication === undefined || subscription === undefined) return [];
  const followed = new Set(subscription.tables.map((table) => tableKey(table)));
  return publication.tables.filter((table) => !followed.has(tableKey(table)));
}

async function readOthers(
  wanted: ScopeComment,
  { from, to }: { readonly from: Session; readonly to: Session },
): Promise<readonly ScopeComment[]> {
  const described = [...await readPublications(from), ...await readDescribedSubscriptions(to)]
    .flatMap(({ descriptor }) => descriptor ?? [])
    .filter((other) => other.hash !== wanted.hash && sameDatabaseRefs(wanted, other));
  return [...new Map(described.map((each) => [each.hash, each])).values()];
}
