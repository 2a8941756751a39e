/**
 * What `init` is about to do, read from both servers.
 *
 * @module
 */
import { displayName, type Problem, tableKey, UsageError } from "../../core/mod.ts";
import { type CopyPlanOptions, planCopy, readPlanBounds, whyText } from "../../copy/mod.ts";
import { openSession, withDatabase } from "../../postgres/mod.ts";
import { listTables, summariseLargeObjects, type Table } from "../../catalog/mod.ts";
import type { DumpTool } from "../../schema/mod.ts";
import { type BothSides, summarise } from "../both_sides.ts";
import type { DatabasePlanning, PlannedDatabase } from "../database_plan.ts";
import type { DatabasePlan, InitPlan, TablePlan, ValidationReport } from "../report.ts";
import type { InitOptions } from "../run.ts";
import { type DatabaseScope, scopeNotes, tableDecisions } from "../table_scope.ts";
import { predictDuration } from "./probe.ts";

/** What a plan is made from. */
export interface PlanInput {
  readonly options: InitOptions;
  readonly sides: BothSides;
  readonly planning: DatabasePlanning;
  readonly tool: DumpTool;
  /** Of each planned database. */
  readonly scopes: readonly DatabaseScope[];
  /** Of `validate`: its warnings belong to the plan. */
  readonly report: ValidationReport;
  readonly signal: AbortSignal;
}

/** Reads sizes, measures a short copy, and puts the plan together. */
export async function buildPlan(input: PlanInput): Promise<InitPlan> {
  const { options, sides, planning, scopes, tool, report: { checks }, signal } = input;
  const surveys = await Promise.all(
    planning.databases.map((planned, index) => survey(input, planned, scopes[index]!)),
  );
  const problems = surveys.flatMap((each) => each.problems);
  if (problems.length > 0) throw new UsageError(problems);
  const largest = surveys.reduce<Survey | undefined>(
    (best, one) => one.plan.bytes > (best?.plan.bytes ?? 0) ? one : best,
    undefined,
  );
  const bytes = surveys.reduce((sum, { plan }) => sum + plan.bytes, 0);
  const predictedMs = largest === undefined ? undefined : await predictDuration({
    source: withDatabase(options.source, largest.plan.source),
    target: sides.target.endpoint,
    tables: largest.tables,
    jobs: options.jobs,
    signal,
  });
  return {
    source: await summarise(sides.source),
    target: await summarise(sides.target),
    databases: surveys.map(({ plan }) => plan),
    jobs: options.jobs,
    indexJobs: options.indexJobs,
    dumpTool: tool.description,
    bytes,
    ...(predictedMs === undefined || largest === undefined
      ? {}
      : { predictedMs: predictedMs * shareOf(largest.plan, surveys.map(({ plan }) => plan)) }),
    warnings: [
      ...planning.skipped.map(({ name, reason }) => `database ${name} is left out: ${reason}`),
      ...checks.filter(({ status }) => status === "warn").map(({ finding }) => finding),
    ],
  };
}

/** How many times as much there is to copy as in the largest database: in bytes, and as tables go. */
function shareOf(largest: DatabasePlan, all: readonly DatabasePlan[]): number {
  const bytes = all.reduce((sum, plan) => sum + plan.bytes, 0) / Math.max(1, largest.bytes);
  const tables = all.reduce((sum, { tables }) => sum + tables.length, 0) /
    Math.max(1, largest.tables.length);
  return largest.bytes >= 80 * 1024 * 1024 ? bytes : tables;
}

interface Survey {
  readonly plan: DatabasePlan;
  readonly tables: readonly Table[];
  readonly problems: readonly Problem[];
}

async function survey(
  { options, signal }: PlanInput,
  planned: PlannedDatabase,
  scope: DatabaseScope,
): Promise<Survey> {
  await using session = await openSession(withDatabase(options.source, planned.source.name), {
    signal,
  });
  const tables = (await listTables(session)).filter((table) => scope.scope.hasRows(table));
  const copyOptions: CopyPlanOptions = {
    sourceMajor: session.majorVersion,
    encoding: planned.source.encoding,
    format: options.copyFormat,
    splitBytes: options.splitBytes,
    jobs: options.jobs,
    keyBounds: await readPlanBounds(session, { tables, splitBytes: options.splitBytes }),
  };
  const parts = new Map(planCopy(tables, copyOptions).map((part) => [part.table, part]));
  const plans = tables.map((table): TablePlan => {
    const why = whyText(table, copyOptions);
    const { parts: count = 1, format = "text", freeze = false } = parts.get(table) ?? {};
    return {
      ...planTable(table, scope),
      parts: count,
      format,
      freeze,
      ...(why === undefined ? {} : { whyText: why }),
    };
  });
  const { count } = await summariseLargeObjects(session);
  const plan: DatabasePlan = {
    source: planned.source.name,
    target: planned.target,
    action: planned.action === "refuse" ? "create" : planned.action,
    ...(planned.willBeLost === undefined ? {} : { willBeLost: planned.willBeLost }),
    tables: plans.toSorted((a, b) => b.bytes - a.bytes),
    decisions: tableDecisions(scope),
    notes: scopeNotes(scope),
    largeObjects: count,
    bytes: plans.reduce((sum, { bytes }) => sum + bytes, 0),
  };
  // what is predicted is the copy of what the rules leave
  const expected = tables.map((table, index): Table => ({
    ...table,
    bytes: plans[index]!.bytes,
    rowEstimate: plans[index]!.rowEstimate,
  }));
  return {
    plan,
    tables: expected,
    problems: textProblems(planned.source.name, tables, copyOptions),
  };
}

/** Binary that was asked for is binary, or nothing is touched: all the tables that have none are told at once. */
function textProblems(
  database: string,
  tables: readonly Table[],
  options: CopyPlanOptions,
): readonly Problem[] {
  if (options.format !== "binary") return [];
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

/** What is expected of a table: of a filtered one as much as the source's planner expects to meet the condition. */
function planTable(
  table: Table,
  { scope, predicates }: DatabaseScope,
): Pick<TablePlan, "schema" | "name" | "bytes" | "rowEstimate" | "predicate"> {
  const { schema, name, bytes, rowEstimate } = table;
  const predicate = scope.predicateOf(table);
  const estimate = predicates.get(tableKey(table))?.estimate;
  const share = predicate === undefined || estimate === undefined || estimate.of === 0
    ? 1
    : Math.min(1, estimate.rows / estimate.of);
  return {
    schema,
    name,
    bytes: Math.round(bytes * share),
    ...(rowEstimate === undefined ? {} : { rowEstimate: Math.round(rowEstimate * share) }),
    ...(predicate === undefined ? {} : { predicate }),
  };
}
