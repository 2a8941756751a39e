/**
 * Compares the rows of one database.
 *
 * @module
 */
import type { RepairMode } from "../config/internal.ts";
import { type EventSink, ownSchemas, plural, tableKey } from "../core/internal.ts";
import { listProviderSchemasOfTarget, readEncoding } from "../catalog/internal.ts";
import { type Endpoint, openSession } from "../postgres/internal.ts";
import type { Consequences, TableScope } from "../rules/internal.ts";
import { compareTables } from "./compare_tables.ts";
import { hashSample } from "./scan/digest.ts";
import { Follower } from "./live/follower.ts";
import type { VerifyJournal } from "./journal.ts";
import { compareLargeObjects } from "./large_objects.ts";
import { planComparisons } from "./plan/plan_comparisons.ts";
import { type ComparedRelation, readRelations } from "./plan/relations.ts";
import { Repairer } from "./repair/repairer.ts";
import type { NotChecked, VerifiedSection, VerifiedTable } from "./report/report.ts";

/** Options of {@linkcode compareRows}. */
export interface CompareRowsOptions {
  /** The database to compare. */
  readonly source: Endpoint;
  /** The target. */
  readonly target: Endpoint;
  /** What is in scope. */
  readonly scope: TableScope;
  /** What rules leave out, with everything that depends on it. */
  readonly consequences: Consequences;
  /** How many run at the same time. */
  readonly jobs: number;
  /** Maximum number of differing rows listed per table. */
  readonly maxDiffs: number;
  /** Whether the report may contain values. */
  readonly showValues: boolean;
  /** What is done about differences. */
  readonly repair: RepairMode;
  /** Results of an interrupted run, to which this run appends. */
  readonly journal: VerifyJournal | undefined;
  /** Ends the work; the promise then rejects with its reason. */
  readonly signal: AbortSignal;
  /** Receives progress and warnings. */
  readonly events: EventSink;
}

/** The result of {@linkcode compareRows}. */
export interface ComparedRows {
  /** The tables. */
  readonly tables: readonly VerifiedTable[];
  /** Large objects, if any exist. */
  readonly sections: readonly VerifiedSection[];
  /** What was not compared, and why. */
  readonly notChecked: readonly Omit<NotChecked, "database">[];
  /** Whether a subscription on the target follows the source. */
  readonly live: boolean;
  /** Rows repaired (or to be repaired), and with `print` the statements. */
  readonly repaired: { readonly rows: number; readonly statements: readonly string[] };
}

function without(
  schemas: readonly string[],
  relations: readonly ComparedRelation[],
): readonly ComparedRelation[] {
  return relations.filter(({ schema }) => !schemas.includes(schema));
}

/** Compares the rows of all tables in scope. */
export async function compareRows(options: CompareRowsOptions): Promise<ComparedRows> {
  const { source, target, scope, consequences, signal } = options;
  await using onSource = await openSession(source, { signal });
  await using onTarget = await openSession(target, { signal });
  await using stack = new AsyncDisposableStack();
  const found = await Follower.find(options);
  const follower = found === undefined ? undefined : stack.use(found);
  const repairer = options.repair === "no" ? undefined : stack.use(
    new Repairer({ source, target, writes: options.repair === "follow", follower, signal }),
  );
  const reserved = await listProviderSchemasOfTarget({ source: onSource, target: onTarget });
  const plan = planComparisons({
    source: without(ownSchemas, await readRelations(onSource)),
    target: without([...ownSchemas, ...reserved], await readRelations(onTarget)),
    decide: (table) => scope.decide(table),
    leftOut: new Set(consequences.relations.map(tableKey)),
    live: follower !== undefined,
    encodings: { source: await readEncoding(onSource), target: await readEncoding(onTarget) },
  });
  const samples = await Promise.all(
    [onSource, onTarget].map((session) => session.queryOne<{ hashes: string }>(hashSample)),
  );
  const compared = await compareTables({
    ...options,
    comparisons: plan.comparisons,
    method: samples[0]?.hashes === samples[1]?.hashes ? "hash" : "md5",
    follower,
    repairer,
  });
  const largeObjects = await compareLargeObjects(
    { source: onSource, target: onTarget },
    {
      maxDiffs: options.maxDiffs,
      live: follower !== undefined,
      onProgress: (done) =>
        options.events({
          kind: "info",
          message: `${source.database}: ${plural(done, "large object")} compared`,
        }),
    },
  );
  return {
    sections: largeObjects === undefined ? [] : [largeObjects],
    tables: [...plan.decided, ...compared.tables],
    notChecked: [
      ...reserved.map((schema) => ({
        what: `schema ${schema}`,
        reason: "it exists only on the target and belongs to its provider",
        failed: false,
      })),
      ...plan.notChecked,
      ...compared.notChecked,
    ],
    live: follower !== undefined,
    repaired: { rows: repairer?.rows ?? 0, statements: repairer?.statements ?? [] },
  };
}
