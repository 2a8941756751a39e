/**
 * `validate`: checks both servers before anything is changed.
 *
 * @module
 */
import type { IdentityPolicy } from "../../config/internal.ts";
import {
  listComputingFunctions,
  readIdentity,
  readSearchPathUse,
  sharesBackends,
  tryLocale,
} from "../../catalog/internal.ts";
import {
  connectionDelaysMs,
  joinAll,
  plural,
  ReplicatorError,
  type Side,
  tableKey,
  type TableName,
} from "../../core/internal.ts";
import {
  minLibpqMajor,
  openSession,
  readEventTriggers,
  type Session,
  withDatabase,
} from "../../postgres/internal.ts";
import { asksNothing, type IdentityFacts } from "../../rules/internal.ts";
import { type DumpTool, findDumpTool } from "../../schema/internal.ts";
import {
  assessPublication,
  equalityProblem,
  findHazards,
  type Hazard,
  type UnpublishedTable,
} from "../../replication/internal.ts";
import {
  type EndpointPair,
  openServerPair,
  type ServerPair,
  summarize,
} from "../shared/server_pair.ts";
import { prepareEndpoints } from "../shared/prepare_endpoints.ts";
import {
  type DatabasePlanning,
  planDatabases,
  type PlannedDatabase,
} from "../shared/database_plan.ts";
import type { Check, ValidationReport } from "../shared/validation_report.ts";
import type { RunContext, ValidateOptions } from "../shared/run.ts";
import {
  type DatabaseScope,
  resolveScopes,
  scopeNotes,
  tableDecisions,
} from "../shared/table_scope.ts";
import {
  type ApplierChoice,
  chooseApplier,
  describeApplierChoice,
  subscriptionAsRequested,
  wantsSubscription,
} from "../shared/choose_applier.ts";
import { accessTo } from "../shared/replication_setup.ts";
import { readNamingRoles } from "../shared/unreadable_names.ts";
import { checkOr, fail, pass } from "./check.ts";
import {
  checkEncoding,
  checkLocale,
  checkSelection,
  checkTargetEmpty,
  type LocaleAnswer,
  localesToTry,
} from "./database_checks.ts";
import { checkExtensions } from "./extension_checks.ts";
import {
  readServer,
  readSourceDatabase,
  readTargetDatabase,
  readTargetOffer,
  type ServerFacts,
  type SourceDatabaseFacts,
  type TargetOffer,
} from "./facts.ts";
import { checkEventTriggers, checkSpecialObjects } from "./object_checks.ts";
import { checkSearchPath } from "./search_path_checks.ts";
import { checkOwnDdl, checkWorkerSettings } from "./own_ddl_checks.ts";
import {
  checkReadable,
  checkRoles,
  checkTargetDatabase,
  checkTargetRole,
} from "./privilege_checks.ts";
import {
  checkHazards,
  checkReplicaIdentity,
  checkSourceReplication,
  checkTargetReplication,
  hasNoIdentity,
} from "./replication_checks.ts";
import { checkRules } from "./rule_checks.ts";
import { checkConnections, checkDisk, checkTransactions } from "./resource_checks.ts";
import {
  checkIntermediary,
  checkRecovery,
  checkSameDatabase,
  checkVersions,
} from "./server_checks.ts";
import { checkUserCode } from "./user_code_check.ts";

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
  const count = (status: Check["status"]) => checks.filter((each) => each.status === status).length;
  const report = {
    source,
    target,
    checks,
    scopes: found.scopes.map((scope) => ({
      database: scope.database,
      tables: tableDecisions(scope),
      notes: scopeNotes(scope),
    })),
    passed: count("pass"),
    warnings: count("warn"),
    failures: count("fail"),
  };
  validated(
    `${report.passed} passed, ${plural(report.warnings, "warning")}, ${report.failures} failed`,
  );
  return { report, ...found };
}

function startStep(step: "connect" | "validate", { events }: RunContext) {
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
  const [source, target] = await Promise.all([
    readNamingRoles(sides.source, readServer),
    readNamingRoles(sides.target, readServer),
  ]);
  const planning = await planDatabases({
    source: sides.source,
    target: sides.target,
    selection: options.databases,
    dropExisting: options.dropExisting,
    resume: options.resume,
    claim: options.claim,
    targetUrlDatabase: options.target.databaseGiven ? options.target.database : undefined,
    signal,
  });
  const scopes = await resolveScopes({
    source: sides.source.endpoint,
    databases: planning.databases.map(({ source }) => source.name),
    rules,
    signal,
  });
  const count = planning.databases.length;
  const applying = await examineApplying(options, {
    session: sides.target,
    facts: target,
    planning,
  });
  const found = await search;
  const checks: Check[] = [
    ...checkVersions(source, target),
    checkSameDatabase(planning.relation, overwritten(planning)),
    ...checkRecovery({ source, target, forSync }),
    ...await checkIntermediaries(sides, { source, target, forSync, signal }),
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
  const offer = await readTargetOffer(sides.target);
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
        restoreSearchPath,
        signal,
        scope: asksNothing(rules) ? undefined : scopes[index],
      }),
    );
  }
  return { checks, planning, scopes, tool: found.tool, applier: applying.choice };
}

/** What can apply the changes, and what that needs. */
async function examineApplying(
  { forSync, apply, source }: ValidateOptions,
  { session, facts, planning }: {
    readonly session: Session;
    readonly facts: ServerFacts;
    readonly planning: DatabasePlanning;
  },
): Promise<{ readonly checks: readonly Check[]; readonly choice: ApplierChoice | undefined }> {
  const { databases } = planning;
  const ofSubscription = checkTargetReplication(facts, { databases: databases.length, forSync });
  const [first] = databases;
  if (!forSync || first === undefined) return { checks: ofSubscription, choice: undefined };
  if (wantsSubscription(apply)) return { checks: ofSubscription, choice: subscriptionAsRequested };
  const subject = { id: "apply-from", side: "target" } as const;
  try {
    const choice = await chooseApplier({
      target: session,
      access: accessTo(withDatabase(source, first.source.name), apply),
      settings: apply,
      databases: databases.length,
    });
    const checks = choice.kind === "client" ? [] : ofSubscription;
    return { checks: [...checks, pass(subject, describeApplierChoice(choice))], choice };
  } catch (error) {
    if (!(error instanceof ReplicatorError) || !session.isOpen) throw error;
    const finding = [error.message, ...error.details].join("; ");
    const checks = apply.applyFrom === "here" ? [] : ofSubscription;
    return {
      checks: [...checks, fail(subject, { finding, fix: error.remedy ?? "" })],
      choice: undefined,
    };
  }
}

/** Databases that would be both read and written. */
function overwritten({ relation, databases }: DatabasePlanning): readonly string[] {
  if (relation === "different") return [];
  const sources = new Set(databases.map(({ source }) => source.name));
  return databases.filter(({ target }) => sources.has(target)).map(({ target }) => target);
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

/** The program that reads the schema, or why there is none. */
type FoundTool =
  | { readonly tool: DumpTool }
  | { readonly tool: undefined; readonly reason: ReplicatorError };

async function searchTool({ tools }: ValidateOptions, sides: ServerPair): Promise<FoundTool> {
  try {
    return {
      tool: await findDumpTool({
        sourceMajor: sides.source.majorVersion,
        targetMajor: sides.target.majorVersion,
        libpqMajor: minLibpqMajor(sides.source.endpoint),
      }, tools),
    };
  } catch (error) {
    if (!(error instanceof ReplicatorError)) throw error;
    return { tool: undefined, reason: error };
  }
}

function checkTool(found: FoundTool): Check {
  const subject = { id: "dump-tool", side: "both" } as const;
  if (found.tool !== undefined) return pass(subject, found.tool.description);
  const { message, remedy = "install PostgreSQL's client programs" } = found.reason;
  return fail(subject, { finding: message, fix: remedy });
}

interface DatabaseContext {
  readonly sides: ServerPair;
  readonly source: ServerFacts;
  readonly target: ServerFacts;
  readonly offer: TargetOffer;
  readonly forSync: boolean;
  readonly identity: IdentityPolicy;
  readonly restoreSearchPath: "empty" | "own";
  readonly signal: AbortSignal;
  /** Undefined when there are no rules. */
  readonly scope: DatabaseScope | undefined;
}

async function checkDatabase(
  planned: PlannedDatabase,
  context: DatabaseContext,
): Promise<readonly Check[]> {
  const { sides, offer, signal } = context;
  const onTarget = { id: "target-database", side: "target", database: planned.target } as const;
  const onSource = {
    id: "source-database",
    side: "source",
    database: planned.source.name,
  } as const;
  return [
    checkTargetEmpty(planned),
    checkEncoding(planned),
    ...await checkOr({ ...onTarget, id: "locale" }, {
      essential: false,
      signal,
      check: async () => [
        checkLocale(planned, {
          locales: offer.locales,
          targetMajor: context.target.majorVersion,
          tried: await tryLocales(sides.target, localesToTry(planned, offer.locales)),
        }),
      ],
    }),
    ...await checkOr(onTarget, {
      essential: true,
      signal,
      check: () => checkExistingTarget(planned, context),
    }),
    ...await checkOr(onSource, {
      essential: true,
      signal,
      check: () => checkSource(planned, context),
    }),
  ];
}

async function tryLocales(
  session: Session,
  locales: readonly string[],
): Promise<ReadonlyMap<string, LocaleAnswer>> {
  const tried = new Map<string, LocaleAnswer>();
  for (const locale of locales) tried.set(locale, await tryLocale(session, locale));
  return tried;
}

async function checkExistingTarget(
  planned: PlannedDatabase,
  { sides, target, signal }: DatabaseContext,
): Promise<readonly Check[]> {
  const { action } = planned;
  if (action !== "fill-empty" && action !== "drop-and-create") return [];
  // an invalid database can be dropped but not opened
  if (planned.contents === undefined) return [];
  await using session = await openSession(withDatabase(sides.target.endpoint, planned.target), {
    signal,
  });
  const facts = await readTargetDatabase(session);
  if (action !== "fill-empty") {
    return [checkTargetDatabase(planned, { role: target.role, facts })];
  }
  // none fire in a superuser's sessions from 17 on
  const running = await readEventTriggers(session);
  return [
    checkTargetDatabase(planned, { role: target.role, facts }),
    checkEventTriggers(planned.target, running.map(({ name }) => name)),
    await checkOwnDdl(session, { side: "target", database: planned.target }),
  ];
}

async function checkSource(
  planned: PlannedDatabase,
  { sides, source, target, offer, forSync, identity, restoreSearchPath, signal, scope }:
    DatabaseContext,
): Promise<readonly Check[]> {
  const database = planned.source.name;
  await using session = await openSession(withDatabase(sides.source.endpoint, database), {
    signal,
  });
  const facts = factsWithinScope(await readSourceDatabase(session), scope);
  const { role, majorVersion } = source;
  // other policies are decided, and reported, when the tables are published
  const strict = forSync && identity === "fail";
  const identities = new Map<string, IdentityFacts>();
  for (const { table } of forSync ? scope?.scope.tables ?? [] : []) {
    if (scope?.predicates.has(tableKey(table))) {
      identities.set(tableKey(table), await readIdentity(session, table));
    }
  }
  // tables without rows are not published
  const tables = facts.tables.filter((table) => scope?.scope.hasRows(table) ?? true);
  const followed = forSync
    ? await assessFollowing(session, {
      facts,
      tables,
      scope,
      policy: identity,
      targetMajor: target.majorVersion,
    })
    : undefined;
  const unidentified = forSync ? undefined : tables.find(hasNoIdentity);
  return [
    ...(scope === undefined
      ? []
      : checkRules(scope, { forSync: strict, sourceMajor: majorVersion, identities })),
    ...checkReadable(database, { facts, role, majorVersion }),
    ...checkReplicaIdentity(database, {
      facts: { ...facts, tables },
      role,
      forSync,
      policy: identity,
      unpublished: followed?.unpublished,
      fullProblem: unidentified === undefined ? undefined : await equalityProblem(session, {
        table: unidentified,
        columns: unidentified.columns.map((column) => column.name),
      }),
    }),
    ...checkHazards(database, followed?.hazards ?? []),
    checkUserCode(planned.target, {
      functions: await listComputingFunctions(session),
      role: target.role,
      forSync,
    }),
    ...checkSearchPath(
      database,
      (await readSearchPathUse(session)).filter(({ kind, table }) =>
        table === undefined || kind === "materialized view" || (scope?.scope.isMade(table) ?? true)
      ),
      { targetMajor: target.majorVersion, forSync, ownPath: restoreSearchPath === "own" },
    ),
    ...(forSync
      ? [
        await checkOwnDdl(session, { side: "source", database }),
        await checkWorkerSettings(session, database),
      ]
      : []),
    ...checkSpecialObjects(database, { facts, targetTablespaces: target.tablespaces, forSync }),
    ...checkExtensions(planned.target, {
      installed: facts.extensions,
      available: offer.extensions,
      present: planned.action === "fill-empty" ? planned.contents?.extensions ?? [] : [],
      target,
    }),
  ];
}

/** Tables that cannot be published, and hazards that would stop replication later. */
async function assessFollowing(
  session: Session,
  { facts, tables, scope, policy, targetMajor }: {
    readonly facts: SourceDatabaseFacts;
    readonly tables: SourceDatabaseFacts["tables"];
    readonly scope: DatabaseScope | undefined;
    readonly policy: IdentityPolicy;
    readonly targetMajor: number;
  },
): Promise<
  { readonly unpublished: readonly UnpublishedTable[]; readonly hazards: readonly Hazard[] }
> {
  const { plan, problems } = await assessPublication({ session, tables, policy });
  const onTarget = new Set(facts.tables.map(tableKey));
  return {
    unpublished: [
      ...problems,
      ...plan.skipped.filter((skipped) =>
        tables.some((table) => !table.isUnlogged && tableKey(table) === tableKey(skipped))
      ),
    ],
    hazards: await findHazards(session, {
      tables: facts.tables,
      plan,
      targetMajor,
      isOnTarget: (table) => onTarget.has(tableKey(table)) || scope === undefined,
    }),
  };
}

/** Excluded tables need not be readable or publishable. */
function factsWithinScope(
  facts: SourceDatabaseFacts,
  scope: DatabaseScope | undefined,
): SourceDatabaseFacts {
  if (scope === undefined) return facts;
  const gone = new Set(scope.consequences.relations.map(tableKey));
  const kept = (relation: TableName) => !gone.has(tableKey(relation));
  return {
    ...facts,
    tables: facts.tables.filter(kept),
    access: facts.access.filter(kept),
    sequences: facts.sequences.filter(kept),
  };
}
