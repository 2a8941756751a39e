/**
 * What a database gets after its rows and indexes: objects that require all rows, and those that no
 * other object depends on.
 *
 * @module
 */
import { formatCount, plural } from "../../core/internal.ts";
import { durableSettings, type Endpoint, openSessionWithRetry } from "../../postgres/internal.ts";
import type { DumpStatement } from "../../schema/internal.ts";
import { analyzeTables, describeStatistics, type SourceStatistics } from "../../copy/internal.ts";
import type { Consequences } from "../../rules/internal.ts";
import { addForeignKeys } from "./add_foreign_keys.ts";
import type { DumpApplier } from "./apply_dump.ts";
import type { CopyDatabaseOptions, SchemaParts } from "./copy_options.ts";
import { copySequences } from "./copy_sequences.ts";
import { copyProperties } from "./database_properties.ts";
import { partitionedTables } from "./partitioned_tables.ts";

/** Which database is finished, and how. */
export interface FinishDatabaseOptions extends
  Pick<
    CopyDatabaseOptions,
    "planned" | "maintenance" | "copy" | "indexJobs" | "statistics" | "recorder" | "signal"
  > {
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly postData: SchemaParts["postData"];
  readonly schema: DumpApplier;
  /** How the rules affect keys; undefined without rules. */
  readonly consequences: Consequences | undefined;
  /** Tables that have statistics, by `tableKey`. */
  readonly analyzed: ReadonlySet<string>;
  /** Undefined if every table is analyzed. */
  readonly carrier: SourceStatistics | undefined;
}

type ForeignKeyOptions = Omit<FinishDatabaseOptions, "analyzed" | "statistics" | "carrier">;

/**
 * Foreign keys, sequences, triggers, views and privileges, properties of the database, and missing
 * statistics. What was set aside is tried again after everything else.
 */
export async function finishDatabase(options: FinishDatabaseOptions): Promise<void> {
  const { recorder, postData, schema, target, signal } = options;
  const { events } = recorder;
  const database = options.planned.source.name;
  await recorder.step(() => finishForeignKeys(options, postData.foreignKeys), {
    step: "foreign-keys",
    database,
    summarize: (count) => plural(count, "foreign key"),
  });
  await recorder.step(
    () => copySequences({ source: options.source, target, signal, events }),
    { step: "sequences", database, summarize: (count) => plural(count, "sequence") },
  );
  await recorder.step(async () => {
    await schema.apply([...postData.settings, ...postData.rest]);
    await retryAll(options);
    await schema.apply([...postData.settings, ...postData.eventTriggers]);
    await copyProperties(options);
  }, { step: "finish-schema", database });
  await finishStatistics(options);
}

/** Gives the remaining tables their statistics. */
async function finishStatistics(
  { recorder, planned, target, statistics, analyzed, carrier, copy: { jobs }, signal }:
    FinishDatabaseOptions,
): Promise<void> {
  if (statistics === "none") return;
  const { events } = recorder;
  const database = planned.source.name;
  const common = { target, jobs, signal, events, database };
  await recorder.step(
    () => analyzeTables({ ...common, done: analyzed, only: undefined, source: carrier }),
    {
      step: "analyze",
      database,
      summarize: (count) =>
        carrier === undefined
          ? analyzedWords(count, analyzed.size)
          : describeStatistics(carrier.summary),
    },
  );
}

/**
 * Tries again what was set aside. Foreign keys are treated separately, because they are validated
 * as well.
 */
export async function retryAll(options: ForeignKeyOptions): Promise<void> {
  const { schema, postData: { settings, foreignKeys } } = options;
  await schema.retry(settings);
  const left = foreignKeys.filter((statement) => schema.setAside.has(statement));
  if (left.length === 0) return;
  for (const statement of left) schema.setAside.forget(statement);
  await finishForeignKeys(options, left);
  await schema.retry(settings); // comments on them
}

/** Adds foreign keys and validates them. @returns their number */
export async function finishForeignKeys(
  { target, postData: { settings }, schema, consequences, indexJobs, planned, recorder, signal }:
    ForeignKeyOptions,
  statements: readonly DumpStatement[],
): Promise<number> {
  if (statements.length === 0) return 0;
  await using session = await openSessionWithRetry(target, {
    signal,
    events: recorder.events,
    settings: durableSettings,
    computesValues: true,
  });
  await schema.applyIn(session, settings);
  const { count, complete } = await addForeignKeys(statements, {
    target,
    session,
    schema,
    partitioned: await partitionedTables(session),
    consequences,
    jobs: indexJobs,
    signal,
    events: recorder.events,
    database: planned.source.name,
  });
  if (!complete) schema.markIncomplete();
  return count;
}

/** `12 tables, 10 of them during the copy` */
function analyzedWords(now: number, before: number): string {
  const all = plural(now + before, "table");
  if (before === 0) return all;
  return `${all}, ${now === 0 ? "" : `${formatCount(before)} of them `}during the copy`;
}
