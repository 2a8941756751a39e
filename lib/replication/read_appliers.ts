/**
 * The appliers of a target: which exist, how far they are, and what holds them up. Only reads.
 *
 * @module
 */
import type { Lsn, TableName } from "../core/internal.ts";
import type { Session } from "../postgres/internal.ts";
import type { ApplierKind } from "./applier.ts";
import { readApplyLocks } from "./client/apply_lock.ts";
import {
  type ApplyError,
  type ApplyRecord,
  readApplyRecords,
  readStreamPartitions,
  readStreamTables,
} from "./client/apply_record.ts";
import { hasApplySchema } from "./client/apply_schema.ts";
import { type NameParts, parseReplicationName } from "./publication/names.ts";
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
  readSubscriptionComments,
} from "./subscription/list_owned_subscriptions.ts";
import { readSubscriptions, type SubscriptionState } from "./subscription/read_subscriptions.ts";
import {
  readFollowedTables,
  readSubscribedTables,
  type TableState,
} from "./subscription/subscribed_tables.ts";

/** An applier owned by the tool. */
export interface OwnedApplier {
  /** Name of the stream: `seren_` and the parts. */
  readonly name: string;
  /** What applies the changes. */
  readonly kind: ApplierKind;
  /** Scope hash and snapshot generation, parsed from the name. */
  readonly parts: NameParts;
  /** Database that it belongs to, unquoted. */
  readonly database: string;
  /** Slot that it reads, unquoted; undefined if detached. */
  readonly slotName: string | undefined;
}

/** One reading of an applier's worker. */
export type ApplierWorker = WorkerReading;

/** Whether an applier runs, and how far it is. */
export interface ApplierProgress extends Omit<SubscriptionState, "oid"> {
  /** What applies the changes. */
  readonly kind: ApplierKind;
  /** OID of the subscription; undefined for a client. */
  readonly oid: number | undefined;
  /**
   * The backend on the target that applies changes: the apply worker, or the session of the process
   * that applies them; undefined while none does.
   */
  readonly workerPid: number | undefined;
  /** The last position that was applied, or, by a subscription, reported to the source. */
  readonly latestEndLsn: Lsn | undefined;
  /** Why a client has stopped; undefined for a subscription, whose server does not record it. */
  readonly error: ApplyError | undefined;
}

/** A table whose changes an applier applies. */
export interface AppliedTable extends TableName {
  /** Name of the applier. */
  readonly applier: string;
  /** How far the first copy of a subscription is; `ready` for a client. */
  readonly state: TableState;
  /** Where the first copy ended; undefined while it runs, and for a client. */
  readonly lsn: Lsn | undefined;
}

/** One applier of a database, with its tables and what holds it up. */
export interface ApplierReading extends ApplierProgress {
  /** Undefined without a comment that the tool understands. */
  readonly scopeComment: ScopeComment | undefined;
  /** Tables whose changes it applies; those of others are ignored. */
  readonly tables: readonly AppliedTable[];
  /** Errors of first copies since the statistics were reset; undefined before 15. */
  readonly syncErrors: number | undefined;
  /** Conflicts by kind: since the statistics were reset (18+), or, by a client, all of them. */
  readonly conflicts: Readonly<Record<string, number>>;
  /** Sessions whose locks the worker waits for. */
  readonly blockers: readonly ApplyBlocker[];
  /** What a client has applied; undefined for a subscription. */
  readonly applied: AppliedWork | undefined;
}

/** What a client has applied since its stream was created. */
export interface AppliedWork {
  /** Transactions of the source. */
  readonly transactions: number;
  /** Changes of rows. */
  readonly changes: number;
  /** Milliseconds since the last one; undefined before the first. */
  readonly sinceMs: number | undefined;
}

/**
 * Lists the tool's appliers: subscriptions in all databases of the session's server, and the
 * clients of the session's own database ({@linkcode listClientAppliers}).
 */
export async function listAppliers(session: Session): Promise<readonly OwnedApplier[]> {
  return [...await listSubscriptionAppliers(session), ...await listClientAppliers(session)];
}

/** Lists the tool's subscriptions in all databases of the session's server. */
export async function listSubscriptionAppliers(session: Session): Promise<readonly OwnedApplier[]> {
  const subscriptions = await listOwnedSubscriptions(session);
  return subscriptions.map((subscription) => ({ ...subscription, kind: "subscription" as const }));
}

/** Lists the streams of the session's database whose changes the tool itself applies. */
export async function listClientAppliers(session: Session): Promise<readonly OwnedApplier[]> {
  return (await readRecords(session)).flatMap(({ name, slotName }) => {
    const parts = parseReplicationName(name);
    const { database } = session.endpoint;
    return parts === undefined
      ? []
      : [{ name, kind: "client" as const, parts, database, slotName }];
  });
}

/** The records of the session's database; none if it lacks the schema. */
async function readRecords(
  session: Session,
  names?: readonly string[],
): Promise<readonly ApplyRecord[]> {
  return await hasApplySchema(session) ? await readApplyRecords(session, names) : [];
}

/** Reads the workers of all subscriptions of the session's server, by name. */
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
  return [
    ...(await readSubscriptions(session, names)).map(subscriptionProgress),
    ...await readClientProgress(session, await readRecords(session, names)),
  ];
}

function subscriptionProgress(subscription: SubscriptionState): ApplierProgress {
  return { ...subscription, kind: "subscription", error: undefined };
}

async function readClientProgress(
  session: Session,
  records: readonly ApplyRecord[],
): Promise<readonly ApplierProgress[]> {
  if (records.length === 0) return [];
  const pidOf = await readApplyLocks(session);
  return records.map((record) => ({
    name: record.name,
    kind: "client",
    oid: undefined,
    enabled: record.enabled,
    slotName: record.slotName,
    publications: [record.name],
    workerPid: pidOf(record.name),
    receivedLsn: undefined,
    latestEndLsn: record.endLsn,
    silenceMs: record.seenMs,
    applyErrors: record.errors,
    error: record.error,
  }));
}

/** Reads the tables whose changes appliers of the session's database apply, with partitions. */
export async function readAppliedTables(
  session: Session,
  appliers: readonly Pick<ApplierProgress, "name" | "kind" | "oid">[],
): Promise<readonly TableName[]> {
  const oids = appliers.flatMap(({ oid }) => oid ?? []);
  const clients = appliers.filter(({ kind }) => kind === "client").map(({ name }) => name);
  return [
    ...oids.length === 0 ? [] : await readFollowedTables(session, oids),
    ...clients.length === 0 ? [] : await readStreamPartitions(session, clients),
  ];
}

/** Reads the appliers of the session's database, including those of other tools. */
export async function readAppliers(session: Session): Promise<readonly ApplierReading[]> {
  return [...await readSubscriptionAppliers(session), ...await readClientAppliers(session)];
}

/** The same, without the streams whose changes the tool itself applies. */
export async function readSubscriptionAppliers(
  session: Session,
): Promise<readonly ApplierReading[]> {
  const subscriptions = await readSubscriptions(session);
  const scopeComments = await readSubscriptionComments(session);
  const counters = await readCounters(session);
  const tables = await readSubscribedTables(session);
  const blockers = await readBlockers(session);
  return subscriptions.map((subscription) => ({
    ...subscriptionProgress(subscription),
    scopeComment: scopeComments.get(subscription.name),
    tables: tables.filter((table) => table.subscription === subscription.name)
      .map(({ subscription: applier, ...table }) => ({ ...table, applier })),
    syncErrors: counters.get(subscription.name)?.syncErrors,
    conflicts: counters.get(subscription.name)?.conflicts ?? {},
    blockers: blockers.filter(({ workerPid }) => workerPid === subscription.workerPid),
    applied: undefined,
  }));
}

async function readClientAppliers(session: Session): Promise<readonly ApplierReading[]> {
  const records = await readRecords(session);
  if (records.length === 0) return [];
  const progress = await readClientProgress(session, records);
  const tables = await readStreamTables(session);
  const blockers = await readBlockers(
    session,
    progress.flatMap(({ workerPid }) => workerPid ?? []),
  );
  return records.map((record, index): ApplierReading => {
    const applier = progress[index]!;
    return {
      ...applier,
      scopeComment: record.scopeComment,
      tables: tables.filter(({ stream }) => stream === record.name)
        .map(({ stream, ...table }) => ({
          ...table,
          applier: stream,
          state: "ready",
          lsn: undefined,
        })),
      syncErrors: undefined,
      conflicts: record.conflicts,
      blockers: blockers.filter(({ workerPid }) => workerPid === applier.workerPid),
      applied: {
        transactions: record.transactions,
        changes: record.changes,
        sinceMs: record.appliedMs,
      },
    };
  });
}

/** Whether an applier has failed to apply a change, as far as the target records it. */
export function hasApplyErrors(
  { kind, error, applyErrors }: Pick<ApplierProgress, "kind" | "error" | "applyErrors">,
): boolean {
  return kind === "client" ? error !== undefined : (applyErrors ?? 0) > 0;
}
