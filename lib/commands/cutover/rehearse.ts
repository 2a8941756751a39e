/**
 * `cutover rehearse`: measures what can be measured without stopping anyone, and predicts the
 * pause.
 *
 * @module
 */
import { brownoutProblem } from "../../config/internal.ts";
import { ExitCode, ReplicatorError, UsageError } from "../../core/internal.ts";
import {
  lockWaitMs,
  percentile,
  predictPauseMs,
  type PreflightFinding,
  type Rehearsal,
  rehearse,
} from "../../cutover/internal.ts";
import { examineLocks } from "./examine_locks.ts";
import { examineRoute } from "./examine_route.ts";
import { prepareEndpoints } from "../shared/prepare_endpoints.ts";
import { explainInterruption } from "./interrupted.ts";
import type { RunContext } from "../shared/run.ts";
import type { CutoverRehearseOptions } from "./options.ts";
import { type CutoverDatabase, describeServers, readCutover, routeOf } from "./read_cutover.ts";
import { refusePhases, refuseProblems } from "./refuse.ts";
import type { CutoverRehearsal, SwitchDirection } from "./report.ts";

/**
 * Rehearses the switch from the side in use to the other: `run` of prepared databases, `rollback`
 * of switched ones. With `brownoutMs` it takes the real barrier for at most that long.
 *
 * Requires `--allow-net` for both servers.
 *
 * @throws UsageError for a brownout that is longer than the allowed pause
 * @throws ReplicatorError (prerequisite) if no database is prepared, or with every reason that
 * would prevent the switch
 */
export async function executeRehearse(
  given: CutoverRehearseOptions,
  run: RunContext,
): Promise<CutoverRehearsal> {
  return await explainInterruption(
    "rehearse",
    { servers: given, run },
    () => rehearseAll(given, run),
  );
}

async function rehearseAll(
  given: CutoverRehearseOptions,
  run: RunContext,
): Promise<CutoverRehearsal> {
  const tooLong = brownoutProblem(given.brownoutMs, given.maxPauseMs);
  if (tooLong !== undefined) throw new UsageError([{ path: "--brownout", message: tooLong }]);
  const options = prepareEndpoints(given, run.events);
  const startedAt = options.now().toISOString();
  const databases = (await readCutover(options, run)).filter(({ phase }) => phase !== "none");
  refusePhases(databases, ["prepared", "switched"], "cutover rehearse");
  refuseWithoutWayBack(databases);
  refuseProblems(await examineLocks(databases, { waitMs: lockWaitMs, signal: run.signal }));
  const found: (readonly PreflightFinding[])[] = [];
  for (const database of databases) {
    found.push(
      await examineRoute(routeFor(database), { oldTransactionMs: 1_000, signal: run.signal }),
    );
  }
  refuseProblems(found.flat());
  const rehearsals: Rehearsal[] = [];
  for (const database of databases) {
    const start = performance.now();
    run.events({ kind: "step-started", step: "rehearse", database: database.source.database });
    rehearsals.push(await rehearse(routeFor(database), { ...options, ...run }));
    run.events({
      kind: "step-finished",
      step: "rehearse",
      database: database.source.database,
      ms: performance.now() - start,
    });
  }
  // databases drain at the same time; the longest counts
  const predictedPauseMs = Math.max(0, ...rehearsals.map(predictPauseMs));
  return {
    direction: directionOf(databases[0]!),
    ...await describeServers(databases[0]!, run.signal),
    startedAt,
    finishedAt: options.now().toISOString(),
    databases: databases.map(({ source }, index) => {
      const { drainMs, sequencesMs, reverseMs, brownoutMs, blockers } = rehearsals[index]!;
      return {
        source: source.database,
        drain: { p50Ms: percentile(drainMs, 0.5), p99Ms: percentile(drainMs, 0.99) },
        sequencesMs,
        reverseMs,
        brownoutMs: brownoutMs ?? null,
        blockers,
        findings: found[index]!,
      };
    }),
    predictedPauseMs,
    maxPauseMs: options.maxPauseMs,
    isRefused: predictedPauseMs > options.maxPauseMs,
  };
}

/** A rehearsal measures the next switch: after `run`, that is a rollback. */
function refuseWithoutWayBack(databases: readonly CutoverDatabase[]): void {
  const without = databases.filter((database) => routeFor(database).out.length === 0);
  if (without.length === 0) return;
  throw new ReplicatorError("the target is in use, and there is no way back to rehearse", {
    details: without.map(({ source }) => source.database),
    remedy: "cutover finish removes what is left of the cutover",
    exitCode: ExitCode.prerequisite,
  });
}

function routeFor(database: CutoverDatabase) {
  return routeOf(database, directionOf(database));
}

function directionOf({ phase }: CutoverDatabase): SwitchDirection {
  return phase === "switched" ? "rollback" : "run";
}
