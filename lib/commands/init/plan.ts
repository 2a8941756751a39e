/**
 * The plan of `init`, from what both servers report.
 *
 * @module
 */
import {
  displayName,
  plural,
  type Problem,
  tableKey,
  type TableName,
  UsageError,
} from "../../core/internal.ts";
import {
  chooseToastMethod,
  collectedOf,
  type CopyExtent,
  type CopyPlanOptions,
  extentOf,
  planCopy,
  readPlanBounds,
  restoresStatistics,
  type StatisticsSummary,
  whyText,
} from "../../copy/internal.ts";
import { printPart } from "../../rules/internal.ts";
import { readLedger } from "../../checkpoint/internal.ts";
import { type Endpoint, openSession, type Session, withDatabase } from "../../postgres/internal.ts";
import {
  type DatabaseContents,
  listTables,
  maintenanceDatabase,
  readStatisticsOutlook,
  readToastCompression,
  readWorkFacts,
  type StatisticsOutlook,
  summarizeLargeObjects,
  type Table,
} from "../../catalog/internal.ts";
import { type DumpTool, previewGlobals } from "../../schema/internal.ts";
import { type ServerPair, summarize } from "../shared/server_pair.ts";
import type { DatabasePlanning, PlannedDatabase } from "../shared/database_plan.ts";
import type { ApplierChoice } from "../shared/choose_applier.ts";
import { withSessionIn } from "../shared/session_in.ts";
import type { DatabasePlan, InitPlan, SourceChanges, TablePlan } from "../shared/init_plan.ts";
import type { ValidationReport } from "../shared/validation_report.ts";
import type { StepPrediction } from "../shared/report.ts";
import type { DatabaseSelection, InitOptions } from "../shared/run.ts";
import { loadReplication } from "../shared/load_replication.ts";
import { type DatabaseScope, scopeNotes, tableDecisions } from "../shared/table_scope.ts";
import { optionDefaults } from "../../config/internal.ts";
import { subjectPrefix } from "../validate/check.ts";
import { predictRun } from "./predict/predict_run.ts";
import type { PredictedWork } from "./predict/predict_steps.ts";

/** What a plan is built from. */
export interface PlanInput {
  readonly options: InitOptions;
  readonly sides: ServerPair;
  readonly planning: DatabasePlanning;
  readonly tool: DumpTool;
  /** Of each planned database. */
  readonly scopes: readonly DatabaseScope[];
  /** Of `validate`, whose warnings belong to the plan. */
  readonly report: ValidationReport;
  /** What will apply the changes; undefined without replication. */
  readonly applier: ApplierChoice | undefined;
  readonly signal: AbortSignal;
}

/** A plan, and the measurement that predicts its duration. */
export interface MeasurablePlan {
  /** Without a prediction. */
  readonly plan: InitPlan;
  /** Measures a short copy; undefined if nothing can be measured. */
  readonly predict: (signal: AbortSignal) => Promise<readonly StepPrediction[] | undefined>;
}

/** The plan with a prediction. */
export function withPrediction(
  plan: InitPlan,
  steps: readonly StepPrediction[] | undefined,
): InitPlan {
  if (steps === undefined) return plan;
  const predictedMs = steps.reduce((sum, { ms }) => sum + ms, 0);
  return { ...plan, predictedMs, predictedSteps: steps };
}

const ownPathWarning =
  "--restore-search-path own: rows and constraints are computed under the search_path of the target's database and role, " +
  "and so are indexes and materialized views on servers before 17; " +
  "any role that may create functions in a schema of that path can have them executed by the role of --target";

/** Reads sizes and builds the plan. */
export async function buildPlan(input: PlanInput): Promise<MeasurablePlan> {
  const { options, sides, planning, scopes, tool, applier, report: { checks } } = input;
  const surveys = await Promise.all(
    planning.databases.map((planned, index) => survey(input, planned, scopes[index]!)),
  );
  const problems = surveys.flatMap((each) => each.problems);
  if (problems.length > 0) throw new UsageError(problems);
  const bytes = surveys.reduce((sum, { plan }) => sum + plan.bytes, 0);
  const works = surveys.map(({ work }) => work);
  const predict = (signal: AbortSignal) => predictRun(works, { options, sides, signal });
  const globals = await previewGlobals(sides.source, sides.target);
  const several = planning.databases.length > 1;
  const written = new Set(planning.databases.map(({ target }) => target));
  const plan: InitPlan = {
    source: await summarize(sides.source),
    target: await summarize(sides.target),
    databases: surveys.map(({ plan }) => plan),
    jobs: options.copy.jobs,
    indexJobs: options.indexJobs,
    dumpTool: tool.description,
    bytes,
    ...(applier === undefined ? {} : { applier: { kind: applier.kind, reasons: applier.reasons } }),
    existing: {
      databases: planning.onTarget
        .filter(({ name, isTemplate, providerInternal }) =>
          !isTemplate && !providerInternal && !written.has(name)
        )
        .map(({ name }) => name).toSorted(),
      roles: globals.sharedRoles,
    },
    warnings: [
      ...(options.restoreSearchPath === "own" ? [ownPathWarning] : []),
      ...planning.databases.flatMap(({ action, target, unfinished }) => {
        const missing = unfinished?.setAside.filter(({ attribute }) => attribute === undefined) ??
          [];
        return action !== "resume" || missing.length === 0 ? [] : [
          `database ${target} is complete except for ${
            plural(missing.length, "object")
          }: only those are created`,
        ];
      }),
      ...globals.adapted.map(({ object, message, remedy }) =>
        `${object}: ${message}${remedy === undefined ? "" : ` → ${remedy}`}`
      ),
      ...urlDatabaseWarnings(options, planning.databases.map((each) => each.source.name)),
      ...planning.skipped.map(({ name, reason }) => `database ${name} is left out: it ${reason}`),
      ...checks.filter(({ status }) => status === "warn").map(({ finding, fix, ...subject }) =>
        (several && subject.database !== undefined ? subjectPrefix(subject, { several }) : "") +
        (fix === undefined ? finding : `${finding} → ${fix}`)
      ),
    ],
  };
  return { plan, predict };
}

/** `3 tables (120 MB: orders, customers, items); extensions hstore, pg_trgm` */
function describeExisting({ description, extensions }: DatabaseContents): string {
  const [one] = extensions;
  return one === undefined
    ? description
    : `${description}; ${extensions.length === 1 ? "extension" : "extensions"} ${
      extensions.join(", ")
    }`;
}

/** The database in the source's URL does not limit the copy. */
export function urlDatabaseWarnings(
  { source, databases: { include, exclude } }: {
    readonly source: Pick<Endpoint, "database" | "databaseGiven">;
    readonly databases: Pick<DatabaseSelection, "include" | "exclude">;
  },
  copied: readonly string[],
): readonly string[] {
  const { database } = source;
  const isLimited = include.length + exclude.length > 0;
  if (isLimited || !source.databaseGiven || database === maintenanceDatabase) return [];
  if (!copied.includes(database) || copied.length === 1) return [];
  return [
    `the source's URL names ${database}, but all ${copied.length} databases are copied → ` +
    `--include-databases ${printPart([database])} copies only this one`,
  ];
}

interface Survey {
  readonly plan: DatabasePlan;
  readonly work: PredictedWork;
  readonly problems: readonly Problem[];
}

async function survey(
  input: PlanInput,
  planned: PlannedDatabase,
  scope: DatabaseScope,
): Promise<Survey> {
  const { sides, signal } = input;
  return await withSessionIn(
    sides.source,
    { database: planned.source.name, signal },
    (session) => surveyInside(session, input, { planned, scope }),
  );
}

async function surveyInside(
  session: Session,
  { options, sides, tool, signal }: PlanInput,
  { planned, scope }: { readonly planned: PlannedDatabase; readonly scope: DatabaseScope },
): Promise<Survey> {
  const tables = (await listTables(session)).filter((table) => scope.scope.hasRows(table));
  const copyOptions: CopyPlanOptions = {
    sourceMajor: session.majorVersion,
    encoding: planned.source.encoding,
    settings: options.copy,
    predicateOf: () => undefined,
    keyBounds: await readPlanBounds(session, tables, options.copy),
  };
  const parts = planCopy(tables, copyOptions);
  const partOf = new Map(parts.map((part) => [part.table, part]));
  const plans = tables.map((table): TablePlan => {
    const why = whyText(table, copyOptions);
    const { parts: count = 1, format = "text", freeze = false } = partOf.get(table) ?? {};
    return {
      ...planTable(table, scope),
      parts: count,
      format,
      freeze,
      ...(why === undefined ? {} : { whyText: why }),
    };
  });
  const { count } = await summarizeLargeObjects(session);
  const statistics = await planStatistics(session, {
    from: options.statistics,
    targetMajor: sides.target.majorVersion,
    extent: extentOf(tables, scope.scope),
    isCopied: ({ table, isPartitioned }) =>
      isPartitioned ? scope.scope.isMade(table) : scope.scope.hasRows(table),
  });
  const plan: DatabasePlan = {
    source: planned.source.name,
    target: planned.target,
    action: planned.action === "refuse" ? "create" : planned.action,
    ...(planned.willBeLost === undefined ? {} : { willBeLost: planned.willBeLost }),
    ...(planned.contents === undefined ? {} : { contents: describeExisting(planned.contents) }),
    ...(options.sync === undefined ? {} : {
      sourceChanges: await readSourceChanges(session, { options, sides, planned, scope, tables }),
    }),
    tables: plans.toSorted((a, b) => b.bytes - a.bytes),
    decisions: tableDecisions(scope),
    notes: scopeNotes(scope),
    statistics,
    toastCompression: chooseToastMethod(options.toastCompression, {
      source: await readToastCompression(session),
      target: await readToastCompression(sides.target),
    }),
    largeObjects: count,
    bytes: plans.reduce((sum, { bytes }) => sum + bytes, 0),
  };
  // predicted without what the rules exclude and earlier attempts copied
  const expected = new Map(tables.map((table, index) => [table, plans[index]!.bytes]));
  const done = planned.action === "resume"
    ? await readDoneParts(withDatabase(options.target, planned.target), signal)
    : undefined;
  const work: PredictedWork = {
    database: planned.source.name,
    parts: parts
      .filter(({ table, part }) => !done?.has(partKey(table, part)))
      .map((part) => ({
        ...part,
        bytes: part.table.bytes === 0
          ? 0
          : part.bytes * (expected.get(part.table) ?? 0) / part.table.bytes,
      })),
    tables: plan.decisions.filter(({ outcome }) => outcome !== "left-out").length,
    facts: await readWorkFacts(session),
    statistics,
    resumed: done !== undefined,
    largeObjects: count,
    embeddedDump: tool.kind === "embedded",
  };
  return {
    plan,
    work,
    problems: textProblems(planned.source.name, tables, copyOptions),
  };
}

/** Which tables will get the source's statistics. */
async function planStatistics(
  session: Session,
  { from, targetMajor, extent, isCopied }: {
    readonly from: InitOptions["statistics"];
    readonly targetMajor: number;
    readonly extent: CopyExtent;
    readonly isCopied: (table: StatisticsOutlook) => boolean;
  },
): Promise<StatisticsSummary> {
  if (from !== "source" || targetMajor < restoresStatistics) {
    return { from: from === "none" ? "none" : "analyze", carried: 0, analyzed: [] };
  }
  const outlooks = [...(await readStatisticsOutlook(session)).values()].filter(isCopied);
  const collected = outlooks.map((outlook) => collectedOf(outlook.table, outlook, extent));
  const analyzed = collected.filter((table) => table !== undefined);
  const whole = analyzed.filter(({ columns }) => columns === undefined).length;
  return { from, carried: outlooks.length - whole, analyzed };
}

/** What replication creates and alters on the source, as `startStream` does later. */
async function readSourceChanges(
  session: Session,
  { options: { rules, sync }, sides, planned, scope: { scope }, tables }:
    & Pick<PlanInput, "options" | "sides">
    & {
      readonly planned: PlannedDatabase;
      readonly scope: DatabaseScope;
      readonly tables: readonly Table[];
    },
): Promise<SourceChanges> {
  const { assessPublication, readDatabaseRef, replicationNames, scopeHash } =
    await loadReplication();
  const hash = await scopeHash({
    source: await readDatabaseRef(session),
    target: { ...await readDatabaseRef(sides.target), database: planned.target },
    rules,
  });
  const { plan } = await assessPublication({
    session,
    tables,
    policy: sync?.identity ?? optionDefaults.replicaIdentity,
    predicateOf: (table) => scope.predicateOf(table),
  });
  const named = ({ schema, name }: TableName): TableName => ({ schema, name });
  return {
    name: replicationNames({ hash, epoch: 1 }).slot,
    published: plan.tables.length,
    identities: plan.changedIdentities.map(named),
    notReplicated: plan.skipped.map(named),
  };
}

/** What an interrupted run has copied, by `partKey`. */
async function readDoneParts(
  target: Endpoint,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  await using session = await openSession(target, { signal });
  const { tables } = await readLedger(session);
  return new Set(
    tables.flatMap((table) =>
      table.parts.filter(({ done }) => done).map(({ part }) => partKey(table, part))
    ),
  );
}

function partKey(table: TableName, part: number): string {
  return JSON.stringify([tableKey(table), part]);
}

/**
 * `--copy-format binary` applies to every table or to none: reports all tables that cannot be
 * copied in binary.
 */
function textProblems(
  database: string,
  tables: readonly Table[],
  options: CopyPlanOptions,
): readonly Problem[] {
  if (options.settings.format !== "binary") return [];
  return tables.flatMap((table) => {
    const why = whyText(table, options);
    return why === undefined ? [] : [{
      path: "--copy-format",
      message: `binary: ${database}: table ${
        displayName(table)
      } has no binary form that means the same on every server (${why}); auto copies it as text`,
    }];
  });
}

/**
 * The expected size of a table; of a filtered one, by the planner's estimate for its predicate.
 */
function planTable(
  table: Table,
  { scope, predicates }: DatabaseScope,
): Omit<TablePlan, "parts" | "format" | "whyText" | "freeze"> {
  const { schema, name, bytes, toastBytes, rowEstimate, partitionRoot } = table;
  const predicate = scope.predicateOf(table);
  const estimate = predicates.get(tableKey(table))?.estimate;
  const share = predicate === undefined || estimate === undefined || estimate.of === 0
    ? 1
    : Math.min(1, estimate.rows / estimate.of);
  return {
    schema,
    name,
    bytes: Math.round(bytes * share),
    toastBytes: Math.round(toastBytes * share),
    ...(partitionRoot === undefined ? {} : { partitionOf: partitionRoot }),
    ...(rowEstimate === undefined ? {} : { rowEstimate: Math.round(rowEstimate * share) }),
    ...(predicate === undefined ? {} : { predicate }),
  };
}
