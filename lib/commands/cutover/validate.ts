/**
 * `validate --for-cutover`: everything that `cutover` would refuse, without changing anything.
 *
 * @module
 */
import { joinAll, retry } from "../../core/internal.ts";
import { openSession } from "../../postgres/internal.ts";
import {
  contradictionMessage,
  contradictionRemedy,
  type CutoverPhase,
  preflight,
  type PreflightFinding,
  readForwardStreams,
  readPreflightFacts,
} from "../../cutover/internal.ts";
import { prepareEndpoints } from "../shared/prepare_endpoints.ts";
import type { RunContext, ValidateOptions } from "../shared/run.ts";
import { summarize } from "../shared/server_pair.ts";
import type { Check, ValidationReport } from "../shared/validation_report.ts";
import { fail, pass, warn } from "../validate/check.ts";
import { connect, countChecks, describeCounts, startStep } from "../validate/validate.ts";
import { examineRoute } from "./examine_route.ts";
import { type CutoverDatabase, readCutover, routeOf } from "./read_cutover.ts";

/** From which age on a transaction is worth a warning. */
const oldTransactionMs = 30_000;

const guide = "see docs/guides/cutover.md";

/** What is validated. */
type CutoverSelection = Pick<ValidateOptions, "source" | "target" | "databases">;

/**
 * Checks what the next step of each database needs: prepare, run or rollback. The checks of a copy
 * do not apply, because the target has its data already. Only reads.
 *
 * Requires `--allow-net` for both servers.
 *
 * @throws ConnectionError if a server, or both, cannot be reached
 */
export async function executeValidateCutover(
  given: CutoverSelection,
  run: RunContext,
): Promise<ValidationReport> {
  const options = prepareEndpoints(given, run.events);
  await using sides = await connect(options, run);
  const validated = startStep("validate", run);
  const [source, target, checks] = await joinAll([
    summarize(sides.source),
    summarize(sides.target),
    checkCutover(options, run),
  ]);
  const report = { source, target, checks, scopes: [], ...countChecks(checks) };
  validated(describeCounts(report));
  return report;
}

async function checkCutover(
  options: CutoverSelection,
  run: RunContext,
): Promise<readonly Check[]> {
  const databases = await readCutover(options, run);
  const checks = await joinAll(databases.map((each) => checkNextStep(each, run.signal)));
  const isNamed = options.databases.include.length > 0;
  const connected = checks.flatMap((each) => each ?? []);
  const others = databases.filter((_, index) => checks[index] === undefined);
  if (connected.length > 0 && !isNamed) return connected;
  return [
    ...connected,
    ...others.map(({ source }) =>
      fail({ id: "cutover-stream", side: "both", database: source.database }, {
        finding: "no stream replicates it to the target",
        fix: "start replication first: init --enable-sync, then sync",
      })
    ),
  ];
}

/** Undefined if no stream connects the database with the target. */
async function checkNextStep(
  database: CutoverDatabase,
  signal: AbortSignal,
): Promise<readonly Check[] | undefined> {
  const { source, phase } = database;
  switch (phase) {
    case "none":
    case "preparing": {
      const findings = await examinePreparation(database, signal);
      return findings && checksOf(findings, { database, next: "cutover prepare" });
    }
    case "prepared":
    case "switched": {
      const direction = phase === "prepared" ? "run" : "rollback";
      const route = routeOf(database, direction);
      if (route.out.length === 0) return [noWayBack(source.database)];
      return checksOf(await examineRoute(route, { oldTransactionMs, signal }), {
        database,
        next: `cutover ${direction}`,
      });
    }
    case "closing":
    case "returning":
    case "finished":
    case "contradictory":
      return [checkPhase(phase, source.database)];
  }
}

async function examinePreparation(
  { source, target }: CutoverDatabase,
  signal: AbortSignal,
): Promise<readonly PreflightFinding[] | undefined> {
  await using from = await retry(() => openSession(source, { signal }), { signal });
  await using to = await retry(() => openSession(target, { signal }), { signal });
  const { names } = await readForwardStreams({ source: from, target: to });
  if (names.length === 0) return undefined;
  const facts = await readPreflightFacts({
    from,
    to,
    streams: undefined,
    tables: undefined,
    gone: [],
    leftOut: [],
    wayBack: true,
    // only reads: whether the source's server reaches the target is tested by prepare
    fences: { from: "triggers", to: "triggers" },
    starting: [],
    attendanceMs: 0,
    unfinished: undefined,
    preparing: {
      wayBack: { sourceFromTarget: target, passfile: undefined },
      probes: false,
    },
    oldTransactionMs,
  });
  return preflight(facts, "prepare");
}

function checksOf(
  findings: readonly PreflightFinding[],
  { database, next }: { readonly database: CutoverDatabase; readonly next: string },
): readonly Check[] {
  const name = database.source.database;
  const found = findings.map(({ severity, side, message, remedy = guide }) =>
    (severity === "problem" ? fail : warn)(
      { id: "cutover", side: side ?? "both", database: name },
      { finding: message, fix: remedy },
    )
  );
  return found.some(({ status }) => status === "fail") ? found : [
    ...found,
    pass({ id: "cutover", side: "both", database: name }, `nothing prevents ${next}`),
  ];
}

function noWayBack(database: string): Check {
  return warn({ id: "cutover", side: "both", database }, {
    finding: "the target is in use, and there is no way back",
    fix: "cutover finish removes what is left of the cutover",
  });
}

function checkPhase(
  phase: Extract<CutoverPhase, "closing" | "returning" | "finished" | "contradictory">,
  database: string,
): Check {
  const subject = { id: "cutover", side: "both" as const, database };
  if (phase === "contradictory") {
    return fail(subject, { finding: contradictionMessage, fix: contradictionRemedy });
  }
  return phase === "finished" ? pass(subject, "the cutover is finished") : fail(subject, {
    finding: "both sides are closed: a switch was interrupted",
    fix: phase === "closing"
      ? "cutover run opens the target, cutover rollback the source"
      : "cutover rollback opens the source, cutover run the target",
  });
}
