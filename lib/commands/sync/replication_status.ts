/**
 * The replication of one database: what exists on both sides, and which tables it should include.
 *
 * @module
 */
import { type Endpoint, openSession, type Session } from "../../postgres/internal.ts";
import { retry, tableKey, type TableName } from "../../core/internal.ts";
import { listTables, type Table } from "../../catalog/internal.ts";
import {
  describeScope,
  evaluateStream,
  readAppliers,
  readDatabaseRef,
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
import { selectRows } from "../shared/replicated_rows.ts";

/** The replication status of one database. */
export interface ReplicationStatus {
  readonly planned: PlannedDatabase;
  /** The database on the source. */
  readonly source: Endpoint;
  /** The database on the target. */
  readonly target: Endpoint;
  /** The scope, whose time windows reach back from the first copy. */
  readonly scope: ReplicationScope;
  readonly wanted: ScopeComment;
  readonly streams: readonly ReplicationStream[];
  readonly verdicts: readonly StreamVerdict[];
  /** Streams between the same databases under other rules. */
  readonly others: readonly ScopeComment[];
  /** Tables of the source whose rows should be replicated. */
  readonly tables: readonly Table[];
  /** Those of `tables` in no stream that exist on the target. */
  readonly unfollowed: readonly Table[];
  /** Those of `tables` in no stream that the target lacks, or has from an interrupted run. */
  readonly appeared: readonly Table[];
  /** Those of `appeared` that an interrupted run has created. */
  readonly halfAdded: readonly TableName[];
  /** Published tables that the applier ignores. */
  readonly unsubscribed: readonly TableName[];
}

/** What {@linkcode readReplicationStatus} takes. */
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
  const refs = { source: await readDatabaseRef(from), target: await readDatabaseRef(to) };
  const requested = { ...refs, rules: input.rules };
  const described = await describeScope(requested, {
    epoch: 1,
    createdAt: "",
    changedIdentities: [],
  });
  const streams = await readStreams(described.hash, { source: from, target: to });
  // time windows reach back from the moment of the first copy
  const now = streams.find(({ scopeComment }) => scopeComment !== undefined)?.scopeComment
    ?.rulesNow;
  const rules = { ...input.rules, ...(now === undefined ? {} : { now }) };
  const { tables } = await selectRows(from, undefined, rules);
  const listed = streams.flatMap(({ publication }) => publication?.tables ?? []);
  const halfAdded = streams.flatMap(unfinishedAdditions);
  const unfinished = new Set(halfAdded.map((table) => tableKey(table)));
  const published = new Set(
    listed.map((table) => tableKey(table)).filter((key) => !unfinished.has(key)),
  );
  const loose = tables.filter((table) => !table.isUnlogged && !published.has(tableKey(table)));
  const onTarget = new Set((await listTables(to)).map((table) => tableKey(table)));
  return {
    planned,
    source,
    target,
    scope: { ...refs, rules },
    wanted: described,
    streams,
    verdicts: streams.map(evaluateStream),
    others: await readOthers(described, { from, to }),
    tables,
    unfollowed: loose.filter((table) =>
      onTarget.has(tableKey(table)) && !unfinished.has(tableKey(table))
    ),
    appeared: loose.filter((table) =>
      !onTarget.has(tableKey(table)) || unfinished.has(tableKey(table))
    ),
    halfAdded,
    unsubscribed: streams.flatMap(unsubscribedTables),
  };
}

/** Tables of an interrupted `--add-tables`: incomplete or missing on the target. */
function unfinishedAdditions(
  { publication, applier, scopeComment }: ReplicationStream,
): readonly TableName[] {
  if (applier !== undefined || scopeComment?.copiedAt !== undefined) return [];
  const added = new Set((scopeComment?.added ?? []).map((table) => tableKey(table)));
  return publication?.tables.filter((table) => added.has(tableKey(table))) ?? [];
}

function unsubscribedTables(
  { publication, applier }: ReplicationStream,
): readonly TableName[] {
  if (publication === undefined || applier === undefined) return [];
  const followed = new Set(applier.tables.map((table) => tableKey(table)));
  return publication.tables.filter((table) => !followed.has(tableKey(table)));
}

async function readOthers(
  wanted: ScopeComment,
  { from, to }: { readonly from: Session; readonly to: Session },
): Promise<readonly ScopeComment[]> {
  const described = [...await readPublications(from), ...await readAppliers(to)]
    .flatMap(({ scopeComment }) => scopeComment ?? [])
    .filter((other) => other.hash !== wanted.hash && sameDatabaseRefs(wanted, other));
  return [...new Map(described.map((each) => [each.hash, each])).values()];
}
