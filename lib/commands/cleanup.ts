/**
 * `cleanup`: takes away everything that the tool has made between two servers.
 *
 * @module
 */
import {
  type CheckpointStore,
  type CheckpointStores,
  digestEnds,
  operationOf,
  refuseLiveRun,
} from "../checkpoint/mod.ts";
import { ExitCode, ledgerSchema, ReplicatorError, type Side } from "../core/mod.ts";
import {
  describeEndpoint,
  type Endpoint,
  openSession,
  type Session,
  withDatabase,
  withoutEventTriggers,
} from "../postgres/mod.ts";
import {
  type ChangedIdentity,
  dropPublication,
  dropSlot,
  dropSubscription,
  readPublications,
  readSubscriptionDescriptors,
  restoreIdentities,
} from "../replication/mod.ts";
import { findOnSource, findOnTarget } from "./cleanup/find.ts";
import { planCleanup } from "./cleanup/plan.ts";
import type {
  CleanupFailure,
  CleanupItem,
  CleanupPlan,
  CleanupReport,
  UnreachableSide,
} from "./cleanup/report.ts";
import type { DatabaseSelection, RunContext } from "./run.ts";
import { type Answer, Link } from "./link.ts";
import { prepareEndpoints } from "./prepare_endpoints.ts";

export * from "./cleanup/report.ts";

/** What `cleanup` does. */
export interface CleanupOptions {
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** By their names on either side; all when nothing is named. */
  readonly databases: Pick<DatabaseSelection, "include" | "exclude">;
  /** Where runs keep their files; undefined leaves them alone. */
  readonly checkpoints: CheckpointStores | undefined;
  /** Asked with the plan before anything is removed; false ends it untouched. Not asked when there is nothing to remove. */
  readonly confirm: (plan: CleanupPlan) => Promise<boolean>;
}

/**
 * Finds what is ours by names and comments on both sides, asks, and removes it: subscriptions, slots, publications, replica identities
 * that were changed for them, the records of copies. Rows stay. What is not ours stays.
 *
 * What cannot be removed does not keep the rest; the report lists it. A side that is out of reach is left as it is, and the report
 * says what is to be done there. Doing it again finds what is left.
 *
 * Requires `--allow-net` for both servers; with files of runs `--allow-read --allow-write` for their folder. On the servers: a role that owns what was made, and on
 * the source REPLICATION for the slots.
 *
 * @returns undefined when it was declined
 * @throws ConnectionError when neither side can be reached, ReplicatorError (prerequisite) while an `init` is at work
 */
export async function cleanup(
  options: CleanupOptions,
  { events, signal }: RunContext,
): Promise<CleanupReport | undefined> {
  const { source, target, databases, checkpoints, confirm } = prepareEndpoints(options, events);
  await using from = new Link(source, signal);
  await using to = new Link(target, signal);
  const [onSource, onTarget] = await Promise.all([
    from.ask(undefined, (session) => findOnSource(source, session, signal)),
    to.ask(undefined, (session) => findOnTarget(target, session, signal)),
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
        detail: "what a run of this machine has noted",
      }]),
    ],
    kept: planned.kept,
    unreachable: [
      ...unreachable("source", { endpoint: source, answer: onSource, planned: planned.byHand }),
      ...unreachable("target", { endpoint: target, answer: onTarget, planned: planned.byHand }),
    ],
  };
  if (plan.items.length === 0) return { ...plan, removed: [], failed: [] };
  await refuseWhileRunsLive(plan, { to, signal });
  if (!await confirm(plan)) return undefined;
  await refuseWhileRunsLive(plan, { to, signal });
  const removed: CleanupItem[] = [];
  const failed: CleanupFailure[] = [];
  for (const item of plan.items) {
    signal.throwIfAborted();
    if (item.kind === "replica-identity") {
      if (removed.includes(carrierOf(item, plan)!)) removed.push(item);
      continue;
    }
    try {
      await remove(item, { from, to, file, signal, plan });
      removed.push(item);
      const place = item.database === undefined ? "" : ` of database ${item.database}`;
      events({ kind: "info", message: `removed ${item.kind} ${item.name}${place}` });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof ReplicatorError)) throw error;
      failed.push({ item, problem: error.message, remedy: error.remedy ?? null });
    }
  }
  return { ...plan, removed, failed };
}

/** The subscription or publication that a replica identity is restored with, in one transaction where they are on the same side. */
function carrierOf(
  { side, publication }: CleanupItem,
  { items }: CleanupPlan,
): CleanupItem | undefined {
  const find = (kind: CleanupItem["kind"]) =>
    items.find((item) => item.kind === kind && item.name === publication);
  return (side === "target" ? find("subscription") : undefined) ?? find("publication");
}

/** What the process should exit with: failures before sides that were out of reach. */
export function cleanupExitCode({ failed, unreachable }: CleanupReport): ExitCode {
  if (failed.length > 0) return ExitCode.stepFailed;
  const [first] = unreachable;
  if (first === undefined) return ExitCode.success;
  return first.side === "source" ? ExitCode.sourceUnreachable : ExitCode.targetUnreachable;
}

/** A run whose ledger or slot were taken away would fail, at best: before the question, and after its answer. */
async function refuseWhileRunsLive(
  { items }: CleanupPlan,
  { to, signal }: { readonly to: Link; readonly signal: AbortSignal },
): Promise<void> {
  for (const { kind, database } of items) {
    if (kind === "ledger") await within(to, database, signal, refuseLiveRun);
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
    readonly answer: Answer<unknown>;
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

interface Means {
  readonly from: Link;
  readonly to: Link;
  readonly file: CheckpointStore | undefined;
  readonly signal: AbortSignal;
  readonly plan: CleanupPlan;
}

async function remove(
  item: CleanupItem,
  { from, to, file, signal, plan }: Means,
): Promise<void> {
  const { kind, name, database } = item;
  switch (kind) {
    case "subscription":
      return await within(
        to,
        database,
        signal,
        (session) => removeSubscription(session, name, signal),
      );
    case "slot":
      return await dropSlot(await from.session(), { name, signal });
    case "publication":
      return await within(from, database, signal, async (session) => {
        // before what remembers them is gone
        const carried = plan.items.find((each) =>
          each.kind === "replica-identity" && each.side === "target" &&
          carrierOf(each, plan) === item
        );
        if (carried !== undefined) {
          await within(
            to,
            carried.database,
            signal,
            async (target) => await restoreCopied(target, await readChanged(session, name)),
          );
        }
        await dropPublication(session, name);
      });
    case "ledger":
      return await within(
        to,
        database,
        signal,
        (session) =>
          withoutEventTriggers(session, () =>
            session.execute(
              `SET LOCAL client_min_messages = error; DROP SCHEMA IF EXISTS ${ledgerSchema} CASCADE`,
            )),
      );
    case "state-file":
      return await file?.remove();
  }
}

/** Does nothing when somebody else was quicker. */
async function removeSubscription(
  session: Session,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  const [there] = await session.query(
    `SELECT FROM pg_catalog.pg_subscription
      WHERE subname = $1 AND subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())`,
    [name],
  );
  if (there === undefined) return;
  const descriptor = (await readSubscriptionDescriptors(session)).get(name);
  const restore = descriptor?.changedIdentities ?? [];
  await dropSubscription(session, { name, signal, restore });
}

async function readChanged(session: Session, name: string): Promise<readonly ChangedIdentity[]> {
  const [publication] = await readPublications(session, [name]);
  return publication?.descriptor?.changedIdentities ?? [];
}

async function restoreCopied(
  session: Session,
  changed: readonly ChangedIdentity[],
): Promise<void> {
  await session.transaction(async () => {
    await session.execute("SET LOCAL lock_timeout = '10s'");
    await restoreIdentities(session, changed, { side: "target" });
  });
}

async function within(
  { endpoint }: Link,
  database: string | undefined,
  signal: AbortSignal,
  work: (session: Session) => Promise<void>,
): Promise<void> {
  await using session = await openSession(
    database === undefined ? endpoint : withDatabase(endpoint, database),
    { signal },
  );
  await work(session);
}
