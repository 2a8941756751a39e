/**
 * The appliers of a target: which exist, how far they are, and what holds them up. Only reads.
 *
 * @module
 */
import type { TableName } from "../core/internal.ts";
import type { Session } from "../postgres/internal.ts";
import type { ScopeComment } from "./publication/publication_comment.ts";
import {
  type ApplyBlocker,
  readBlockers,
  readCounters,
  readWorkers,
  type WorkerReading,
} from "./subscription/apply_workers.ts";
import {
  listOwnedSubscriptions,
  type OwnedSubscription,
  readSubscriptionComments,
} from "./subscription/list_owned_subscriptions.ts";
import { readSubscriptions, type SubscriptionState } from "./subscription/read_subscriptions.ts";
import {
  readFollowedTables,
  readSubscribedTables,
  type SubscribedTable,
} from "./subscription/subscribed_tables.ts";

/** An applier owned by the tool, in any database of the session's server. */
export type OwnedApplier = OwnedSubscription;

/** One reading of an applier's worker. */
export type ApplierWorker = WorkerReading;

/** Whether an applier runs, and how far it is. */
export type ApplierProgress = SubscriptionState;

/** One applier of a database, with its tables and what holds it up. */
export interface ApplierReading extends ApplierProgress {
  /** Undefined without a comment that the tool understands. */
  readonly scopeComment: ScopeComment | undefined;
  readonly tables: readonly SubscribedTable[];
  /** Errors of first copies since the statistics were reset; undefined before 15. */
  readonly syncErrors: number | undefined;
  /** Conflicts by kind since the statistics were reset. 18+ */
  readonly conflicts: Readonly<Record<string, number>>;
  /** Sessions whose locks the worker waits for. */
  readonly blockers: readonly ApplyBlocker[];
}

/** Lists the tool's appliers in all databases of the session's server. */
export async function listAppliers(session: Session): Promise<readonly OwnedApplier[]> {
  return await listOwnedSubscriptions(session);
}

/** Reads the workers of all appliers of the session's server, by name. */
export async function readApplierWorkers(
  session: Session,
): Promise<ReadonlyMap<string, ApplierWorker>> {
  return await readWorkers(session);
}

/**
 * Reads how far appliers of the session's database are, including those of other tools: those
 * named, or all. Cheap enough to be repeated; {@linkcode readAppliers} reads everything.
 */
export async function readApplierProgress(
  session: Session,
  names?: readonly string[],
): Promise<readonly ApplierProgress[]> {
  return await readSubscriptions(session, names);
}

/** Reads the tables whose changes appliers of the session's database apply, with partitions. */
export async function readAppliedTables(
  session: Session,
  appliers: readonly ApplierProgress[],
): Promise<readonly TableName[]> {
  return await readFollowedTables(session, appliers.map(({ oid }) => oid));
}

/** Reads the appliers of the session's database, including those of other tools. */
export async function readAppliers(session: Session): Promise<readonly ApplierReading[]> {
  const subscriptions = await readApplierProgress(session);
  const scopeComments = await readSubscriptionComments(session);
  const counters = await readCounters(session);
  const tables = await readSubscribedTables(session);
  const blockers = await readBlockers(session);
  return subscriptions.map((subscription) => ({
    ...subscription,
    scopeComment: scopeComments.get(subscription.name),
    tables: tables.filter((table) => table.subscription === subscription.name),
    syncErrors: counters.get(subscription.name)?.syncErrors,
    conflicts: counters.get(subscription.name)?.conflicts ?? {},
    blockers: blockers.filter(({ workerPid }) => workerPid === subscription.workerPid),
  }));
}
