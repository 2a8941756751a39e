import type { Cluster } from "../../lib/cluster/mod.ts";
import type {
  CutoverPrepareOptions,
  CutoverSwitchOptions,
} from "../../lib/commands/cutover/options.ts";
import { executeCutoverPrepare } from "../../lib/commands/cutover/prepare.ts";
import { executeSwitch } from "../../lib/commands/cutover/switch.ts";
import { ignoreEvents } from "../../lib/core/internal.ts";
import { DatabaseSwitch, ensureSlot } from "../../lib/cutover/internal.ts";
import { openSession } from "../../lib/postgres/internal.ts";
import type { RunContext, SyncSettings } from "../../lib/commands/shared/run.ts";
import {
  type CutoverServers,
  readCutover,
  routeOf,
} from "../../lib/commands/cutover/read_cutover.ts";
import { noTableRules, type TableRules } from "../../lib/rules/internal.ts";
import { acknowledgedSchema } from "./acknowledged_load.ts";
import { dropDatabase, withDatabase } from "./databases.ts";
import { endpointOf, runInit } from "./init.ts";
import { exec } from "./sql.ts";
import { syncSettings } from "./sync.ts";

/** A database that follows another. */
export interface CutoverPair {
  readonly name: string;
  readonly url: string;
  readonly targetUrl: string;
  /** Both servers, with the database selected. */
  readonly servers: CutoverServers;
}

/** A context without events that is never interrupted. */
export const quietRun = { events: ignoreEvents, signal: new AbortController().signal };

/** Creates a database on the source, copies it with replication, and drops both at the end. */
export async function withCutoverPair(
  { source, target, schema = acknowledgedSchema, rules = noTableRules, applyFrom = "auto" }: {
    readonly source: Cluster;
    readonly target: Cluster;
    readonly schema?: string;
    readonly rules?: TableRules;
    /** What applies the changes. Default: a subscription, which the target can have here. */
    readonly applyFrom?: SyncSettings["applyFrom"];
  },
  use: (pair: CutoverPair) => Promise<void>,
): Promise<void> {
  await withDatabase(source, undefined, async ({ name, url }) => {
    const mapped = source === target ? `${name}_copy` : name;
    await exec(url, schema);
    try {
      const targetUrl = target.url({ database: mapped });
      await runInit(url, targetUrl, {
        include: [name],
        map: { [name]: mapped },
        rules,
        sync: { ...syncSettings, applyFrom },
      });
      await use({
        name,
        url,
        targetUrl,
        servers: {
          source: await endpointOf(url, "source"),
          target: await endpointOf(targetUrl, "target"),
          databases: { include: [name], exclude: [], map: { [name]: mapped } },
        },
      });
    } finally {
      await dropDatabase(target, mapped);
    }
  });
}

/** Runs `cutover prepare`. */
export async function prepareCutover(
  { servers }: CutoverPair,
  options: Partial<CutoverPrepareOptions> = {},
): Promise<void> {
  await executeCutoverPrepare({
    ...servers,
    wayBack: "replicate",
    fence: "triggers",
    targetFromSource: undefined,
    passfile: undefined,
    now: new Date().toISOString(),
    confirm: () => Promise.resolve(true),
    ...options,
  }, quietRun);
}

/** Runs `cutover run` or `cutover rollback`. */
export async function switchCutover(
  direction: "run" | "rollback",
  { servers }: CutoverPair,
  options: Partial<CutoverSwitchOptions> = {},
  run: RunContext = quietRun,
) {
  return await executeSwitch(direction, {
    ...servers,
    maxPauseMs: 30_000,
    onBlocker: "wait",
    barrierAttempts: 20,
    sequenceMargin: 1_000,
    endSessions: true,
    slotTimeoutMs: 30_000,
    finalCheck: "structure",
    hook: () => undefined,
    isContinued: false,
    beginning: undefined,
    onBegin: () => Promise.resolve(),
    onUnfinished: () => Promise.resolve(),
    now: () => new Date(),
    confirm: () => Promise.resolve(true),
    ...options,
  }, run);
}

/**
 * Leaves what a switch leaves that is killed before its point of no return, or just after it.
 *
 * @param options `isClosed`: whether it had closed the side in use
 */
export async function interruptSwitch(
  direction: "run" | "rollback",
  { servers }: CutoverPair,
  { isClosed = false }: { readonly isClosed?: boolean } = {},
): Promise<void> {
  const [database] = await readCutover(servers, quietRun);
  const route = routeOf(database!, direction);
  await using to = await openSession(route.to);
  for (const name of route.back) await ensureSlot(to, { name, timeoutMs: 30_000 });
  const deadlineMs = performance.now() + 60_000;
  // disposed of without having been released
  await using moved = await DatabaseSwitch.open(route, quietRun.signal);
  const { isHeld } = await moved.tryBarrier(10_000);
  if (!isHeld) throw new Error("the barrier was not granted");
  const tokens = await moved.drain(deadlineMs);
  if (isClosed) await moved.prepareFence();
  await moved.reverse(deadlineMs);
  if (!isClosed) return;
  await moved.seal({
    closedAt: new Date().toISOString(),
    heldSince: null,
    tokens,
    sequences: 0,
    largeObjects: 0,
    unchecked: [],
  });
  await moved.close(10_000);
}
