/**
 * `init`: copies whole databases from one server to another, each under one snapshot.
 *
 * @module
 */
import { describeError, redact } from "../../core/internal.ts";
import { measureRoundTrip, minLibpqMajor } from "../../postgres/internal.ts";
import { type DumpTool, findDumpTool, toolForDistance } from "../../schema/internal.ts";
import { type ServerPair, summarize } from "../shared/server_pair.ts";
import { checkScope } from "./check_scope.ts";
import { copyEverything } from "./copy_everything.ts";
import { buildPlan, withPrediction } from "./plan.ts";
import { Prediction } from "./predict/prediction.ts";
import { probeSourceFromTarget, requirePrerequisites } from "./prerequisites.ts";
import { Recorder } from "../shared/recorder.ts";
import { reportOf, unfinishedDatabases } from "./run_report.ts";
import type { DatabaseReport, InitReport } from "../shared/init_report.ts";
import type { InitPlan } from "../shared/init_plan.ts";
import type { PlannedDatabase } from "../shared/database_plan.ts";
import { prepareEndpoints } from "../shared/prepare_endpoints.ts";
import {
  finishEarlierRun,
  readEarlierRun,
  RunCheckpoint,
  withWindowsOf,
} from "./run_checkpoint.ts";
import type { InitOptions, RunContext } from "../shared/run.ts";
import { connect, type Examination } from "../validate/validate.ts";

/** What {@linkcode executeInit} did. */
export type InitResult =
  | { readonly kind: "copied"; readonly report: InitReport }
  /** A dry run. */
  | { readonly kind: "planned"; readonly plan: InitPlan }
  /** `confirm` answered no. */
  | { readonly kind: "declined"; readonly plan: InitPlan };

/**
 * Copies databases: first roles and settings of the server, then for each database its schema,
 * rows, indexes and keys, foreign keys, sequences, all other objects, and statistics.
 *
 * Nothing is changed before {@linkcode InitOptions.confirm} agrees, and non-empty databases of the
 * target are not touched without `dropExisting`.
 *
 * Requires `--allow-net` for both hosts; `--allow-run` for pg_dump and pg_dumpall and
 * `--allow-write` for the temporary folder of their passfile when installed programs are used.
 *
 * @returns the report, or only the plan when nothing was copied
 * @throws ReplicatorError; its `exitCode` says what kind: prerequisites, source or target
 * unreachable, a step that failed
 */
export async function executeInit(given: InitOptions, run: RunContext): Promise<InitResult> {
  const wanted = prepareEndpoints({
    ...given,
    target: { ...given.target, ownSearchPath: given.restoreSearchPath === "own" },
  }, run.events);
  const start = performance.now();
  const recorder = new Recorder(run.events);
  const context = { events: recorder.events, signal: run.signal };
  const earlier = await readEarlierRun(wanted);
  const before = withWindowsOf(wanted, earlier?.scope.now);
  await using sides = await connect(before, context);
  if (earlier?.finished) {
    const done = await finishEarlierRun(earlier, { options: before, sides, signal: run.signal });
    if (done !== undefined) {
      const report = await reportNothingLeft({ options: before, sides, recorder, start });
      return { kind: "copied", report };
    }
  }
  const examination = await requirePrerequisites(before, { sides, run: context });
  const { planning } = examination;
  const unfinished = planning.databases.filter(({ action }) => action === "resume")
    .flatMap((planned) => planned.unfinished ?? []);
  // the file may be gone; the ledgers know the moment too
  const options = withWindowsOf(before, unfinished[0]?.scope.now);
  const scope = await checkScope({
    options,
    planning,
    decisions: examination.report.scopes,
    earlier,
    unfinished,
    events: recorder.events,
  });
  if (planning.databases.some(({ action }) => action === "drop-and-create")) {
    const { refuseUndroppable } = await import("./refuse_undroppable.ts");
    await refuseUndroppable(planning.databases, {
      session: sides.target,
      withSync: options.sync !== undefined,
      signal: run.signal,
    });
  }
  await probeSourceFromTarget(options, { sides, examination, events: recorder.events });
  const tool = await chooseTool(options, {
    sides,
    examination,
    before: unfinished[0]?.dumpTool,
  });
  const alongside = measuresAlongside(options, planning.databases);
  const { plan: surveyed, predict } = await recorder.step(async () => {
    const built = await buildPlan({ options, sides, ...examination, tool, signal: run.signal });
    if (alongside) return built;
    return { ...built, plan: withPrediction(built.plan, await built.predict(run.signal)) };
  }, { step: "estimate" });
  let plan = surveyed;
  const checkpoint = await RunCheckpoint.begin({
    options,
    sides,
    plan,
    planning,
    scope,
    earlier,
    unfinished,
    events: recorder.events,
  });
  const askedAtMs = performance.now();
  const agreed = await options.confirm(plan);
  // the time that the user took to answer is not the run's
  const waitedMs = performance.now() - askedAtMs;
  if (options.dryRun) return { kind: "planned", plan };
  if (!agreed) return { kind: "declined", plan };
  await checkpoint.write();
  recorder.predict(plan.predictedSteps ?? []);
  await using _prediction = alongside
    ? new Prediction({
      measure: predict,
      onPredicted: (steps) => {
        plan = withPrediction(plan, steps);
        recorder.predict(steps);
      },
      ...context,
    })
    : undefined;
  const databases: DatabaseReport[] = [];
  const report = (more: Pick<InitReport, "failure"> = {}) =>
    reportOf({ plan, databases, recorder, ms: performance.now() - start - waitedMs, ...more });
  try {
    await copyEverything({
      ...{ options, sides, planning, tool, plan, recorder, checkpoint, signal: run.signal },
      applier: examination.applier?.kind ?? "subscription",
      reports: databases,
    });
  } catch (error) {
    databases.push(...unfinishedDatabases({ plan, databases, recorder }));
    await options.onUnfinished(report({ failure: redact(describeError(error).join("\n")) }));
    throw error;
  }
  return { kind: "copied", report: report() };
}

/**
 * Whether the short copy that predicts the duration runs next to the first steps. Not if a database
 * is dropped, which its session may use.
 */
function measuresAlongside(
  { prediction, dryRun }: Pick<InitOptions, "prediction" | "dryRun">,
  databases: readonly PlannedDatabase[],
): boolean {
  return prediction === "alongside" && !dryRun &&
    databases.every(({ action }) => action !== "drop-and-create");
}

async function chooseTool(
  { tools }: InitOptions,
  { sides: { source, target }, examination, before }: {
    readonly sides: ServerPair;
    readonly examination: Examination;
    /** The tool of the run that is resumed: another one writes the same structure differently. */
    readonly before: string | undefined;
  },
): Promise<DumpTool> {
  const sourceMajor = source.majorVersion;
  const libpqMajor = minLibpqMajor(source.endpoint);
  const majors = { sourceMajor, targetMajor: target.majorVersion, libpqMajor };
  if (before !== undefined) {
    const dump = before.startsWith("embedded") ? "embedded" : "native";
    const same = await findDumpTool(
      majors,
      { ...tools, dump },
    ).catch(() => undefined); // no longer installed: choose again
    if (same !== undefined) return same;
  }
  const tool = examination.tool ??
    await findDumpTool(majors, tools);
  return toolForDistance(tool, {
    sourceMajor,
    preference: tools,
    tables: Math.max(0, ...examination.scopes.map(({ scope }) => scope.tables.length)),
    roundTripMs: await measureRoundTrip(source),
  });
}

/** The report of a run whose last attempt was killed after everything was copied. */
async function reportNothingLeft(
  { options, sides, recorder, start }: {
    readonly options: InitOptions;
    readonly sides: ServerPair;
    readonly recorder: Recorder;
    readonly start: number;
  },
): Promise<InitReport> {
  recorder.events({
    kind: "info",
    message: "an earlier attempt has copied everything; its ledgers were removed",
  });
  const plan: InitPlan = {
    source: await summarize(sides.source),
    target: await summarize(sides.target),
    databases: [],
    jobs: options.copy.jobs,
    indexJobs: options.indexJobs,
    dumpTool: "none",
    bytes: 0,
    warnings: [],
  };
  return reportOf({ plan, databases: [], recorder, ms: performance.now() - start });
}
