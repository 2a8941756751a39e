/**
 * `validate`: checks both servers before anything is changed.
 *
 * @module
 */
import { checkTool, type FoundTool, searchTool } from "./tool_check.ts";
import { checkDatabase } from "./check_database.ts";
import { sharesBackends } from "../../catalog/internal.ts";
import { connectionDelaysMs, joinAll, plural, type Side } from "../../core/internal.ts";
import { asksNothing } from "../../rules/internal.ts";
import { type DumpTool } from "../../schema/internal.ts";
import {
  type EndpointPair,
  openServerPair,
  type ServerPair,
  summarize,
} from "../shared/server_pair.ts";
import { prepareEndpoints } from "../shared/prepare_endpoints.ts";
import {
  type DatabasePlanning,
  overwritten,
  planDatabases,
  urlDatabase,
} from "../shared/database_plan.ts";
import type { Check, ValidationReport } from "../shared/validation_report.ts";
import type { RunContext, ValidateOptions } from "../shared/run.ts";
import {
  type DatabaseScope,
  resolveScopes,
  scopeNotes,
  tableDecisions,
} from "../shared/table_scope.ts";
import type { ApplierChoice } from "../shared/choose_applier.ts";
import { readNamingRoles } from "../shared/unreadable_names.ts";
import { checkOr } from "./check.ts";
import { examineApplying } from "./examine_applying.ts";
import { checkSelection } from "./database_checks.ts";
import { readServer, readTargetOffer, type ServerFacts } from "./facts.ts";
import { checkRoles, checkTargetRole } from "./privilege_checks.ts";
import { checkSourceReplication } from "./replication_checks.ts";
import { checkConnections, checkDisk, checkTransactions } from "./resource_checks.ts";
import { checkProviders } from "./provider_checks.ts";
import {
  checkIntermediary,
  checkRecovery,
  checkSameDatabase,
  checkVersions,
} from "./server_checks.ts";

/**
 * Checks both servers for everything that could make a later step fail. Changes nothing.
 *
 * Requires `--allow-net` for both servers, and the permissions to find installed client programs.
 *
 * @throws ConnectionError if a server, or both, cannot be reached
 * @throws UsageError if the rules do not match the source
 */
export async function executeValidate(
  given: ValidateOptions,
  run: RunContext,
): Promise<ValidationReport> {
  const options = prepareEndpoints(given, run.events);
  await using sides = await connect(options, run);
  return (await examineServers(options, { sides, run })).report;
}

/** Opens both servers as a step of the run. */
export async function connect(
  { source, target }: Pick<EndpointPair, Side>,
  run: RunContext,
): Promise<ServerPair> {
  const connected = startStep("connect", run);
  const sides = await openServerPair(
    { source, target, retryDelaysMs: connectionDelaysMs },
    run,
  );
  connected();
  return sides;
}

/** The findings, with the facts that they are based on, for commands that continue. */
export interface Examination {
  readonly report: ValidationReport;
  readonly planning: DatabasePlanning;
  readonly scopes: readonly DatabaseScope[];
  /** Undefined if none is suitable, which is a failed check. */
  readonly tool: DumpTool | undefined;
  /** What will apply the changes; undefined without replication, or if nothing can. */
  readonly applier: ApplierChoice | undefined;
}

/** {@linkcode executeValidate} with open sessions. */
export async function examineServers(
  options: ValidateOptions,
  { sides, run }: { readonly sides: ServerPair; readonly run: RunContext },
): Promise<Examination> {
  const validated = startStep("validate", run);
  const [source, target, { checks, ...found }] = await joinAll([
    summarize(sides.source),
    summarize(sides.target),
    runChecks(options, { sides, run }),
  ]);
  const report = {
    source,
    target,
    checks,
    scopes: found.scopes.map((scope) => ({
      database: scope.database,
      tables: tableDecisions(scope),
      notes: scopeNotes(scope),
    })),
    ...countChecks(checks),
  };
  validated(describeCounts(report));
  return { report, ...found };
}

/** How many checks ended in which way. */
export type CheckCounts = Pick<ValidationReport, "passed" | "warnings" | "failures">;

/** Counts checks by how they ended. */
export function countChecks(checks: readonly Check[]): CheckCounts {
  const count = (status: Check["status"]) => checks.filter((each) => each.status === status).length;
  return { passed: count("pass"), warnings: count("warn"), failures: count("fail") };
}

/** `3 passed, 1 warning, 0 failed` */
export function describeCounts({ passed, warnings, failures }: CheckCounts): string {
  return `${passed} passed, ${plural(warnings, "warning")}, ${failures} failed`;
}

/** Reports that a step begins; the result reports its end. */
export function startStep(
  step: "connect" | "validate",
  { events }: RunContext,
): (summary?: string) => void {
  const started = performance.now();
  events({ kind: "step-started", step });
  return (summary?: string) =>
    events({
      kind: "step-finished",
      step,
      ms: performance.now() - started,
      ...(summary === undefined ? {} : { summary }),
    });
}

type Findings = Omit<Examination, "report"> & { readonly checks: readonly Check[] };

/** All checks, while the search for installed programs runs; it ends before this call returns. */
async function runChecks(
  options: ValidateOptions,
  { sides, run }: { readonly sides: ServerPair; readonly run: RunContext },
): Promise<Findings> {
  const search = searchTool(options, sides);
  try {
    return await checkEverything(options, { sides, run, search });
  } finally {
    await Promise.allSettled([search]);
  }
}

async function checkEverything(
  options: ValidateOptions,
  { sides, run, search }: {
    readonly sides: ServerPair;
    readonly run: RunContext;
    readonly search: Promise<FoundTool>;
  },
): Promise<Findings> {
  const { forSync, identity, restoreSearchPath, jobs, rules } = options;
  const { signal } = run;
  const [source, target, offer] = await joinAll([
    readNamingRoles(sides.source, readServer),
    readNamingRoles(sides.target, readServer),
    readTargetOffer(sides.target),
  ]);
  const planning = await planDatabases({
    source: sides.source,
    target: sides.target,
    selection: options.databases,
    dropExisting: options.dropExisting,
    resume: options.resume,
    claim: options.claim,
    runGraceMs: options.runGraceMs,
    withSizes: true,
    targetUrlDatabase: urlDatabase(options.target),
    signal,
  });
  const count = planning.databases.length;
  const examineTarget = async () => {
    const intermediaries = await checkIntermediaries(sides, { source, target, forSync, signal });
    // alone in the target's session: a subscription that it tries and that is refused aborts the
    // transaction until it is rolled back, which would look like a pooler
    const applying = await examineApplying(options, {
      session: sides.target,
      facts: target,
      planning,
    });
    return { intermediaries, applying };
  };
  const [scopes, { intermediaries, applying }] = await joinAll([
    resolveScopes({
      source: sides.source,
      databases: planning.databases.map(({ source }) => source.name),
      rules,
      signal,
    }),
    examineTarget(),
  ]);
  const found = await search;
  const checks: Check[] = [
    ...checkVersions(source, target),
    ...checkProviders(source, target),
    checkSameDatabase(planning.relation, overwritten(planning)),
    ...checkRecovery({ source, target, forSync }),
    ...intermediaries,
    checkTool(found),
    ...checkSelection(planning),
    ...checkTargetRole(target, planning.databases),
    ...checkRoles(source, target),
    ...checkSourceReplication(source, { databases: count, forSync }),
    ...applying.checks,
    checkConnections("source", source, jobs),
    checkConnections("target", target, jobs),
    checkDisk(planning.databases.map((planned) => planned.source), target),
    ...checkTransactions(source, { forSync }),
  ];
  for (const [index, planned] of planning.databases.entries()) {
    run.events({
      kind: "step-progress",
      step: "validate",
      done: index,
      total: count,
      current: planned.source.name,
    });
    checks.push(
      ...await checkDatabase(planned, {
        sides,
        source,
        target,
        offer,
        forSync,
        identity,
        applier: applying.choice?.kind,
        restoreSearchPath,
        signal,
        scope: asksNothing(rules) ? undefined : scopes[index],
      }),
    );
  }
  return { checks, planning, scopes, tool: found.tool, applier: applying.choice };
}

async function checkIntermediaries(
  sides: ServerPair,
  { source, target, forSync, signal }: {
    readonly source: ServerFacts;
    readonly target: ServerFacts;
    readonly forSync: boolean;
    readonly signal: AbortSignal;
  },
): Promise<readonly Check[]> {
  const facts = { source, target };
  const checks = await Promise.all(
    (["source", "target"] as const).map((side) =>
      checkOr({ id: "pooler", side }, {
        essential: false,
        signal,
        check: async () => [
          checkIntermediary(side, {
            hosts: facts[side].hosts,
            provider: facts[side].provider,
            sharesBackends: await sharesBackends(sides[side], signal),
            forSync,
          }),
        ],
      })
    ),
  );
  return checks.flat();
}
