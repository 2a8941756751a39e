/**
 * `demo`: a complete migration between two disposable servers.
 *
 * @module
 */
import type { SwitchDirection } from "../cutover/report.ts";
import { type Cluster, type PgMajor, startCluster } from "../../cluster/mod.ts";
import {
  errorMessage,
  ExitCode,
  formatBytes,
  lsnDistance,
  megabyte,
  pause,
  plural,
  ReplicatorError,
} from "../../core/internal.ts";
import {
  SHOP_ROLES,
  type ShopLoad,
  type ShopLoadCounts,
  shopSql,
  startShopLoad,
} from "../../demo/mod.ts";
import {
  type Endpoint,
  openSession,
  resolveEndpoint,
  withDatabase,
} from "../../postgres/internal.ts";
import { readApplierProgress, readSlots, readWalPosition } from "../../replication/internal.ts";
import { type CleanupReport, executeCleanup } from "../cleanup/cleanup.ts";
import { type DemoComparison, SourceAtSnapshot } from "./compare.ts";
import {
  completeInitOptions,
  completeSyncSettings,
  completeValidateOptions,
} from "../shared/complete_options.ts";
import { executeCutoverPrepare } from "../cutover/prepare.ts";
import { executeSwitch } from "../cutover/switch.ts";
import { executeInit } from "../init/init.ts";
import type { InitPlan } from "../shared/init_plan.ts";
import type { InitReport } from "../shared/init_report.ts";
import type { ValidationReport } from "../shared/validation_report.ts";
import type { RunContext, ToolSelection } from "../shared/run.ts";
import { catchUp } from "../shared/catch_up.ts";
import { executeValidate } from "../validate/validate.ts";

/** Options of {@linkcode demo}. */
export interface DemoOptions {
  /** Approximate amount of data. */
  readonly sizeBytes: number;
  readonly sourceMajor: PgMajor;
  readonly targetMajor: PgMajor;
  /** Keep both servers running at the end until the signal. */
  readonly keep: boolean;
  readonly jobs: number;
  readonly tools: ToolSelection;
  /** The current time, ISO 8601. */
  readonly now: string;
  readonly narrator: DemoNarrator;
}

/** Presents the demo to the user; every call returns immediately. */
export interface DemoNarrator {
  /** Starts a new part. */
  readonly chapter: (title: string) => void;
  /** Prints a sentence or two. */
  readonly say: (text: string) => void;
  readonly validated: (report: ValidationReport) => void;
  readonly planned: (plan: InitPlan) => void;
  readonly copied: (report: InitReport) => void;
  /** Reports the replication lag repeatedly. */
  readonly following: (lag: DemoLag) => void;
  /** Reports a switch to the other server. */
  readonly switched: (done: DemoSwitch) => void;
  readonly compared: (comparison: DemoComparison) => void;
  readonly cleaned: (report: CleanupReport) => void;
}

/** The replication lag of the new server. */
export interface DemoLag {
  /** Bytes of WAL on the old server not yet confirmed by the new one. */
  readonly bytes: number;
  /** Transactions committed by the users since the copy started. */
  readonly committed: number;
  /** Whether the new server is running. */
  readonly running: boolean;
}

/** A switch between the servers under load. */
export interface DemoSwitch {
  /** `run`: to the new server; `rollback`: back to the old one. */
  readonly direction: SwitchDirection;
  /** From the barrier until the other server was open, in milliseconds. */
  readonly pauseMs: number;
  /** The longest time between two commits of a user, in milliseconds. */
  readonly waitMs: number;
}

/** The result of {@linkcode demo}. */
export interface DemoReport {
  readonly validation: ValidationReport;
  readonly init: InitReport;
  /** The switch to the new server, and the one back. */
  readonly switches: readonly DemoSwitch[];
  readonly comparison: DemoComparison;
  /** What was removed at the end; null if both servers were kept. */
  readonly cleanup: CleanupReport | null;
  /** What the shop's users wrote since the start of the copy. */
  readonly writtenMeanwhile: ShopLoadCounts;
}

const database = "shop";

/**
 * Starts two servers, fills one, copies it to the other under write load, compares both and removes
 * everything.
 *
 * Requires the permissions of {@linkcode startCluster} and {@linkcode executeInit}.
 *
 * @throws ReplicatorError with `ExitCode.mismatch` when the copy differs
 */
export async function demo(options: DemoOptions, run: RunContext): Promise<DemoReport> {
  const { narrator } = options;
  const { signal } = run;
  signal.throwIfAborted();

  narrator.chapter("Two servers");
  await using source = await start(options.sourceMajor, signal);
  await using target = await start(options.targetMajor, signal);
  narrator.say(
    `The old server runs PostgreSQL ${options.sourceMajor} on port ${source.port}, ` +
      `the new one PostgreSQL ${options.targetMajor} on port ${target.port}.`,
  );
  const endpoints = {
    source: await resolveEndpoint(source.url({ database }), { side: "source" }),
    target: await resolveEndpoint(target.url(), { side: "target" }),
  };
  const shop = endpoints.source;

  narrator.chapter("An online shop under load");
  narrator.say(`Loading about ${formatBytes(options.sizeBytes)} into the old server …`);
  await fillShop(source, shop, { options, signal });
  await using load = startShopLoad(source.url({ database }), {
    sessions: 2,
    pauseMs: 10,
    otherUrl: target.url({ database }),
  });
  narrator.say(
    "Two sessions now order, pay, return and review, and keep writing throughout the migration.",
  );

  const copyOptions = {
    ...endpoints,
    databases: { include: [database], exclude: [], map: {} },
    tools: options.tools,
    jobs: options.jobs,
  };
  narrator.chapter("validate: what could go wrong?");
  const validation = await executeValidate(
    completeValidateOptions({ ...copyOptions, forSync: true, identity: "full" }),
    run,
  );
  narrator.validated(validation);

  narrator.chapter("init: copying the database");
  let before = load.counts;
  const copied = await executeInit(
    completeInitOptions({
      ...copyOptions,
      splitBytes: options.sizeBytes, // hardly any table is that large
      confirm(plan) {
        narrator.planned(plan);
        before = load.counts;
        return Promise.resolve(true);
      },
      sync: completeSyncSettings({
        identity: "full",
        slotTimeoutMs: 60_000,
        failover: false,
        now: options.now,
      }),
    }),
    run,
  );
  if (copied.kind !== "copied") throw new Error("init was confirmed but did nothing");
  narrator.copied(copied.report);

  const copy = withDatabase(endpoints.target, database);
  narrator.chapter("The new server follows");
  narrator.say(
    "The sessions keep writing. Each change arrives on the new server moments later, exactly once and in commit order. " +
      "Halfway through, the new server is stopped and restarted; the old one retains the WAL it has missed.",
  );
  await watchLag(
    { source: shop, target: copy, signal },
    {
      server: target,
      onLag: (lag) =>
        narrator.following({ ...lag, committed: load.counts.committed - before.committed }),
    },
  );

  const switches = await switchAndReturn({ source: shop, target: copy, load }, { options, run });

  narrator.chapter("Comparing both servers");
  const writtenMeanwhile = difference(await load.stop(), before);
  await waitForAll({ source: shop, target: copy, run });
  narrator.say(
    "The sessions have stopped. Comparing every row on the old server with the new one …",
  );
  const comparison = await compareNow({ source: shop, target: copy, signal });
  narrator.compared(comparison);
  if (!comparison.equal) {
    throw new ReplicatorError("the copy differs from the source", {
      remedy: "this is a bug: please report it with the output above",
      exitCode: ExitCode.mismatch,
    });
  }
  narrator.say(
    `Since the copy started, ${
      plural(writtenMeanwhile.committed, "transaction")
    } were committed, on one server or the other; all of them are on both. (The unlogged table of carts is not compared: ` +
      "changes to unlogged tables are not in the WAL, so the table is copied but not replicated.)",
  );
  const cleaned = options.keep ? null : await cleanUp(endpoints, { narrator, run });
  if (options.keep) await stay(source, target, { narrator, signal });
  return {
    validation,
    init: copied.report,
    switches,
    comparison,
    cleanup: cleaned,
    writtenMeanwhile,
  };
}

/** Compares both servers; the snapshot's locks end with it. */
async function compareNow({ source, target, signal }: Ends): Promise<DemoComparison> {
  await using moment = await SourceAtSnapshot.take(source, signal);
  return await moment.compare(target, signal);
}

/** How long users work on the other server between the switches. */
const betweenSwitchesMs = 2_000;

/** Switches to the new server while users write, and back. */
async function switchAndReturn(
  { source, target, load }: Omit<Ends, "signal"> & { readonly load: ShopLoad },
  { options: { narrator, now }, run }: { readonly options: DemoOptions; readonly run: RunContext },
): Promise<readonly DemoSwitch[]> {
  const servers = {
    source,
    target,
    databases: { include: [database], exclude: [], map: {} },
  };
  const confirm = () => Promise.resolve(true);
  narrator.chapter("cutover: to the new server, and back");
  narrator.say(
    "The users keep writing while they are moved: for a moment their writes wait, then they are refused by the old server and continue on the new one. " +
      "Then everything goes back the same way.",
  );
  await executeCutoverPrepare({
    ...servers,
    wayBack: "replicate",
    fence: "triggers",
    targetFromSource: undefined,
    passfile: undefined,
    now,
    confirm,
  }, run);
  const switches: DemoSwitch[] = [];
  for (const direction of ["run", "rollback"] as const) {
    load.takeLongestPauseMs();
    const report = await executeSwitch(direction, {
      ...servers,
      maxPauseMs: 30_000,
      onBlocker: "wait",
      barrierAttempts: 50,
      sequenceMargin: 1_000,
      endSessions: false,
      slotTimeoutMs: 60_000,
      finalCheck: "structure",
      hook: () => undefined,
      isContinued: false,
      beginning: undefined,
      onBegin: () => Promise.resolve(),
      onUnfinished: () => Promise.resolve(),
      now: () => new Date(now),
      confirm,
    }, run);
    await pause(betweenSwitchesMs, run.signal);
    const done = {
      direction,
      pauseMs: report?.pauseMs ?? 0,
      waitMs: load.takeLongestPauseMs(),
    };
    narrator.switched(done);
    switches.push(done);
  }
  return switches;
}

/** Removes everything that replication required. */
async function cleanUp(
  { source, target }: Pick<Ends, "source" | "target">,
  { narrator, run }: { readonly narrator: DemoNarrator; readonly run: RunContext },
): Promise<CleanupReport> {
  narrator.chapter("cleanup: removing replication");
  const cleaned = await executeCleanup({
    source,
    target,
    databases: { include: [], exclude: [] },
    checkpoints: undefined,
    confirm: () => Promise.resolve(true),
  }, run);
  if (cleaned.kind !== "removed") throw new Error("cleanup was confirmed but did nothing");
  narrator.cleaned(cleaned.report);
  const [failed] = cleaned.report.failed;
  if (failed !== undefined) {
    throw new ReplicatorError(`cleanup could not remove ${failed.item.name}: ${failed.problem}`, {
      side: failed.item.side,
      remedy: "this is a bug: please report it with the output above",
    });
  }
  return cleaned.report;
}

const checkEveryMs = 500;
/**
 * Checks before the new server is stopped, while it is down, and at most until it has caught up.
 */
const checksBefore = 4;
const checksDown = 4;
const maxChecksAfter = 40;
/** Counts as caught up, since the users keep writing. */
const closeBytes = 64 * 1024;

interface Ends {
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly signal: AbortSignal;
}

/**
 * Reports the lag of the target while it is running, while it is down, and until it has caught up.
 */
async function watchLag(
  { source, target, signal }: Ends,
  { server, onLag }: {
    readonly server: Cluster;
    readonly onLag: (lag: Omit<DemoLag, "committed">) => void;
  },
): Promise<void> {
  await using from = await openSession(source, { signal });
  const names = (await appliersOf(target, signal)).map(({ name }) => name);
  const check = async (running: boolean) => {
    await pause(checkEveryMs, signal);
    const { inserted } = await readWalPosition(from);
    const slots = await readSlots(from, names);
    const bytes = Math.max(
      0,
      ...slots.map(({ confirmedFlushLsn }) => lsnDistance(confirmedFlushLsn ?? 0n, inserted)),
    );
    onLag({ bytes, running });
    return bytes;
  };
  for (let at = 0; at < checksBefore; at++) await check(true);
  await server.stop();
  for (let at = 0; at < checksDown; at++) await check(false);
  await server.start();
  for (let at = 0; at < maxChecksAfter && await check(true) > closeBytes; at++);
}

async function appliersOf(target: Endpoint, signal: AbortSignal) {
  await using to = await openSession(target, { signal });
  return await readApplierProgress(to);
}

async function waitForAll(
  { source, target, run: { signal, events } }: Omit<Ends, "signal"> & { readonly run: RunContext },
): Promise<void> {
  const subscriptions = (await appliersOf(target, signal)).map(({ name }) => name);
  await catchUp({ source, target, subscriptions, signal, events });
}

async function start(major: PgMajor, signal: AbortSignal): Promise<Cluster> {
  signal.throwIfAborted();
  try {
    return await startCluster({ major, signal });
  } catch (error) {
    signal.throwIfAborted();
    throw new ReplicatorError(`cannot start a PostgreSQL ${major} server`, {
      details: [errorMessage(error)],
      remedy: Deno.build.standalone
        ? "the executable needs PostgreSQL installed on this machine: install it, select installed versions with " +
          "--source-version and --target-version, or run the demo from source (deno task demo)"
        : "the first start of a version needs network access, and every start an existing system user; select other versions with --source-version and --target-version",
      exitCode: ExitCode.prerequisite,
      cause: error,
    });
  }
}

async function fillShop(
  source: Cluster,
  shop: Endpoint,
  { options, signal }: { readonly options: DemoOptions; readonly signal: AbortSignal },
): Promise<void> {
  const server = await resolveEndpoint(source.url(), { side: "source" });
  await using administration = await openSession(server, { signal });
  await administration.execute(SHOP_ROLES);
  await administration.execute(`CREATE DATABASE ${database}`);
  await using session = await openSession(shop, { signal });
  // resolve names as in an ordinary session, instead of with the pinned settings
  await session.execute('SET search_path = "$user", public');
  await session.execute(shopSql({ megabytes: options.sizeBytes / megabyte }));
}

function difference(after: ShopLoadCounts, before: ShopLoadCounts): ShopLoadCounts {
  return {
    committed: after.committed - before.committed,
    rolledBack: after.rolledBack - before.rolledBack,
    inserted: after.inserted - before.inserted,
    updated: after.updated - before.updated,
    deleted: after.deleted - before.deleted,
    failed: after.failed - before.failed,
    lastError: after.lastError,
  };
}

/** Waits for the signal, which is the normal end here. */
async function stay(
  source: Cluster,
  target: Cluster,
  { narrator, signal }: { readonly narrator: DemoNarrator; readonly signal: AbortSignal },
): Promise<void> {
  narrator.chapter("Explore both servers");
  narrator.say(`old: psql ${source.url({ database })}`);
  narrator.say(`new: psql ${target.url({ database })}`);
  narrator.say("Press Ctrl-C to stop both servers and remove their files.");
  if (signal.aborted) return;
  await new Promise<void>((resolve) =>
    signal.addEventListener("abort", () => resolve(), { once: true })
  );
}
