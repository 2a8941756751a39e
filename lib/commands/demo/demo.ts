/**
 * `demo`: a migration from start to end between two servers that are started for it and leave
 * nothing behind.
 *
 * @module
 */
import { type Cluster, type PgMajor, startCluster } from "../../cluster/mod.ts";
import {
  errorMessage,
  ExitCode,
  formatBytes,
  lsnDistance,
  plural,
  ReplicatorError,
} from "../../core/internal.ts";
import { SHOP_ROLES, type ShopLoadCounts, shopSql, startShopLoad } from "../../demo/mod.ts";
import {
  type Endpoint,
  openSession,
  pause,
  resolveEndpoint,
  withDatabase,
} from "../../postgres/internal.ts";
import { readSlots, readSubscriptions, readWalPosition } from "../../replication/internal.ts";
import { cleanup, type CleanupReport } from "../cleanup/cleanup.ts";
import { type DemoComparison, SourceAtSnapshot } from "./compare.ts";
import { init } from "../init/init.ts";
import type { InitPlan, InitReport, ValidationReport } from "../shared/report.ts";
import type { RunContext, ToolSelection } from "../shared/run.ts";
import { catchUp } from "../shared/catch_up.ts";
import { validate } from "../validate/validate.ts";

/** What `demo` does. */
export interface DemoOptions {
  /** How much data, about. */
  readonly sizeBytes: number;
  readonly sourceMajor: PgMajor;
  readonly targetMajor: PgMajor;
  /** Leave both servers running at the end until the signal. */
  readonly keep: boolean;
  readonly jobs: number;
  readonly tools: ToolSelection;
  /** The present moment, ISO. */
  readonly now: string;
  readonly narrator: DemoNarrator;
}

/** Tells the story; every call returns at once. */
export interface DemoNarrator {
  /** A new part begins. */
  readonly chapter: (title: string) => void;
  /** A sentence or two. */
  readonly tell: (text: string) => void;
  readonly validated: (report: ValidationReport) => void;
  readonly planned: (plan: InitPlan) => void;
  readonly copied: (report: InitReport) => void;
  /** How far the new server is behind, again and again. */
  readonly following: (lag: DemoLag) => void;
  readonly compared: (comparison: DemoComparison) => void;
  readonly cleaned: (report: CleanupReport) => void;
}

/** How the new server follows. */
export interface DemoLag {
  /** Bytes of the old server's WAL that are not confirmed by the new one. */
  readonly bytes: number;
  /** Transactions that the users have committed since the copy began. */
  readonly committed: number;
  /** Whether the new server is up. */
  readonly running: boolean;
}

/** The outcome of `demo`. */
export interface DemoReport {
  readonly validation: ValidationReport;
  readonly init: InitReport;
  readonly comparison: DemoComparison;
  /** What was removed at the end; null when both servers were to stay. */
  readonly cleanup: CleanupReport | null;
  /** What the shop's users wrote from the start of the copy on. */
  readonly writtenMeanwhile: ShopLoadCounts;
}

const database = "shop";
const megabyte = 1 << 20;

/**
 * Starts two servers, fills one, copies it under write load to the other, compares both and removes
 * everything.
 *
 * Requires what {@linkcode startCluster} requires, and what {@linkcode init} does.
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
  narrator.tell(
    `PostgreSQL ${options.sourceMajor} is the old server (port ${source.port}), ` +
      `PostgreSQL ${options.targetMajor} the new one (port ${target.port}).`,
  );
  const endpoints = {
    source: await resolveEndpoint(source.url({ database }), { side: "source" }),
    target: await resolveEndpoint(target.url(), { side: "target" }),
  };
  const shop = endpoints.source;

  narrator.chapter("A shop with users");
  narrator.tell(`Filling the old server with about ${formatBytes(options.sizeBytes)} …`);
  await fillShop(source, shop, { options, signal });
  await using load = startShopLoad(source.url({ database }), { sessions: 2, pauseMs: 10 });
  narrator.tell("Two sessions now buy, pay, return and review in it, and will not stop for us.");

  const copyOptions = {
    ...endpoints,
    databases: { include: [database], exclude: [], map: {} },
    tools: options.tools,
    jobs: options.jobs,
    dropExisting: false,
  };
  narrator.chapter("validate: what could go wrong?");
  const validation = await validate({ ...copyOptions, forSync: true, identity: "full" }, run);
  narrator.validated(validation);

  narrator.chapter("init: the copy");
  let before = load.counts;
  const report = await init({
    ...copyOptions,
    indexJobs: options.jobs,
    copyFormat: "auto",
    splitBytes: options.sizeBytes, // no table is that large, unless it is most of the shop
    dryRun: false,
    confirm(plan) {
      narrator.planned(plan);
      before = load.counts;
      return Promise.resolve(true);
    },
    sync: {
      identity: "full",
      slotTimeoutMs: 60_000,
      sourceFromTarget: undefined,
      passfile: undefined,
      failover: false,
      now: options.now,
    },
  }, run);
  if (report === undefined) {
    throw new Error("init was confirmed and yet did nothing");
  }
  narrator.copied(report);

  const copy = withDatabase(endpoints.target, database);
  narrator.chapter("The new server follows");
  narrator.tell(
    "The users have not stopped. What they write arrives on the new server a moment later, in the same order, each change once. " +
      "Halfway the new server is stopped, and started again: the old one keeps for it what it has missed.",
  );
  await watchLag(
    { source: shop, target: copy, signal },
    {
      server: target,
      onLag: (lag) =>
        narrator.following({ ...lag, committed: load.counts.committed - before.committed }),
    },
  );

  narrator.chapter("Is it right?");
  const writtenMeanwhile = difference(await load.stop(), before);
  await waitForAll({ source: shop, target: copy, run });
  narrator.tell(
    "The users take a break. Every row of the old server is compared with the new server …",
  );
  await using moment = await SourceAtSnapshot.take(shop, signal);
  const comparison = await moment.compare(copy, signal);
  narrator.compared(comparison);
  if (!comparison.equal) {
    throw new ReplicatorError("the copy differs from its source", {
      remedy: "this is a defect: please report it with the lines above",
      exitCode: ExitCode.mismatch,
    });
  }
  narrator.tell(
    `Since the copy began the users have committed ${
      plural(writtenMeanwhile.committed, "transaction")
    } on the old server, and all of it is on the new one. (Its unlogged table of carts is not compared: what is unlogged is in no ` +
      "server's log, so it is copied and does not follow.)",
  );
  const cleaned = options.keep ? null : await cleanUp(endpoints, { narrator, run });
  if (options.keep) await stay(source, target, { narrator, signal });
  return { validation, init: report, comparison, cleanup: cleaned, writtenMeanwhile };
}

/** What replication has made goes again. */
async function cleanUp(
  { source, target }: Pick<Ends, "source" | "target">,
  { narrator, run }: { readonly narrator: DemoNarrator; readonly run: RunContext },
): Promise<CleanupReport> {
  narrator.chapter("cleanup: nothing stays behind");
  const report = await cleanup({
    source,
    target,
    databases: { include: [], exclude: [] },
    checkpoints: undefined,
    confirm: () => Promise.resolve(true),
  }, run);
  if (report === undefined) throw new Error("cleanup was confirmed and yet did nothing");
  narrator.cleaned(report);
  return report;
}

const checkEveryMs = 500;
/** Looks before the new server is stopped, and while it is. */
const looksBefore = 4;
const looksDown = 4;
/** At most, until it has caught up. */
const looksAfter = 40;
/** The users go on: it is never behind by nothing. */
const closeBytes = 64 * 1024;

interface Ends {
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly signal: AbortSignal;
}

/**
 * Looks how far the target is behind: while it follows, while it is down, and until it has caught
 * up.
 */
async function watchLag(
  { source, target, signal }: Ends,
  { server, onLag }: {
    readonly server: Cluster;
    readonly onLag: (lag: Omit<DemoLag, "committed">) => void;
  },
): Promise<void> {
  await using from = await openSession(source, { signal });
  const names = (await subscriptionsOf(target, signal)).map(({ name }) => name);
  const look = async (running: boolean) => {
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
  for (let at = 0; at < looksBefore; at++) await look(true);
  await server.stop();
  for (let at = 0; at < looksDown; at++) await look(false);
  await server.start();
  for (let at = 0; at < looksAfter && await look(true) > closeBytes; at++);
}

async function subscriptionsOf(target: Endpoint, signal: AbortSignal) {
  await using to = await openSession(target, { signal });
  return await readSubscriptions(to);
}

async function waitForAll(
  { source, target, run: { signal, events } }: Omit<Ends, "signal"> & { readonly run: RunContext },
): Promise<void> {
  const subscriptions = (await subscriptionsOf(target, signal)).map(({ name }) => name);
  await catchUp({ source, target, subscriptions, signal, events });
}

async function start(major: PgMajor, signal: AbortSignal): Promise<Cluster> {
  signal.throwIfAborted();
  try {
    return await startCluster({ major, signal });
  } catch (error) {
    signal.throwIfAborted();
    throw new ReplicatorError(`a server of PostgreSQL ${major} could not be started`, {
      details: [errorMessage(error)],
      remedy: Deno.build.standalone
        ? "an executable uses PostgreSQL servers that are installed on this machine: install them, or name versions that are " +
          "there with --source-version and --target-version, or run the demo from source (deno task demo)"
        : "the first start of a version needs the network, and each one a user account that the system knows; --source-version and --target-version choose other versions",
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
  // names resolve as in an ordinary session, which ours with their pinned settings are not
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

/** Waits for the signal, which here is the natural end. */
async function stay(
  source: Cluster,
  target: Cluster,
  { narrator, signal }: { readonly narrator: DemoNarrator; readonly signal: AbortSignal },
): Promise<void> {
  narrator.chapter("Look around");
  narrator.tell(`old: psql ${source.url({ database })}`);
  narrator.tell(`new: psql ${target.url({ database })}`);
  narrator.tell("Press Ctrl-C to end both servers and remove their files.");
  if (signal.aborted) return;
  await new Promise<void>((resolve) =>
    signal.addEventListener("abort", () => resolve(), { once: true })
  );
}
