/**
 * Objects that a complete copy lacks: reported, and created by a later run after their causes are
 * removed.
 *
 * @module
 */
import { type EventSink, plural, tableKey, type TableName } from "../../core/internal.ts";
import type { Ledger } from "../../checkpoint/internal.ts";
import { analyzeTables, IndexBuilder } from "../../copy/internal.ts";
import { openSessionWithRetry } from "../../postgres/internal.ts";
import {
  describeStatement,
  type DumpStatement,
  type SetAsideObject,
  tablesWithStatistics,
} from "../../schema/internal.ts";
import type { CopyDatabaseOptions, SchemaParts } from "./copy_options.ts";
import { type FinishDatabaseOptions, finishForeignKeys, retryAll } from "./finish_database.ts";
import { partitionedTables } from "./partitioned_tables.ts";

/** What is created, and where. */
export interface CreateSetAsideOptions
  extends
    Omit<FinishDatabaseOptions, "analyzed" | "carrier">,
    Pick<CopyDatabaseOptions, "targetMajor"> {
  /** The current definitions on the source. */
  readonly preData: SchemaParts["preData"];
  readonly ledger: Ledger;
}

/** Not small, so that each index is built in its own transaction: the table may be in use. */
const assumedBytes = 2 ** 30;

/**
 * Creates and fills the objects of the given parts, and analyzes tables with new statistics
 * objects. Refused statements are in `schema.setAside`.
 */
export async function createSetAside(options: CreateSetAsideOptions): Promise<void> {
  const { recorder, planned, target, copy: { jobs }, signal, schema, preData, postData } = options;
  const { events } = recorder;
  const database = planned.source.name;
  await recorder.step(async () => {
    await schema.apply(preData);
    await buildIndexes(options);
    await schema.apply([...postData.settings, ...postData.attach]);
    await schema.retry(postData.settings);
    await finishForeignKeys(options, postData.foreignKeys);
    await schema.apply([...postData.settings, ...postData.rest]);
    await retryAll(options);
    await schema.apply([...postData.settings, ...postData.eventTriggers]);
  }, { step: "finish-schema", database });
  if (options.statistics === "none") return;
  const only = new Set(changedTables(postData).map(tableKey));
  const common = { target, jobs, signal, events, database };
  await recorder.step(
    // the rows may have changed since they were copied
    () => analyzeTables({ ...common, done: new Set(), only, source: undefined }),
    { step: "analyze", database, summarize: (count) => plural(count, "table") },
  );
}

async function buildIndexes(
  {
    recorder,
    planned,
    target,
    targetMajor,
    indexJobs,
    signal,
    schema,
    ledger,
    postData,
    copy,
  }: CreateSetAsideOptions,
): Promise<void> {
  const { events } = recorder;
  const { settings, perTable } = postData;
  await using session = await openSessionWithRetry(target, { signal, events });
  const partitioned = await partitionedTables(session);
  const indexes = new IndexBuilder({
    target,
    targetMajor,
    groups: perTable.map((group) => ({
      ...group,
      partitioned: partitioned.has(tableKey(group.table)),
    })),
    analyze: [],
    statistics: undefined,
    sessionStatements: settings,
    jobs: indexJobs,
    laterJobs: 0,
    signal,
    events,
    database: planned.source.name,
    apply: (session, statements) => schema.applyIn(session, statements),
    isDone: (statement) => ledger.isDone(statement),
    onReopened: (session) => ledger.refresh(session),
    retryDelaysMs: copy.retryDelaysMs,
  });
  for (const { table } of perTable) indexes.ready(table, assumedBytes);
  await indexes.finish();
}

function changedTables({ perTable, rest }: SchemaParts["postData"]): readonly TableName[] {
  return [
    ...perTable.map(({ table }) => table),
    ...tablesWithStatistics(rest),
    ...rest.flatMap(({ type, schema, name }) =>
      type?.startsWith("MATERIALIZED VIEW") && schema !== undefined && name !== undefined
        ? [{ schema, name }]
        : []
    ),
  ];
}

/**
 * The statements of these objects, and some more, with all settings. Objects that the source no
 * longer has are ignored.
 */
export function onlyObjects(
  { preData, postData }: SchemaParts,
  objects: readonly SetAsideObject[],
  more: readonly DumpStatement[] = [],
): SchemaParts {
  const wanted = new Set(objects.map(({ object }) => object));
  const also = new Set(more);
  const some = (statements: readonly DumpStatement[]) =>
    statements.filter((statement) =>
      statement.type === undefined || also.has(statement) ||
      wanted.has(describeStatement(statement))
    );
  const { perTable, attach, foreignKeys, rest, eventTriggers } = postData;
  return {
    preData: some(preData),
    postData: {
      ...postData,
      perTable: perTable.map((group) => ({ ...group, statements: some(group.statements) }))
        .filter(({ statements }) => statements.some(({ type }) => type !== undefined)),
      attach: some(attach),
      foreignKeys: some(foreignKeys).filter(({ type }) => type !== undefined),
      rest: some(rest),
      eventTriggers: some(eventTriggers),
    },
  };
}

/** The settings at the beginning of a section. */
export function settingsOf(statements: readonly DumpStatement[]): readonly DumpStatement[] {
  const end = statements.findIndex(({ type }) => type !== undefined);
  return end < 0 ? statements : statements.slice(0, end);
}

/** Warns that a copy is complete except for some objects; the report lists them. */
export function reportSetAside(
  objects: readonly SetAsideObject[],
  { target, events }: { readonly target: string; readonly events: EventSink },
): void {
  const counted = objects.filter(({ attribute }) => attribute === undefined);
  if (counted.length === 0) return;
  for (const { object, reason } of counted) {
    events({ kind: "info", message: `${object} of ${target} could not be created: ${reason}` });
  }
  events({
    kind: "warning",
    side: "target",
    object: `database ${target}`,
    message: `complete except for ${plural(counted.length, "object")}: ${
      counted.slice(0, 5).map(({ object }) => object).join(", ")
    }${counted.length > 5 ? ", …" : ""}`,
    remedy: "the report has the reason and the remedy for each; then run the same command again, " +
      "which creates only what is missing",
  });
}
