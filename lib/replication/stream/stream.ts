/**
 * A stream from its start to the hand-over: publication, slot and snapshot; then, once the rows are
 * copied, the applier.
 *
 * @module
 */
import type { IdentityPolicy } from "../../config/internal.ts";
import {
  displayName,
  type EventSink,
  plural,
  poll,
  quoteIdentifier,
  quoteQualified,
  ReplicatorError,
  retry,
  tableKey,
  type TableName,
} from "../../core/internal.ts";
import {
  describeHost,
  type Endpoint,
  openSession,
  type Session,
  withoutEventTriggers,
} from "../../postgres/internal.ts";
import { listTables, readClusterFacts, type Table } from "../../catalog/internal.ts";
import type { LockOptions } from "../../copy/internal.ts";
import type { AppliedStream, Applier, ApplierKind } from "../applier.ts";
import { openApplier } from "../open_applier.ts";
import {
  type ChangedIdentity,
  describeIdentityList,
  describeScope,
  type ScopeComment,
} from "../publication/publication_comment.ts";
import type { ReplicationStream } from "./read_streams.ts";
import { type ReplicationNames, replicationNames } from "../publication/names.ts";
import {
  createPublication,
  describePublication,
  dropPublication,
  planPublication,
  type PublicationPlan,
} from "../publication/publication.ts";
import type { DatabaseRef, ReplicationScope } from "../publication/scope.ts";
import { dropSlotApart } from "../slot/slot.ts";
import { createSlotSnapshot, type SlotSnapshot } from "../slot/slot_snapshot.ts";

/** Reads the identity of the session's database, independent of addresses and users. */
export async function readDatabaseRef(session: Session): Promise<DatabaseRef> {
  const { systemIdentifier } = await readClusterFacts(session);
  return {
    system: systemIdentifier ?? session.endpoint.hosts.map(describeHost).join(","),
    database: session.endpoint.database,
  };
}

/** The tables whose rows are copied, with their row filters. */
export interface PublishedRows {
  readonly tables: readonly Table[];
  /** Undefined for all rows. */
  readonly predicateOf: (table: TableName) => string | undefined;
}

/** What {@linkcode startStream} takes besides the source. */
export interface StreamOptions extends LockOptions {
  readonly scope: ReplicationScope;
  /** The snapshot generation, from 1. */
  readonly epoch: number;
  /** Selects the tables whose rows are copied, among those of `select`. */
  readonly withRows: (session: Session, tables: readonly Table[]) => Promise<PublishedRows>;
  readonly policy: IdentityPolicy;
  /** What will apply the changes. */
  readonly kind: ApplierKind;
  /** Identities that earlier streams of the scope changed. */
  readonly remembered?: readonly ChangedIdentity[];
  /** Tables that the target lacks. */
  readonly added?: readonly TableName[];
  readonly slotTimeoutMs: number;
  /** Whether the slot is synchronized to the source's standbys (17+). */
  readonly failover: boolean;
  /** ISO timestamp. */
  readonly createdAt: string;
  readonly events: EventSink;
}

/**
 * A stream that has started: what was committed before its consistent point must be copied,
 * everything else is delivered by its slot.
 */
export interface StreamStart extends SlotSnapshot {
  readonly names: ReplicationNames;
  readonly scopeComment: ScopeComment;
  readonly plan: PublicationPlan;
  /** The published tables of {@linkcode SlotSnapshot.tables}. */
  readonly published: readonly Table[];
}

const attempts = 5;

/**
 * Starts a stream: first replica identities and publication, because changes are decoded with the
 * catalog as of the change; then slot, snapshot and locks. Starts over if the snapshot sees other
 * tables than were published.
 *
 * If it throws, it leaves nothing behind.
 *
 * @throws ReplicatorError with every table that cannot be published, or what the slot waits for
 */
export async function startStream(source: Endpoint, options: StreamOptions): Promise<StreamStart> {
  const { signal, events, epoch, scope, createdAt } = options;
  const described = await describeScope(scope, {
    epoch,
    createdAt,
    changedIdentities: [],
    ...(options.added === undefined ? {} : { added: options.added }),
  });
  const names = replicationNames(described);
  let difference: string | undefined;
  const stream = await poll(async (failures) => {
    if (failures > 0) {
      events({ kind: "info", message: `creating the publication again: ${difference}` });
    }
    const planned = await publish(source, { ...options, names, scopeComment: described });
    const scopeComment = describePlan(described, planned.plan);
    const copied = new Set(planned.tables.map((table) => tableKey(table)));
    let snapshot: SlotSnapshot | undefined;
    try {
      snapshot = await createSlotSnapshot(source, {
        slot: names.slot,
        publication: names.publication,
        failover: options.failover,
        slotTimeoutMs: options.slotTimeoutMs,
        signal,
        events,
        select: options.select,
        isCopied: (table) => copied.has(tableKey(table)),
      });
      const { tables } = await options.withRows(snapshot.snapshot.session, snapshot.tables);
      difference = differs(planned.tables, tables);
      if (difference === undefined) {
        reportSkipped(planned.plan, options);
        const keys = new Set(planned.plan.tables.map((table) => tableKey(table)));
        const published = tables.filter((table) => keys.has(tableKey(table)));
        return { ...snapshot, names, scopeComment, plan: planned.plan, published };
      }
    } catch (error) {
      // report the original error; cleanup finds what cannot be dropped
      await undo(source, { names, snapshot }).catch(() => {});
      throw error;
    }
    await undo(source, { names, snapshot });
    return undefined;
  }, { intervalMs: 0, maxProbes: attempts, signal });
  if (stream !== undefined) return stream;
  throw keepsChanging(source, difference ?? "");
}

function describePlan(
  scopeComment: ScopeComment,
  { changedIdentities, skipped }: PublicationPlan,
): ScopeComment {
  return {
    ...scopeComment,
    changedIdentities,
    ...(skipped.length === 0
      ? {}
      : { skipped: skipped.map(({ schema, name }) => ({ schema, name })) }),
  };
}

async function undo(
  source: Endpoint,
  { names, snapshot }: {
    readonly names: ReplicationNames;
    readonly snapshot: SlotSnapshot | undefined;
  },
): Promise<void> {
  await snapshot?.snapshot[Symbol.asyncDispose]();
  if (snapshot !== undefined) await dropSlotApart(source, names.slot);
  await withdraw(source, names.publication);
}

async function publish(
  source: Endpoint,
  options: StreamOptions & {
    readonly names: ReplicationNames;
    readonly scopeComment: ScopeComment;
  },
): Promise<{ readonly plan: PublicationPlan; readonly tables: readonly Table[] }> {
  const { signal, names, scopeComment, policy, kind, remembered, events } = options;
  await using session = await retry(() => openSession(source, { signal }), { signal });
  const all = await listTables(session);
  const selected = await (options.select?.(session, all) ?? Promise.resolve(all));
  const { tables, predicateOf } = await options.withRows(session, selected);
  const plan = await planPublication({
    session,
    tables,
    predicateOf,
    policy,
    isFilteredHere: kind === "client",
    ...(remembered === undefined ? {} : { remembered }),
  });
  await createPublication(session, {
    name: names.publication,
    plan,
    scopeComment: describePlan(scopeComment, plan),
  });
  if (plan.changedIdentities.length > 0) {
    events({
      kind: "info",
      message: `REPLICA IDENTITY FULL was set for ${
        plural(plan.changedIdentities.length, "table")
      } of ${source.database}, until cleanup: ${describeIdentityList(plan.changedIdentities)}`,
    });
  }
  return { plan, tables };
}

function reportSkipped({ skipped }: PublicationPlan, { events }: StreamOptions): void {
  for (const table of skipped) {
    events({
      kind: "warning",
      side: "source",
      object: `table ${displayName(table)}`,
      message: `it is copied once, and its changes are not replicated: ${table.reason}`,
      remedy: "copy it again at the cutover",
    });
  }
}

function differs(planned: readonly Table[], seen: readonly Table[]): string | undefined {
  const unplanned = new Map(seen.map((table) => [tableKey(table), table]));
  for (const table of planned) {
    const other = unplanned.get(tableKey(table));
    if (other?.oid !== table.oid) return `${displayName(table)} was dropped or replaced`;
    unplanned.delete(tableKey(table));
  }
  const [created] = unplanned.values();
  return created === undefined ? undefined : `${displayName(created)} was created`;
}

function keepsChanging(source: Endpoint, difference: string): ReplicatorError {
  return new ReplicatorError(
    `tables were created or dropped during each of ${
      plural(attempts, "attempt")
    } to start the stream: ${difference}`,
    {
      side: "source",
      object: `database ${source.database}`,
      remedy: "wait until the migration or job that creates tables has ended, then run again",
    },
  );
}

async function withdraw(source: Endpoint, publication: string): Promise<void> {
  await using session = await retry(() => openSession(source));
  await dropPublication(session, publication);
}

/** Undoes the start of a stream whose rows will not be copied: slot, publication, identities. */
export async function abandonStream(source: Endpoint, names: ReplicationNames): Promise<void> {
  await dropSlotApart(source, names.slot);
  await withdraw(source, names.publication);
}

/** What {@linkcode handOver} takes. */
export interface HandOverOptions extends Omit<AppliedStream, "origin"> {
  /** A session on the target's database. */
  readonly target: Session;
  /** What will apply the changes; an applier that exists stays what it is. */
  readonly kind: ApplierKind;
  /** ISO timestamp. */
  readonly copiedAt: string;
  readonly signal: AbortSignal;
  readonly events: EventSink;
}

/**
 * Lets the target follow, once all rows are copied: creates the applier, stopped, records it on the
 * publication, and starts it. After an interruption it may be called again: existing objects are
 * left as they are.
 */
export async function handOver(options: HandOverOptions): Promise<Applier> {
  const { source, target, names, signal } = options;
  const scopeComment: ScopeComment = {
    ...options.scopeComment,
    copiedAt: options.scopeComment.copiedAt ?? options.copiedAt,
  };
  const applier = await openApplier(target, {
    name: names.subscription,
    kind: options.kind,
    signal,
  });
  // a crash must not undo it, whatever the servers' defaults
  for (const session of [source, target]) await session.execute("SET synchronous_commit = on");
  // its commit also flushes the copied rows on the target, which were committed asynchronously
  if (await applier.state() === "absent") {
    const overridden = await applier.create({ ...options, scopeComment, origin: "any" });
    for (const { name, value, needed } of overridden) {
      options.events({
        kind: "info",
        message:
          `${name} is ${value} in ${target.endpoint.database} on the target; apply workers use ${needed} until cleanup`,
      });
    }
  }
  await describePublication(source, { name: names.publication, scopeComment });
  await applier.start();
  return applier;
}

/**
 * Reduces the publication of a stream without an applier to some of its tables; the others are
 * copied under a later stream. A subscription follows what is published when it is created.
 */
export async function keepTables(
  source: Session,
  { name, publication, scopeComment }: ReplicationStream,
  kept: readonly TableName[],
): Promise<void> {
  const keys = new Set(kept.map((table) => tableKey(table)));
  const leaving = publication?.tables.filter((table) => !keys.has(tableKey(table))) ?? [];
  if (leaving.length === 0) return;
  await withoutEventTriggers(source, () =>
    source.execute(
      `ALTER PUBLICATION ${quoteIdentifier(name)} DROP TABLE ${
        leaving.map((table) => `ONLY ${quoteQualified(table.schema, table.name)}`).join(", ")
      }`,
    ));
  if (scopeComment === undefined) return;
  const changedIdentities = scopeComment.changedIdentities.filter((table) =>
    keys.has(tableKey(table))
  );
  await describePublication(source, { name, scopeComment: { ...scopeComment, changedIdentities } });
}
