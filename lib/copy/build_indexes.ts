/**
 * Builds indexes, keys and statistics, several at the same time, of each table once its rows are
 * copied.
 *
 * @module
 */
import { BuildSession, type BuildSessionOptions } from "./build_session.ts";
import { displayName, tableKey, type TableName } from "../core/internal.ts";
import type { DumpStatement } from "../schema/internal.ts";
import { analyzesAlone, describeBatch, maxTogether, smallTableBytes } from "./analyze.ts";
import { BuildQueue } from "./build_queue.ts";
import { type IndexPlan, planIndexes, planInOrder } from "./index_plan.ts";

/** The indexes and keys of one table, in the order of the dump. */
export interface IndexGroup {
  readonly table: TableName;
  readonly statements: readonly DumpStatement[];
  /** Whether the table has partitions. */
  readonly partitioned: boolean;
}

/** A table that gets statistics, and its topmost partitioned table. */
export type AnalyzedTable = TableName & { readonly partitionRoot?: TableName | undefined };

/** A partitioned table with incomplete partitions. */
interface PartitionRoot {
  readonly table: TableName;
  partitionsLeft: number;
  bytes: number;
}

/** What is built, and how. */
export interface BuildIndexesOptions extends Omit<BuildSessionOptions, "sessions"> {
  readonly targetMajor: number;
  readonly groups: readonly IndexGroup[];
  /**
   * Tables that are analyzed after their indexes are built; each must be passed to {@linkcode
   * IndexBuilder.ready}.
   */
  readonly analyze: readonly AnalyzedTable[];
  /** Indexes built at the same time, over all tables. */
  readonly jobs: number;
  /** Sessions that {@linkcode IndexBuilder.grow} may add; they share the memory. */
  readonly laterJobs: number;
  /**
   * Whether an earlier attempt has executed a statement; `apply` skips it.
   */
  readonly isDone: (statement: DumpStatement) => boolean;
}

/** An index to build, the statements after a table's indexes, or its statistics. */
interface BuildItem {
  readonly kind: "build" | "finish" | "analyze";
  readonly group: GroupState;
  readonly statements: readonly DumpStatement[];
  /** Set for a partition that is analyzed separately. */
  readonly root?: PartitionRoot;
}

interface GroupState {
  readonly table: TableName;
  readonly bytes: number;
  readonly finish: readonly DumpStatement[];
  /**
   * Whether it shares a message with other small ones: each takes no time itself, but a round trip.
   */
  readonly small: boolean;
  readonly analyze: boolean;
  buildsLeft: number;
}

/**
 * Builds indexes as tables become ready, and analyzes each table after its indexes are built.
 *
 * States: accepting tables ({@linkcode ready}) → ended, when `done` settles: with the first error,
 * or after all groups and all tables to analyze were passed and processed.
 */
export class IndexBuilder {
  readonly #options: BuildIndexesOptions;
  readonly #queue = new BuildQueue<BuildItem>();
  readonly #groups: ReadonlyMap<string, IndexGroup>;
  /** By `tableKey`; with the root of those that are partitions. */
  readonly #toAnalyze: ReadonlyMap<string, PartitionRoot | undefined>;
  readonly #analyzed = new Set<string>();
  readonly #ended = new AbortController();
  readonly #signal: AbortSignal;
  readonly #done = Promise.withResolvers<void>();
  readonly #total: number;
  /** Builders that are allowed, that have started, and that have not ended. */
  #allowed: number;
  #started = 0;
  #running = 0;
  #built = 0;
  #tablesLeft: number;
  /** Tables that were not passed to {@linkcode IndexBuilder.ready} yet. */
  #tablesAwaited: number;
  /** Indexes that are being built. */
  #building = 0;

  constructor(options: BuildIndexesOptions) {
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#ended.signal]);
    this.#groups = new Map(options.groups.map((group) => [tableKey(group.table), group]));
    this.#toAnalyze = withRoots(options.analyze);
    this.#tablesLeft = new Set([...this.#groups.keys(), ...this.#toAnalyze.keys()]).size;
    this.#tablesAwaited = this.#tablesLeft;
    this.#total = options.groups.reduce((sum, { statements }) => sum + statements.length, 0);
    this.#allowed = options.jobs;
    this.#done.promise.catch(() => {}); // awaited by finish(); the caller may still be copying
    this.#signal.addEventListener("abort", () => {
      this.#queue.close();
      if (this.#running === 0) this.#done.reject(this.#signal.reason);
    }, { once: true });
    if (this.#tablesLeft === 0) this.#done.resolve();
  }

  /**
   * Rejects when a statement has failed; resolves when all tables were passed and processed.
   */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  /** Tables that were analyzed, or could not be, by `tableKey`. */
  get analyzed(): ReadonlySet<string> {
    return this.#analyzed;
  }

  /** The rows of a table are copied. */
  ready(table: TableName, bytes: number): void {
    const key = tableKey(table);
    const { statements, partitioned } = this.#groups.get(key) ??
      { statements: [], partitioned: false };
    const analyze = this.#toAnalyze.has(key);
    if (statements.length === 0 && !analyze) return;
    this.#tablesAwaited--;
    const small = bytes < smallTableBytes;
    const { builds, finish } = this.#plan(statements, { partitioned, small });
    const group = { table, bytes, finish, small, analyze, buildsLeft: builds.length };
    for (const statements of builds) this.#push({ kind: "build", group, statements });
    if (builds.length === 0) this.#pushFinish(group);
  }

  /** Follows an earlier attempt, for which the table may have had another size. */
  #plan(
    statements: readonly DumpStatement[],
    { partitioned, small }: { readonly partitioned: boolean; readonly small: boolean },
  ): IndexPlan {
    const { isDone } = this.#options;
    const inOrder = planInOrder(statements);
    const sideBySide = planIndexes(statements, { partitioned });
    const own = [...sideBySide.builds.flat(), ...sideBySide.finish];
    const begun = (some: readonly DumpStatement[], other: readonly DumpStatement[]) => {
      const shared = new Set(other.map(({ sql }) => sql));
      return some.some((statement) => !shared.has(statement.sql) && isDone(statement));
    };
    if (begun(own, inOrder.finish)) return sideBySide;
    return small || begun(inOrder.finish, own) ? inOrder : sideBySide;
  }

  /** Allows further sessions, after copy workers have ended. */
  grow(sessions: number): void {
    this.#allowed += sessions;
    this.#startBuilders();
  }

  /**
   * Resolves with the number of statements when everything is built. A table that was never
   * reported ready would keep it waiting.
   */
  async finish(): Promise<number> {
    await this.#done.promise;
    return this.#total;
  }

  #push(item: BuildItem): void {
    this.#queue.push(item, weightOf(item));
    this.#startBuilders();
  }

  #pushFinish(group: GroupState): void {
    if (group.finish.length > 0) {
      this.#push({ kind: "finish", group, statements: group.finish });
    } else this.#pushAnalyze(group);
  }

  #pushAnalyze(group: GroupState): void {
    if (!group.analyze) return this.#tableDone();
    const root = this.#toAnalyze.get(tableKey(group.table));
    if (root === undefined) return this.#push({ kind: "analyze", group, statements: [] });
    if (this.#options.targetMajor >= analyzesAlone) {
      return this.#push({ kind: "analyze", group, statements: [], root });
    }
    // ANALYZE of a partitioned table reads its partitions; analyzing them too would read them twice
    this.#analyzed.add(tableKey(group.table));
    this.#partitionDone(group, root);
  }

  /** After the last partition, its partitioned table is analyzed. */
  #partitionDone(group: GroupState, root: PartitionRoot): void {
    root.bytes += group.bytes;
    if (--root.partitionsLeft > 0) return this.#tableDone();
    const { table, bytes } = root;
    this.#push({
      kind: "analyze",
      group: { ...group, table, bytes, small: false },
      statements: [],
    });
  }

  #tableDone(): void {
    if (--this.#tablesLeft === 0) this.#queue.close();
  }

  /** Sessions are opened while items wait. */
  #startBuilders(): void {
    while (this.#started < this.#allowed && this.#queue.size > 0 && !this.#signal.aborted) {
      this.#running++;
      this.#work(++this.#started)
        .catch((error) => this.#ended.abort(error))
        .finally(() => {
          if (--this.#running > 0) return;
          if (this.#signal.aborted) this.#done.reject(this.#signal.reason);
          else this.#done.resolve(); // builders end when the queue is closed
        });
    }
  }

  async #work(builder: number): Promise<void> {
    const { jobs, laterJobs } = this.#options;
    await using session = new BuildSession({
      ...this.#options,
      sessions: jobs + laterJobs,
      signal: this.#signal,
    });
    for (
      let item = await this.#queue.take();
      item !== undefined;
      item = await this.#queue.take()
    ) {
      this.#signal.throwIfAborted();
      const startedAtMs = performance.now();
      const together = this.#withOthers(item);
      if (item.kind === "build") {
        const alone = this.#isLastBuild();
        this.#building++;
        await session.build(item.statements, { alone });
        this.#building--;
      } else if (item.kind === "analyze") {
        const tables = together.map(({ group }) => group.table);
        // a failure is reported once
        for (const table of tables) this.#analyzed.add(tableKey(table));
        await session.analyze(tables);
      } else await session.build(together.flatMap(({ statements }) => statements));
      this.#reportFinished(together, { worker: builder, startedAtMs });
      for (const finished of together) this.#next(finished);
    }
  }

  /** Whether nothing else will need the server's memory and workers while an index is built. */
  #isLastBuild(): boolean {
    return this.#tablesAwaited === 0 && this.#building === 0 && this.#queue.size === 0;
  }

  /** The item; for a small table also waiting items of other small tables. */
  #withOthers(item: BuildItem): readonly BuildItem[] {
    const together = [item];
    for (let count = sizeOf(item); item.group.small && count < maxTogether;) {
      const next = this.#queue.takeIf(({ kind, group }) => group.small && kind === item.kind);
      if (next === undefined) break;
      together.push(next);
      count += sizeOf(next);
    }
    return together;
  }

  #next({ kind, group, root }: BuildItem): void {
    if (kind === "build") {
      if (--group.buildsLeft === 0) this.#pushFinish(group);
    } else if (kind === "finish") this.#pushAnalyze(group);
    else if (root !== undefined) this.#partitionDone(group, root);
    else this.#tableDone();
  }

  #reportFinished(
    items: readonly BuildItem[],
    { worker, startedAtMs }: { readonly worker: number; readonly startedAtMs: number },
  ): void {
    const { events, database } = this.#options;
    this.#built += items.reduce((sum, { statements }) => sum + statements.length, 0);
    const label = describeWork(items);
    events({
      kind: "work-finished",
      database,
      work: items[0]?.kind === "analyze" ? "analyze" : "index",
      lane: worker,
      label,
      startedAtMs,
      ms: performance.now() - startedAtMs,
    });
    events({
      kind: "step-progress",
      step: "indexes",
      database,
      done: Math.min(this.#built, this.#total),
      total: this.#total,
      current: label,
    });
  }
}

function withRoots(
  tables: readonly AnalyzedTable[],
): ReadonlyMap<string, PartitionRoot | undefined> {
  const roots = new Map<string, PartitionRoot>();
  return new Map(tables.map((table) => {
    const { partitionRoot } = table;
    if (partitionRoot === undefined) return [tableKey(table), undefined];
    const key = tableKey(partitionRoot);
    const root = roots.get(key) ?? { table: partitionRoot, partitionsLeft: 0, bytes: 0 };
    roots.set(key, root);
    root.partitionsLeft++;
    return [tableKey(table), root];
  }));
}

/**
 * First the statements that finish a table, which take no time; then the largest; last statistics.
 */
function weightOf({ kind, group: { bytes } }: BuildItem): number {
  if (kind === "build") return bytes;
  return kind === "finish" ? bytes + Number.MAX_SAFE_INTEGER : bytes - Number.MAX_SAFE_INTEGER;
}

function sizeOf({ kind, statements }: BuildItem): number {
  return kind === "analyze" ? 1 : statements.length;
}

function describeWork(items: readonly BuildItem[]): string {
  const [first] = items;
  if (first?.kind === "analyze") return describeBatch(items.map(({ group }) => group.table));
  if (first === undefined || items.length > 1) return `indexes of ${items.length} small tables`;
  if (first.kind === "finish") return `keys of ${displayName(first.group.table)}`;
  return first.statements.find(({ type }) => type !== undefined)?.name ??
    displayName(first.group.table);
}
