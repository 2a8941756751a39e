/**
 * Plans which relations are compared with each other, and over which columns. Pure.
 *
 * @module
 */
import { displayName, plural, tableKey, type TableName } from "../../core/internal.ts";
import type { Decision } from "../../rules/internal.ts";
import { type ComparedColumn, pairColumns } from "./columns.ts";
import type { ComparedRelation } from "./relations.ts";
import type { NotChecked, VerifiedKind, VerifiedTable } from "../report/report.ts";

/** A table that stores rows itself, and which of them are compared. */
export interface Part extends TableName {
  /** SQL conditions, all of which must be true. */
  readonly conditions: readonly string[];
  /** The condition of an extension's configuration table, including WHERE. */
  readonly extensionCondition: string | undefined;
}

/** One comparison of rows. */
export interface Comparison extends TableName {
  /** What kind it is. */
  readonly kind: VerifiedKind;
  /** The source. */
  readonly source: readonly Part[];
  /** The target. */
  readonly target: readonly Part[];
  /** The columns. */
  readonly columns: readonly ComparedColumn[];
  /** The columns that identify a row; undefined: rows are compared as a multiset. */
  readonly key: readonly ComparedColumn[] | undefined;
  /** The condition for its rows; undefined for all. */
  readonly predicate: string | undefined;
  /** How the columns differ; rows are then compared over the common columns. */
  readonly columnProblem: string | undefined;
  /** Size in bytes. */
  readonly bytes: number;
  /** The planner's estimate of its rows. */
  readonly rowEstimate: number | undefined;
  /**
   * Whether text is read as bytes (see `queryBytes`) because it may not be convertible to UTF-8.
   */
  readonly asBytes: boolean;
  /** Whether both databases have the same encoding, so that the bytes of text are comparable. */
  readonly sameEncoding: boolean;
  /** Whether rows are physically ordered by the key on both sides. */
  readonly isClustered: boolean;
}

/** The comparisons to make, and the verdicts known without one. */
export interface ComparisonPlan {
  readonly comparisons: readonly Comparison[];
  readonly decided: readonly VerifiedTable[];
  readonly notChecked: readonly Omit<NotChecked, "database">[];
}

/** Options of {@linkcode planComparisons}. */
export interface PlanOptions {
  readonly source: readonly ComparedRelation[];
  readonly target: readonly ComparedRelation[];
  /** The decision of the rules about a table; undefined for a table unknown to them. */
  readonly decide: (table: TableName) => Decision | undefined;
  /** Materialized views excluded by the rules, by `tableKey`. */
  readonly leftOut: ReadonlySet<string>;
  /** Whether a subscription follows the source. */
  readonly live: boolean;
  /** The databases' encodings: `UTF8`, `SQL_ASCII`. */
  readonly encodings: { readonly source: string; readonly target: string };
}

/** Minimum correlation at which a table counts as physically ordered. */
const minCorrelation = 0.95;

/**
 * Pairs relations by name. Partitions are compared individually if both sides have the same ones,
 * otherwise through their root table: a partitioned table may have become an ordinary one, or be
 * partitioned differently.
 */
export function planComparisons(options: PlanOptions): ComparisonPlan {
  return new Planner(options).plan();
}

class Planner {
  readonly #options: PlanOptions;
  readonly #targets: ReadonlyMap<string, ComparedRelation>;
  readonly #sources: ReadonlyMap<string, ComparedRelation>;
  readonly #consumed = new Set<string>();
  readonly #comparisons: Comparison[] = [];
  readonly #decided: VerifiedTable[] = [];
  readonly #notChecked: Omit<NotChecked, "database">[] = [];

  constructor(options: PlanOptions) {
    this.#options = options;
    this.#sources = new Map(options.source.map((each) => [tableKey(each), each]));
    this.#targets = new Map(options.target.map((each) => [tableKey(each), each]));
  }

  plan(): ComparisonPlan {
    for (const relation of this.#options.source) {
      if (relation.kind === "partitioned table" && relation.root === undefined) {
        this.#partitioned(relation);
      } else if (relation.root === undefined) this.#single(relation);
    }
    this.#extraTables();
    return {
      comparisons: this.#comparisons.toSorted((a, b) => b.bytes - a.bytes),
      decided: this.#decided,
      notChecked: this.#notChecked,
    };
  }

  #single(relation: ComparedRelation): void {
    this.#consumed.add(tableKey(relation));
    if (!this.#hasRows(relation)) return;
    const target = this.#targets.get(tableKey(relation));
    if (target === undefined) return this.#missing(relation);
    if (target.kind === "partitioned table") return this.#byRoot(relation, [relation], target);
    if (relation.kind === "materialized view" && !this.#arePopulated(relation, target)) return;
    if (target.kind === "foreign table") {
      return this.#skip(relation, "it is a foreign table on the target, which stores no rows");
    }
    this.#compare({ relation, sources: [relation], target, targets: [target] });
  }

  #arePopulated(source: ComparedRelation, target: ComparedRelation): boolean {
    if (source.isPopulated && target.isPopulated) return true;
    if (source.isPopulated !== target.isPopulated) {
      this.#decided.push({
        ...blank(source),
        verdict: "different",
        reason: source.isPopulated
          ? "it has never been refreshed on the target"
          : "it is populated only on the target",
      });
    }
    return false;
  }

  #partitioned(root: ComparedRelation): void {
    this.#consumed.add(tableKey(root));
    const leaves = this.#leavesOf(root, this.#options.source);
    for (const leaf of leaves) this.#consumed.add(tableKey(leaf));
    const inScope = leaves.filter((leaf) => this.#hasRows(leaf));
    const target = this.#targets.get(tableKey(root));
    if (target === undefined) {
      if (inScope.length > 0) this.#missing(root, inScope);
      return;
    }
    const onTarget = target.kind === "partitioned table"
      ? this.#leavesOf(target, this.#options.target)
      : [];
    const names = (relations: readonly ComparedRelation[]) =>
      new Set(relations.filter(({ kind }) => kind !== "foreign table").map(tableKey));
    const same = target.kind === "partitioned table" &&
      names(leaves).symmetricDifference(names(onTarget)).size === 0;
    if (!same) {
      if (inScope.length > 0) this.#byRoot(root, inScope, target);
      return;
    }
    for (const leaf of inScope) {
      const other = this.#targets.get(tableKey(leaf))!;
      this.#compare({ relation: leaf, sources: [leaf], target: other, targets: [other] });
    }
  }

  /** All leaf partitions of a table, at any depth. */
  #leavesOf(root: ComparedRelation, all: readonly ComparedRelation[]): readonly ComparedRelation[] {
    return all.filter((each) =>
      each.root !== undefined && tableKey(each.root) === tableKey(root) &&
      each.kind !== "partitioned table"
    );
  }

  #byRoot(
    root: ComparedRelation,
    sources: readonly ComparedRelation[],
    target: ComparedRelation,
  ): void {
    const targets = target.kind === "partitioned table"
      ? this.#leavesOf(target, this.#options.target).filter(({ kind }) => kind !== "foreign table")
      : [target];
    for (const leaf of targets) this.#consumed.add(tableKey(leaf));
    const predicates = new Set(sources.map((leaf) => this.#predicateOf(leaf)));
    const [predicate] = predicates;
    if (predicates.size > 1) {
      return this.#skip(
        root,
        "its partitions differ between the sides, and the rules filter them differently",
        true,
      );
    }
    this.#compare({ relation: root, sources, target, targets, predicate });
  }

  #compare(
    { relation, sources, target, targets, predicate = this.#predicateOf(relation) }: {
      readonly relation: ComparedRelation;
      readonly sources: readonly ComparedRelation[];
      readonly target: ComparedRelation;
      readonly targets: readonly ComparedRelation[];
      readonly predicate?: string | undefined;
    },
  ): void {
    for (const [side, relations] of [["source", sources], ["target", targets]] as const) {
      const hazard = relations.find(({ hazard }) => hazard !== undefined)?.hazard;
      if (hazard === undefined) continue;
      const reason = `${hazard} on the ${side}: any query of the table would run that function. ` +
        "Drop it there or replace the call with its value, then verify again";
      return this.#skip(relation, reason, true);
    }
    const { encodings } = this.#options;
    const sameEncoding = encodings.source === encodings.target;
    const { columns, columnProblem } = pairColumns({ source: relation, target }, {
      sameEncoding,
      isConverted: sameEncoding && encodings.source !== "UTF8",
    });
    const keyNames = relation.key ?? target.key;
    const key = keyNames?.flatMap((name) => columns.find((column) => column.name === name) ?? []);
    const part = ({ schema, name, extensionCondition }: ComparedRelation): Part => ({
      schema,
      name,
      conditions: predicate === undefined ? [] : [predicate],
      extensionCondition: extensionCondition || undefined,
    });
    this.#comparisons.push({
      schema: relation.schema,
      name: relation.name,
      kind: relation.kind === "foreign table" ? "table" : relation.kind,
      source: sources.map(part),
      target: targets.map(part),
      columns,
      key: key !== undefined && key.length === keyNames?.length ? key : undefined,
      predicate,
      columnProblem,
      bytes: sources.reduce((sum, { bytes }) => sum + bytes, 0),
      rowEstimate: sum(sources.map(({ rowEstimate }) => rowEstimate)),
      asBytes: Object.values(encodings).includes("SQL_ASCII"),
      sameEncoding,
      isClustered: [...sources, ...targets].every(({ keyCorrelation = 0 }) =>
        keyCorrelation >= minCorrelation
      ),
    });
    if (predicate !== undefined) {
      this.#notChecked.push({
        what: `rows of ${displayName(relation)} on the target that do not match the filter`,
        reason: `only rows where ${predicate} are compared`,
        failed: false,
      });
    }
  }

  /** Whether the relation's rows are in scope; if not, records why. */
  #hasRows(relation: ComparedRelation): boolean {
    if (relation.kind === "materialized view") {
      if (relation.extension !== undefined) return false;
      if (this.#options.leftOut.has(tableKey(relation))) {
        this.#skip(relation, "excluded by the rules");
        return false;
      }
      if (!this.#options.live) return true;
      this.#skip(relation, "materialized views are not replicated; each side refreshes its own");
      return false;
    }
    const decision = this.#options.decide(relation);
    if (decision === undefined) {
      // created since the rules were resolved
      this.#skip(relation, "it was created during the run", true);
      return false;
    }
    if (decision.outcome === "copied" || decision.outcome === "filtered") return true;
    this.#skip(relation, decision.reason);
    return false;
  }

  #predicateOf(relation: ComparedRelation): string | undefined {
    const decision = this.#options.decide(relation);
    return decision?.outcome === "filtered" ? decision.predicate : undefined;
  }

  #missing(relation: ComparedRelation, leaves: readonly ComparedRelation[] = [relation]): void {
    this.#decided.push({
      ...blank(relation),
      verdict: "different",
      reason: "the target has no such " +
        (relation.kind === "partitioned table"
          ? `table (${plural(leaves.length, "partition")})`
          : relation.kind === "foreign table"
          ? "table"
          : relation.kind),
      bytes: leaves.reduce((sum, { bytes }) => sum + bytes, 0),
    });
  }

  #skip(relation: ComparedRelation, reason: string, failed = false): void {
    if (failed) this.#decided.push({ ...blank(relation), verdict: "unchecked", reason });
    this.#notChecked.push({ what: `rows of ${displayName(relation)}`, reason, failed });
  }

  #extraTables(): void {
    for (const relation of this.#options.target) {
      const key = tableKey(relation);
      if (this.#consumed.has(key) || this.#sources.has(key) || relation.extension !== undefined) {
        continue;
      }
      // reported through its root table
      if (relation.root !== undefined) continue;
      this.#decided.push({
        ...blank(relation),
        verdict: "different",
        reason: "the source has no such " +
          (relation.kind === "materialized view" ? relation.kind : "table"),
      });
    }
  }
}

function blank(relation: ComparedRelation): Omit<VerifiedTable, "verdict"> {
  return {
    schema: relation.schema,
    name: relation.name,
    kind: relation.kind === "foreign table" ? "table" : relation.kind,
    bytes: relation.bytes,
    ms: 0,
    settledRows: 0,
    differences: [],
    more: false,
  };
}

function sum(numbers: readonly (number | undefined)[]): number | undefined {
  return numbers.reduce<number | undefined>(
    (total, number) => total === undefined || number === undefined ? undefined : total + number,
    0,
  );
}
