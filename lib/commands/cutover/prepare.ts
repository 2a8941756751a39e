/**
 * `cutover prepare`: establishes everything that a switch needs, days ahead and without an outage.
 *
 * @module
 */
import type { FenceKind } from "../../config/internal.ts";
import {
  displayName,
  type EventSink,
  ExitCode,
  ReplicatorError,
  retry,
} from "../../core/internal.ts";
import { type Endpoint, openSession, withDatabase } from "../../postgres/internal.ts";
import type { SubscriptionAccess } from "../../replication/internal.ts";
import {
  backStreamName,
  describePreparation,
  lockWaitMs,
  preflight,
  type PreflightFacts,
  prepareDatabase,
  readForwardStreams,
  readPreflightFacts,
  restoreIfTurning,
} from "../../cutover/internal.ts";
import { prepareEndpoints } from "../shared/prepare_endpoints.ts";
import { examineLocks } from "./examine_locks.ts";
import { explained, explainInterruption } from "./interrupted.ts";
import type { RunContext } from "../shared/run.ts";
import type { CutoverPrepareOptions } from "./options.ts";
import { whileChecking } from "./checking_step.ts";
import { type CutoverDatabase, readCutover, routeOf } from "./read_cutover.ts";
import { refreshStatistics } from "./refresh_statistics.ts";
import { refuseProblems } from "./refuse.ts";
import type { CutoverPreparePlan, CutoverPrepareReport } from "./report.ts";

/** From which age on a transaction is worth a warning. */
const oldTransactionMs = 60_000;

/**
 * Prepares databases for a cutover. On both sides: the tool's schema and the fence, enabled on the
 * target. In the publications: a token table. From the target to the source: the way back, stopped.
 * Can be repeated, after tables were added for example; `cleanup` undoes it.
 *
 * Requires `--allow-net` for both servers. On the servers: ownership of the tables, CREATE on the
 * databases; on the source the right to create subscriptions.
 *
 * @returns undefined if `confirm` declined
 * @throws ReplicatorError (prerequisite) with every reason, of all databases at once
 */
export async function executeCutoverPrepare(
  given: CutoverPrepareOptions,
  run: RunContext,
): Promise<CutoverPrepareReport | undefined> {
  return await explainInterruption(
    "prepare",
    { servers: given, run },
    () => prepareAll(given, run),
  );
}

async function prepareAll(
  given: CutoverPrepareOptions,
  run: RunContext,
): Promise<CutoverPrepareReport | undefined> {
  const options = prepareEndpoints(given, run.events);
  const start = performance.now();
  const wayBack = options.wayBack === "replicate";
  const { databases, facts } = await whileChecking(run.events, async () => {
    const found = await replicatedDatabases(await readCutover(options, run), { options, run });
    refusePhases(found);
    refuseProblems(await examineLocks(found, { waitMs: lockWaitMs, signal: run.signal }));
    return { databases: found, facts: await readAll(found, { options, signal: run.signal }) };
  });
  const findings = facts.flatMap((each) => preflight(each, "prepare"));
  refuseProblems(findings);
  const warnings = findings.filter(({ severity }) => severity === "warning");
  const plan: CutoverPreparePlan = {
    databases: databases.map(({ source, target }, index) => ({
      source: source.database,
      target: target.database,
      tables: facts[index]!.tables.length,
      streams: facts[index]!.streams.map(({ name }) => name),
      wayBack,
      notCarried: facts[index]!.notCarried.map((table) => displayName(table)),
      statements: describePreparation({
        fence: facts[index]!.from.fenceKind,
        source,
        target,
        streams: facts[index]!.streams.map(({ name }) => name),
        back: facts[index]!.back,
        tables: facts[index]!.tables,
      }),
    })),
    warnings,
  };
  const asked = performance.now();
  if (!await options.confirm(plan)) return undefined;
  const waitedMs = performance.now() - asked;
  const id = crypto.randomUUID();
  const prepared: CutoverPrepareReport["databases"][number][] = [];
  try {
    for (const [index, database] of databases.entries()) {
      prepared.push(
        await prepareOne(database, {
          options,
          id,
          names: databases,
          fence: facts[index]!.from.fenceKind,
          run,
        }),
      );
    }
  } catch (error) {
    // the phases alone do not show it: a database may be prepared, and the next one not begun
    throw await explained(error, { action: "prepare", servers: options, run, hasBegun: true });
  }
  return { databases: prepared, warnings, ms: performance.now() - start - waitedMs };
}

async function prepareOne(
  { source, target }: CutoverDatabase,
  { options, id, names, fence, run }: {
    readonly options: CutoverPrepareOptions;
    readonly id: string;
    readonly names: readonly CutoverDatabase[];
    readonly fence: FenceKind;
    readonly run: RunContext;
  },
): Promise<CutoverPrepareReport["databases"][number]> {
  step(run.events, source.database);
  const start = performance.now();
  const done = await prepareDatabase({
    source,
    target,
    databases: names.map((each) => each.source.database),
    wayBack: wayBackAccess(target, options),
    id,
    fence,
    now: options.now,
    events: run.events,
    signal: run.signal,
  });
  run.events({
    kind: "step-finished",
    step: "prepare",
    database: source.database,
    ms: performance.now() - start,
    summary: done.back === null ? "prepared, without a way back" : "prepared, with a way back",
  });
  const statistics = await refreshStatistics({ source, target }, {
    tables: done.tables,
    streams: done.forward,
    ...run,
  });
  return {
    source: source.database,
    target: target.database,
    ...(statistics === undefined ? {} : { statistics }),
    tables: done.tables.length,
    streams: done.forward,
    wayBack: done.back,
  };
}

/** How the source's server connects to a database of the target; undefined for no way back. */
function wayBackAccess(
  target: Endpoint,
  { wayBack, targetFromSource, passfile }: CutoverPrepareOptions,
): SubscriptionAccess | undefined {
  return wayBack === "none" ? undefined : {
    sourceFromTarget: withDatabase(targetFromSource ?? target, target.database),
    passfile,
  };
}

function step(events: EventSink, database: string): void {
  events({ kind: "step-started", step: "prepare", database });
}

/** Databases that a stream connects; all that were named must be. */
async function replicatedDatabases(
  databases: readonly CutoverDatabase[],
  { options, run }: { readonly options: CutoverPrepareOptions; readonly run: RunContext },
): Promise<readonly CutoverDatabase[]> {
  const { signal } = run;
  const connected: CutoverDatabase[] = [];
  const others: string[] = [];
  for (const database of databases) {
    await using source = await retry(() => openSession(database.source, { signal }), { signal });
    await using target = await retry(() => openSession(database.target, { signal }), { signal });
    const { names } = await readForwardStreams({ source, target });
    if (names.length > 0) connected.push(database);
    else others.push(database.source.database);
  }
  if (connected.length > 0 && (others.length === 0 || options.databases.include.length === 0)) {
    return connected;
  }
  throw new ReplicatorError(`no stream replicates ${others.join(", ")} to the target`, {
    side: "target",
    remedy: "start replication first: init --enable-sync, then sync",
    exitCode: ExitCode.prerequisite,
  });
}

function refusePhases(databases: readonly CutoverDatabase[]): void {
  const wrong = databases.filter(({ phase }) =>
    phase !== "none" && phase !== "preparing" && phase !== "prepared"
  );
  if (wrong.length === 0) return;
  throw new ReplicatorError(
    "these databases have already been switched, or are being switched; nothing was changed",
    {
      details: wrong.map(({ source, phase }) => `${source.database}: ${phase}`),
      remedy: "see cutover status for the next command",
      exitCode: ExitCode.prerequisite,
    },
  );
}

/** Reads the facts of all databases in the direction of the migration. */
async function readAll(
  databases: readonly CutoverDatabase[],
  { options, signal }: {
    readonly options: CutoverPrepareOptions;
    readonly signal: AbortSignal;
  },
): Promise<readonly (PreflightFacts & { readonly back: string | undefined })[]> {
  const wayBack = options.wayBack === "replicate";
  const facts: (PreflightFacts & { readonly back: string | undefined })[] = [];
  for (const database of databases) {
    // a switch that died has stopped the streams
    if (database.phase === "prepared") await restoreIfTurning(routeOf(database, "run"));
    await using from = await retry(() => openSession(database.source, { signal }), { signal });
    await using to = await retry(() => openSession(database.target, { signal }), { signal });
    facts.push({
      ...await readPreflightFacts({
        from,
        to,
        streams: undefined,
        tables: undefined,
        gone: [],
        leftOut: [],
        wayBack,
        fences: { from: options.fence, to: "triggers" },
        starting: [],
        attendanceMs: 0,
        unfinished: undefined,
        preparing: { wayBack: wayBackAccess(database.target, options), probes: true },
        oldTransactionMs,
      }),
      back: wayBack ? await backStreamName({ from: to, to: from }) : undefined,
    });
  }
  return facts;
}
