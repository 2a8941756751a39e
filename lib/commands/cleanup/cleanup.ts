/**
 * `cleanup`: removes everything that the tool has created for replication between two servers.
 *
 * @module
 */
import {
  type CheckpointStore,
  type CheckpointStores,
  digestEnds,
  operationOf,
  refuseLiveRun,
} from "../../checkpoint/internal.ts";
import {
  displayName,
  ExitCode,
  ledgerSchema,
  ReplicatorError,
  type Side,
} from "../../core/internal.ts";
import {
  describeEndpoint,
  type Endpoint,
  openSession,
  type Session,
  withDatabase,
  withoutEventTriggers,
} from "../../postgres/internal.ts";
import {
  describeIdentity,
  dropPublication,
  dropSlot,
  type LeftIdentity,
  listOwnedPublications,
  openApplier,
  restoreIdentities,
} from "../../replication/internal.ts";
import {
  dismantleSide,
  LockedSides,
  observeSide,
  overtaken,
  removeStream,
} from "../../cutover/internal.ts";
import { findOnSource, findOnTarget, type TargetFindings } from "./find.ts";
import { planCleanup, type PlannedItems } from "./plan.ts";
import type {
  CleanupFailure,
  CleanupItem,
  CleanupPlan,
  CleanupReport,
  KeptItem,
  UnreachableSide,
} from "./report.ts";
import type { DatabaseSelection, RunContext } from "../shared/run.ts";
import { type Reachable, ReconnectingSession } from "../shared/reconnecting_session.ts";
import { prepareEndpoints } from "../shared/prepare_endpoints.ts";

export * from "./report.ts";

/** What `cleanup` takes. */
export interface CleanupOptions {
  /** The server that replication reads from. */
  readonly source: Endpoint;
  /** The server that replication writes to. */
  readonly target: Endpoint;
  /** Databases by their names on either side; all by default. */
  readonly databases: Pick<DatabaseSelection, "include" | "exclude">;
  /** Where runs keep their state files; undefined leaves them alone. */
  readonly checkpoints: CheckpointStores | undefined;
  /**
   * Called with the plan before anything is removed, unless there is nothing to remove; false
   * leaves everything unchanged.
   */
  readonly confirm: (plan: CleanupPlan) => Promise<boolean>;
}

/** What {@linkcode executeCleanup} did. */
export type CleanupResult =
  | { readonly kind: "removed"; readonly report: CleanupReport }
  /** `confirm` answered no. */
  | { readonly kind: "declined"; readonly plan: CleanupPlan };

/**
 * Finds the tool's objects by names and comments on both sides, asks for confirmation, and removes
 * them: subscriptions and records of streams, slots, publications, changed replica identities,
 * records of copies. Rows and objects of others are not touched.
 *
 * A failure does not prevent the other removals; the report lists it. An unreachable side is left
 * as it is, and the report lists the statements to run there. Running `cleanup` again finds what is
 * left.
 *
 * Requires `--allow-net` for both servers; with state files `--allow-read --allow-write` for their
 * folder. On the servers: a role that owns the objects, and on the source REPLICATION for the
 * slots.
 *
 * @returns the report, or only the plan if `confirm` declined
 * @throws ConnectionError if neither side is reachable, ReplicatorError (prerequisite) while an
 * `init` or a command of `cutover` is running, or if one has changed a phase since the plan
 */
export async function executeCleanup(
  options: CleanupOptions,
  { events, signal }: RunContext,
): Promise<CleanupResult> {
  const { source, target, databases, checkpoints, confirm } = prepareEndpoints(options, events);
  await using from = new ReconnectingSession(source, signal);
  await using to = new ReconnectingSession(target, signal);
  const [onSource, onTarget] = await Promise.all([
    from.query(undefined, (session) => findOnSource(source, session, signal)),
    to.query(undefined, (session) => findOnTarget(target, session, signal)),
  ]);
  if (!onSource.reached && !onTarget.reached) throw onSource.error;
  const planned = planCleanup({
    source: onSource.reached ? onSource.value : undefined,
    target: onTarget.reached ? onTarget.value : undefined,
    databases,
  });
  const everything = databases.include.length + databases.exclude.length === 0;
  const file = everything ? await stateFile({ source, target, checkpoints }) : undefined;
  const plan: CleanupPlan = {
    items: [
      ...planned.items,
      ...(file === undefined ? [] : [{
        kind: "state-file" as const,
        name: file.place,
        detail: "state of a run on this machine",
      }]),
    ],
    kept: planned.kept,
    unreachable: [
      ...unreachable("source", { endpoint: source, answer: onSource, planned: planned.byHand }),
      ...unreachable("target", { endpoint: target, answer: onTarget, planned: planned.byHand }),
    ],
  };
  if (plan.items.length === 0) {
    return { kind: "removed", report: { ...plan, removed: [], failed: [] } };
  }
  await refuseWhileRunsLive(plan, { to, signal });
  if (!await confirm(plan)) return { kind: "declined", plan };
  await refuseWhileRunsLive(plan, { to, signal });
  // a switch in the meantime would make the closed side another one
  await using locked = await LockedSides.take(
    planned.cutovers.map(({ side, database, record }) => ({
      endpoint: withDatabase(side === "source" ? source : target, database),
      record,
    })),
    signal,
  );
  await refusePrepared(planned, { from, to });
  const removed: CleanupItem[] = [];
  const left: KeptItem[] = [];
  const failed: CleanupFailure[] = [];
  for (const item of plan.items) {
    signal.throwIfAborted();
    if (item.kind === "replica-identity") {
      const isLeft = left.some((each) =>
        each.side === item.side && each.publication === item.publication &&
        each.database === item.database && each.name === item.name
      );
      if (!isLeft && removed.includes(planned.carriers.get(item)!)) removed.push(item);
      continue;
    }
    try {
      left.push(
        ...await remove(item, {
          from,
          to,
          file,
          signal,
          planned,
          locked,
          isReached: { source: onSource.reached, target: onTarget.reached },
          targetSystem: onTarget.reached ? onTarget.value.system : undefined,
        }),
      );
      removed.push(item);
      const place = item.database === undefined ? "" : ` of database ${item.database}`;
      events({ kind: "info", message: `removed ${item.kind} ${item.name}${place}` });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof ReplicatorError)) throw error;
      failed.push({ item, problem: error.message, remedy: error.remedy ?? null });
    }
  }
  const report = { ...plan, kept: [...plan.kept, ...left], removed, failed };
  return { kind: "removed", report };
}

/** The exit code: failures take precedence over unreachable sides. */
export function cleanupExitCode({ failed, unreachable }: CleanupReport): ExitCode {
  if (failed.length > 0) return ExitCode.stepFailed;
  const [first] = unreachable;
  if (first === undefined) return ExitCode.success;
  return first.side === "source" ? ExitCode.sourceUnreachable : ExitCode.targetUnreachable;
}

/** Refuses while a run is active, which would fail without its ledger or slot. */
async function refuseWhileRunsLive(
  { items }: CleanupPlan,
  { to, signal }: { readonly to: ReconnectingSession; readonly signal: AbortSignal },
): Promise<void> {
  for (const { kind, database } of items) {
    if (kind === "ledger") await within(to, database, signal, refuseLiveRun);
  }
}

/**
 * Refuses if a cutover was prepared since the plan: its streams would be removed, and not its
 * fence.
 */
async function refusePrepared(
  { items, recorded }: PlannedItems,
  { from, to }: { readonly from: ReconnectingSession; readonly to: ReconnectingSession },
): Promise<void> {
  for (const { kind, side, database } of items) {
    if (database === undefined) continue;
    if (kind !== "publication" && kind !== "subscription" && kind !== "apply-record") continue;
    const session = await (side === "source" ? from : to).session(database);
    const { record } = await observeSide(session);
    // one with another server has its own streams, which stay
    const isKnown = recorded.some((each) =>
      each.side === side && each.database === database && each.record.id === record?.id
    );
    if (record?.details.side === side && !isKnown) throw overtaken(session.endpoint);
  }
}

async function stateFile(
  { source, target, checkpoints }: Pick<CleanupOptions, "source" | "target" | "checkpoints">,
): Promise<CheckpointStore | undefined> {
  const store = checkpoints?.(await operationOf(await digestEnds({ source, target })));
  return await store?.read() === undefined ? undefined : store;
}

function unreachable(
  side: Side,
  { endpoint, answer, planned }: {
    readonly endpoint: Endpoint;
    readonly answer: Reachable<unknown>;
    readonly planned: Readonly<Record<Side, readonly string[]>>;
  },
): readonly UnreachableSide[] {
  return answer.reached ? [] : [{
    side,
    url: describeEndpoint(endpoint),
    problem: answer.error.message,
    byHand: planned[side],
  }];
}

interface RemovalContext {
  readonly from: ReconnectingSession;
  readonly to: ReconnectingSession;
  readonly file: CheckpointStore | undefined;
  readonly signal: AbortSignal;
  readonly planned: PlannedItems;
  readonly locked: LockedSides;
  readonly isReached: Readonly<Record<Side, boolean>>;
  readonly targetSystem: TargetFindings["system"];
}

/** @returns replica identities that could not be restored */
async function remove(item: CleanupItem, context: RemovalContext): Promise<readonly KeptItem[]> {
  const { kind, name, database } = item;
  const { from, to, file, signal, planned } = context;
  const report = (left: readonly LeftIdentity[], side: Side, where: string | undefined) =>
    left.filter(({ publications }) =>
      // the last of the tool's publications that contains it restores it
      publications.length === 0 || !publications.every((publication) =>
        planned.items.some((each) =>
          each.kind === "publication" && each.side === side && each.database === where &&
          each.name === publication
        )
      )
    ).map(({ changed, reason }): KeptItem => ({
      kind: "replica-identity",
      side,
      ...(where === undefined ? {} : { database: where }),
      name: displayName(changed),
      publication: name,
      detail: `FULL for ${name}: ${describeIdentity(changed)}`,
      reason,
    }));
  switch (kind) {
    case "subscription":
    case "apply-record":
      return await within(
        to,
        database,
        signal,
        async (session) => {
          await using applier = await openApplier(session, { name, signal });
          return report(await applier.remove({ restoreIdentities: true }), "target", database);
        },
      );
    case "slot":
      await dropSlot(await from.session(), { name, signal });
      return [];
    case "publication":
      return await within(from, database, signal, async (session) => {
        // while the publication that records them still exists
        const carried = planned.items.find((each) =>
          each.kind === "replica-identity" && each.side === "target" &&
          planned.carriers.get(each) === item
        );
        const onTarget = carried === undefined ? [] : report(
          await restoreCopied(session, { name, database: carried.database }, context),
          "target",
          carried.database,
        );
        return [...onTarget, ...report(await dropPublication(session, name), "source", database)];
      });
    case "ledger":
      await within(
        to,
        database,
        signal,
        (session) =>
          withoutEventTriggers(session, () =>
            session.execute(
              `SET LOCAL client_min_messages = error; DROP SCHEMA IF EXISTS ${ledgerSchema} CASCADE`,
            )),
      );
      return [];
    case "way-back": {
      const onTarget = planned.backs.get(name) ?? to.endpoint.database;
      const { isReached } = context;
      const left = await removeStream(name, {
        leaves: isReached.target ? withDatabase(to.endpoint, onTarget) : undefined,
        arrives: isReached.source
          ? withDatabase(from.endpoint, database ?? from.endpoint.database)
          : undefined,
        // what it brought was not copied
        restoresCopies: false,
      });
      return report(left.leaves, "target", onTarget);
    }
    case "cutover":
      await dismantleSide(context.locked.session(item.side!, database!)!, {
        keepsReadOnly: item.side === "source",
      });
      return [];
    case "replica-identity":
      return []; // restored with the object that records it
    case "state-file":
      await file?.remove();
      return [];
  }
}

/** Trusts the publication's comment only under the plan's conditions: it may have changed since. */
async function restoreCopied(
  source: Session,
  { name, database }: { readonly name: string; readonly database: string | undefined },
  { to, signal, targetSystem }: RemovalContext,
): Promise<readonly LeftIdentity[]> {
  const publication = (await listOwnedPublications(source)).find((each) => each.name === name);
  const ref = publication?.scopeComment?.target;
  const isTrusted = publication?.isTrusted === true && ref?.database === database &&
    ref?.system === targetSystem;
  const changed = isTrusted ? publication.scopeComment?.changedIdentities ?? [] : [];
  return await within(
    to,
    database,
    signal,
    async (session) =>
      await session.transaction(async () => {
        await session.execute("SET LOCAL lock_timeout = '10s'");
        return await restoreIdentities(session, changed, { side: "target" });
      }),
  );
}

async function within<Result>(
  { endpoint }: ReconnectingSession,
  database: string | undefined,
  signal: AbortSignal,
  work: (session: Session) => Promise<Result>,
): Promise<Result> {
  await using session = await openSession(
    database === undefined ? endpoint : withDatabase(endpoint, database),
    { signal },
  );
  return await work(session);
}
