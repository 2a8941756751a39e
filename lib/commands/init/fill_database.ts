/**
 * Copies the rows of one database, and builds indexes, keys and statistics of each table once its
 * rows are copied.
 *
 * @module
 */
import { joinAll, plural, tableKey } from "../../core/internal.ts";
import type { Endpoint, Session, SnapshotHolder } from "../../postgres/internal.ts";
import { readToastCompression, summarizeLargeObjects, type Table } from "../../catalog/internal.ts";
import { tablesWithStatistics } from "../../schema/internal.ts";
import {
  chooseToastMethod,
  copyLargeObjects,
  type CopyPart,
  copyTables,
  CopyThrottle,
  IndexBuilder,
  type IndexGroup,
  type LockedSnapshot,
  readPlanBounds,
  type SourceStatistics,
  toastSettings,
} from "../../copy/internal.ts";
import type { TableScope } from "../../rules/internal.ts";
import type { DatabaseReport } from "../shared/init_report.ts";
import type { DumpApplier } from "./apply_dump.ts";
import type { CopyDatabaseOptions, SchemaParts } from "./copy_options.ts";
import {
  keptTables,
  largeObjectsMark,
  type LedgerWork,
  type RunOfDatabase,
  type TableWork,
  withBefore,
} from "./ledger_work.ts";
import { explainSearchPath } from "./search_path_remedy.ts";
import { partitionedTables } from "./partitioned_tables.ts";

/** What is copied, and how. */
export interface FillDatabaseOptions extends
  Pick<
    CopyDatabaseOptions,
    | "planned"
    | "copy"
    | "indexJobs"
    | "statistics"
    | "toastCompression"
    | "sourceMajor"
    | "targetMajor"
    | "recorder"
    | "signal"
  > {
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly locked: LockedSnapshot;
  readonly postData: SchemaParts["postData"];
  readonly schema: DumpApplier;
  readonly facts: TargetFacts;
  readonly work: LedgerWork;
  readonly progress: TableWork;
  /** As the snapshot sees it; undefined if everything is copied. */
  readonly scope: TableScope | undefined;
  /** Undefined if every table is analyzed. */
  readonly carrier: SourceStatistics | undefined;
}

/** The outcome. */
export interface FilledDatabase {
  readonly tables: DatabaseReport["tables"];
  /** Tables that have their statistics, by `tableKey`. */
  readonly analyzed: ReadonlySet<string>;
}

/**
 * Copies rows and large objects, and builds indexes and keys. Tables exist and are empty, or as the
 * ledger records.
 *
 * An error of either task ends both.
 */
export async function fillDatabase(options: FillDatabaseOptions): Promise<FilledDatabase> {
  const { source, target, locked, postData, schema, work, progress, scope } = options;
  const { recorder, copy: settings, indexJobs } = options;
  const { encoding, name: database } = options.planned.source;
  const { events } = recorder;
  const { snapshot } = locked;
  const { ledger } = work;
  const ended = new AbortController();
  const signal = AbortSignal.any([options.signal, ended.signal, ledger.lost]);
  const copied = locked.tables.filter((table) => scope?.hasRows(table) ?? true);
  // analyzed later, after CREATE STATISTICS
  const later = new Set(tablesWithStatistics(postData.rest).map(tableKey));
  const { groups, targetSettings } = options.facts;
  const keyBounds = await readPlanBounds(snapshot.session, copied, settings);
  const indexes = new IndexBuilder({
    target,
    targetMajor: options.targetMajor,
    groups,
    analyze: options.statistics === "none"
      ? []
      : copied.filter((table) => !later.has(tableKey(table))),
    statistics: options.carrier,
    sessionStatements: postData.settings,
    jobs: indexJobs,
    laterJobs: settings.jobs,
    signal,
    events,
    database,
    apply: (session, statements) => schema.applyIn(session, statements),
    isDone: (statement) => ledger.isDone(statement),
    onReopened: (session) => ledger.refresh(session),
    retryDelaysMs: settings.retryDelaysMs,
  });
  indexes.done.catch((error) => ended.abort(error)); // a failed index ends the copy too
  const withRows = new Set(copied.map((table) => tableKey(table)));
  for (const { table } of postData.perTable) {
    if (!withRows.has(tableKey(table))) indexes.ready(table, 0);
  }
  const isKept = (table: Table) => progress.kept.has(tableKey(table));
  for (const table of copied.filter(isKept)) indexes.ready(table, table.bytes);
  const planning = {
    sourceMajor: options.sourceMajor,
    encoding,
    settings,
    predicateOf: (table: Table) => scope?.predicateOf(table),
    keyBounds,
  };
  try {
    await using throttle = new CopyThrottle({ source, settings, signal, events });
    const parts = await work.planParts(
      copied.filter((table) => !isKept(table)),
      { progress, planning },
    );
    reportCopied({ copied, parts, progress, recorder, database });
    const done = await recorder.step(() =>
      copyTables({
        source,
        target,
        targetSettings,
        snapshot,
        parts,
        encoding,
        settings,
        signal,
        events,
        pace: throttle.pace,
        record: ledger.partRecord(progress.generation),
        progress: {
          onPart: (part, outcome) => {
            ledger.notePart(part, outcome);
            const { schema, name } = part.table;
            recorder.copied({ database, schema, name }, outcome);
          },
          onCopied: ({ table }) => indexes.ready(table, table.bytes),
          onIdle: () => indexes.grow(1),
        },
      }), { step: "data", database, summarize: (all) => plural(all.length, "table") });
    await fillLargeObjects(options, { snapshot, signal });
    await ledger.settle();
    await recorder.step(async () => {
      const built = await indexes.finish();
      await schema.apply([...postData.settings, ...postData.attach]);
      await schema.retry(postData.settings);
      return built;
    }, {
      step: "indexes",
      database,
      summarize: (built) => plural(built, "index or key", "indexes and keys"),
    });
    const tables = [
      ...keptTables([...progress.kept.values()], { recorder, database }),
      ...done.map(({ table, rows, bytes, ms }) => {
        const earlier = progress.before(table);
        return withBefore({
          schema: table.schema,
          name: table.name,
          ...earlier,
          rows: rows + earlier.rows,
          bytes: bytes + earlier.bytes,
          ms,
        }, { recorder, database });
      }),
    ];
    return { tables, analyzed: indexes.analyzed };
  } catch (error) {
    ended.abort(error);
    await indexes.finish().catch(() => {}); // ended by the error that is thrown here
    throw await explainSearchPath(error, {
      source,
      ownPath: target.ownSearchPath === true,
      signal: options.signal,
    });
  }
}

/** Reports what earlier runs have copied, for the progress of the rest. */
function reportCopied(
  { copied, parts, progress, recorder, database }: RunOfDatabase & {
    readonly copied: readonly Table[];
    readonly parts: readonly CopyPart[];
    readonly progress: TableWork;
  },
): void {
  const kept = copied.filter((table) => progress.kept.has(tableKey(table)));
  const continued = copied.filter((table) => progress.continued.has(tableKey(table)));
  const left = sumBytes(
    parts.filter(({ table }) => progress.continued.has(tableKey(table))),
  );
  recorder.alreadyCopied({
    database,
    tables: kept.length,
    bytes: sumBytes(kept) + Math.max(0, sumBytes(continued) - left),
  });
}

function sumBytes(sized: readonly { readonly bytes: number }[]): number {
  return sized.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** What the copy depends on at the target. */
export interface TargetFacts {
  readonly groups: readonly IndexGroup[];
  /** Settings of the sessions that copy rows. */
  readonly targetSettings: Readonly<Record<string, string>>;
}

/** Reads them, once the tables exist. */
export async function readTargetFacts(
  session: Session,
  { snapshot, postData, toastCompression }:
    & Pick<FillDatabaseOptions, "postData" | "toastCompression">
    & { readonly snapshot: SnapshotHolder },
): Promise<TargetFacts> {
  const [ofSource, ofTarget, partitioned] = await joinAll([
    readToastCompression(snapshot.session),
    readToastCompression(session),
    partitionedTables(session),
  ]);
  return {
    groups: postData.perTable.map((group) => ({
      ...group,
      partitioned: partitioned.has(tableKey(group.table)),
    })),
    targetSettings: toastSettings(
      chooseToastMethod(toastCompression, { source: ofSource, target: ofTarget }),
    ),
  };
}

async function fillLargeObjects(
  { source, target, recorder, planned, work: { ledger } }: FillDatabaseOptions,
  { snapshot, signal }: { readonly snapshot: SnapshotHolder; readonly signal: AbortSignal },
): Promise<void> {
  const { events } = recorder;
  // counted under the snapshot: objects created since the plan belong to the copy
  const { count } = await summarizeLargeObjects(snapshot.session);
  if (count === 0 || ledger.isDone(largeObjectsMark)) return;
  await recorder.step(() =>
    copyLargeObjects({
      source,
      target,
      snapshot,
      count,
      signal,
      events,
      onRefused: (message, object) => events({ kind: "warning", side: "target", object, message }),
      mark: ledger.statementRecord.statement([largeObjectsMark]),
    }), {
    step: "large-objects",
    database: planned.source.name,
    summarize: (done) => plural(done, "large object"),
  });
}
