/**
 * `cutover run` and `cutover rollback`: close the side in use and open the other.
 *
 * @module
 */
import {
  describeSwitch,
  type PreflightFinding,
  type SwitchFailure,
} from "../../cutover/internal.ts";
import { prepareEndpoints } from "../shared/prepare_endpoints.ts";
import type { RunContext } from "../shared/run.ts";
import { checkerFor, uncheckedBy } from "./final_check.ts";
import { explained, explainInterruption } from "./interrupted.ts";
import type { CutoverSwitchOptions } from "./options.ts";
import { type CutoverDatabase, describeServers, readCutover, routeOf } from "./read_cutover.ts";
import { describeFinding } from "./refuse.ts";
import { refuseState } from "./refuse_switch.ts";
import type {
  CutoverSwitchPlan,
  CutoverSwitchReport,
  FinalComparison,
  ServerSummary,
  SwitchDirection,
} from "./report.ts";
import { withStillClosed } from "./still_closed.ts";
import { type AttemptChecks, performUntilDone } from "./switch_attempts.ts";
import { beginningOf, refuseMoved, type SwitchBeginning } from "./switch_beginning.ts";
import { readingContext, type SwitchCall, unstoppable } from "./switch_call.ts";
import { SwitchChecks } from "./switch_checks.ts";
import { reportDoneEarlier } from "./switch_done_earlier.ts";
import { describeWaits, failureEvidence, unbegunSwitch } from "./switch_failure.ts";
import { areDone, closedNames, isBeyond, switchPhases } from "./switch_phases.ts";

/**
 * Switches all selected databases in one direction. A run that died is continued by the same call,
 * from any machine; after its point of no return, it can be completed in both directions.
 *
 * Requires `--allow-net` for both servers.
 *
 * @returns undefined if `confirm` declined
 * @throws ReplicatorError (prerequisite) with every reason not to begin; (step failed) if the pause
 * would have been too long, in which case writers have continued
 */
export async function executeSwitch(
  direction: SwitchDirection,
  given: CutoverSwitchOptions,
  run: RunContext,
): Promise<CutoverSwitchReport | undefined> {
  return await explainInterruption(
    direction,
    { servers: given, run },
    () => {
      const options = prepareEndpoints(given, run.events);
      const startMs = performance.now();
      const startedAt = options.now().toISOString();
      return planAndSwitch({ direction, options, run, startMs, startedAt });
    },
  );
}

async function planAndSwitch(call: SwitchCall): Promise<CutoverSwitchReport | undefined> {
  const { direction, options, run } = call;
  const databases = await readCutover(options, readingContext(call));
  const involved = databases.filter(({ phase }) => phase !== "none");
  if (options.isContinued) {
    if (areDone(involved, direction)) return await reportDoneEarlier(involved, call);
    if (!involved.some((each) => isBeyond(each, direction))) run.signal.throwIfAborted();
  }
  refuseState(direction, { databases, involved, options });
  if (options.beginning !== undefined) {
    refuseMoved(options.beginning, { ...options, databases: involved, direction });
  }
  const beginning = options.beginning ?? beginningOf(involved, direction);
  const open = involved.filter(({ phase }) => phase === switchPhases[direction].from)
    .map((database) => routeOf(database, direction));
  const checks = new SwitchChecks(call);
  await checks.examine(involved, { open });
  const compared = new Map<string, FinalComparison>();
  const finalCheck = await checkerFor(options, { routes: open, signal: run.signal, compared });
  const plan = planSwitch(involved, { call, warnings: checks.warnings });
  const servers = await describeServers(involved[0]!, readingContext(call).signal);
  const answer = await confirmSwitch(plan, { options, beginning }).catch((error: unknown) =>
    unbegunSwitch(error, involved)
  );
  if (answer === false) return undefined;
  const recheck: AttemptChecks["recheck"] = (route, signal) => checks.recheck(route, signal);
  const outcome = answer === true
    ? await performUntilDone(call, { involved, finalCheck, recheck, beginning })
    : answer;
  const { warnings } = checks;
  if (outcome.kind === "failed") {
    return await concludeFailure(outcome.failure, { call, involved, servers, warnings });
  }
  const { report } = outcome;
  return {
    ...report,
    ...servers,
    direction,
    startedAt: call.startedAt,
    finishedAt: options.now().toISOString(),
    databases: report.databases.map((each) => ({
      ...each,
      compared: compared.get(each.database) ?? null,
    })),
    maxPauseMs: options.maxPauseMs,
    warnings: [...warnings.map(describeFinding), ...report.warnings],
    unchecked: uncheckedBy(options.finalCheck),
    ms: performance.now() - call.startMs,
  };
}

async function confirmSwitch(
  plan: CutoverSwitchPlan,
  { options, beginning }: {
    readonly options: CutoverSwitchOptions;
    readonly beginning: SwitchBeginning;
  },
): Promise<boolean> {
  if (!await options.confirm(plan)) return false;
  await options.onBegin(beginning);
  return true;
}

/** What will be done, for the question. Pure. */
function planSwitch(
  involved: readonly CutoverDatabase[],
  { call: { direction, options }, warnings }: {
    readonly call: SwitchCall;
    readonly warnings: readonly PreflightFinding[];
  },
): CutoverSwitchPlan {
  return {
    direction,
    databases: involved.map((database) => ({
      source: database.source.database,
      target: database.target.database,
      phase: database.phase,
      tables: database.scope.tables.length,
      wayBack: database.records.source?.details.back != null,
      statements: describeSwitch(routeOf(database, direction)),
    })),
    maxPauseMs: options.maxPauseMs,
    warnings,
    unchecked: uncheckedBy(options.finalCheck),
  };
}

/**
 * Reports the evidence of a switch that failed, and throws its error.
 *
 * @returns the report, if a client that was taken for lost has completed the switch after all
 */
async function concludeFailure(
  found: SwitchFailure,
  { call, involved, servers, warnings }: {
    readonly call: SwitchCall;
    /** As they were before the first attempt. */
    readonly involved: readonly CutoverDatabase[];
    readonly servers: { readonly source: ServerSummary; readonly target: ServerSummary };
    readonly warnings: readonly PreflightFinding[];
  },
): Promise<CutoverSwitchReport> {
  const { direction, options, run, startMs, startedAt } = call;
  // undefined if a server cannot be asked: the failure says so
  const current = await readCutover(options, unstoppable(run)).then(
    (all) => all.filter(({ phase }) => phase !== "none"),
    () => undefined,
  );
  if (options.isContinued && current !== undefined && areDone(current, direction)) {
    return await reportDoneEarlier(current, call);
  }
  const closed = found.isTakenOver ? [] : closedNames(current ?? involved);
  const error = await explained(
    withStillClosed(found.error, { direction, closed }),
    { action: direction, servers: options, run },
  );
  const failure = { ...found, error, isPastReturn: found.isPastReturn || closed.length > 0 };
  const waits = describeWaits(failure);
  if (waits !== undefined) run.events({ kind: "info", message: waits });
  await options.onUnfinished({
    ...failureEvidence(failure),
    ...servers,
    direction,
    startedAt,
    finishedAt: options.now().toISOString(),
    maxPauseMs: options.maxPauseMs,
    warnings: [...warnings.map(describeFinding), ...failure.warnings],
    ms: performance.now() - startMs,
  });
  throw error;
}
