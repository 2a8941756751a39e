/**
 * Builds indexes, keys and statistics, several at the same time, of each table once its rows are
 * copied.
 *
 * @module
 */
import {
  displayName,
  type EventSink,
  ReplicatorError,
  retry,
  retryEvent,
  tableKey,
  type TableName,
} from "../core/internal.ts";
import { type Endpoint, openSessionWithRetry, type Session } from "../postgres/internal.ts";
import type { DumpStatement } from "../schema/internal.ts";
import {
  analyzesAlone,
  analyzeTogether,
  describeBatch,
  maxTogether,
  reportFailure,
  smallTableBytes,
} from "./analyze.ts";
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
export interface BuildIndexesOptions {
  readonly target: Endpoint;
  readonly targetMajor: number;
  readonly groups: readonly IndexGroup[];
  /**
   * Tables that are analyzed after their indexes are built; each must be passed to {@linkcode
   * IndexBuilder.ready}.
   */
  readonly analyze: readonly AnalyzedTable[];
  /** Settings that the dump's statements require, for every session. */
  readonly sessionStatements: readonly DumpStatement[];
  /** Indexes built at the same time, over all tables. */
  readonly jobs: number;
  /** Sessions that {@linkcode IndexBuilder.grow} may add; they share the memory. */
  readonly laterJobs: number;
  readonly signal: AbortSignal;
  readonly events: EventSink;
  /** Database, as events name it. */
  readonly database: string;
  /** Executes statements; its errors name the object. */
  readonly apply: (session: Session, statements: readonly DumpStatement[]) => Promise<void>;
  /**
   * Whether an earlier attempt has executed a statement; `apply` skips it.
   */
  readonly isDone: (statement: DumpStatement) => boolean;
  /**
   * Called with a new session after one broke: the statements under way may have been committed.
   */
  readonly onReopened: (session: Session) => Promise<void>;
  /** Pauses of a session whose connection broke; their number is the number of retries. */
  readonly retryDelaysMs: readonly number[];
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

  constructor(options: BuildIndexesOptions) {
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#ended.signal]);
    this.#groups = new Map(options.groups.map((group) => [tableKey(group.table), group]));
    this.#toAnalyze = withRoots(options.analyze);
    this.#tablesLeft = new Set([...this.#groups.keys(), ...this.#toAnalyze.keys()]).size;
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
    let session: Session | undefined;
    try {
      for (
        let item = await this.#queue.take();
        item !== undefined;
        item = await this.#queue.take()
      ) {
        this.#signal.throwIfAborted();
        const startedAtMs = performance.now();
        const together = this.#withOthers(item);
        if (item.kind === "analyze") session = await this.#analyze(session, together);
        else {
          session = await this.#build(session, together.flatMap(({ statements }) => statements));
        }
        this.#reportFinished(together, { worker: builder, startedAtMs });
        for (const finished of together) this.#next(finished);
      }
    } finally {
      await session?.close();
    }
  }

  /**
   * Retries after a broken session or a lock timeout.
   *
   * @returns the session to use from now on
   */
  async #build(
    session: Session | undefined,
    statements: readonly DumpStatement[],
  ): Promise<Session> {
    const { apply, onReopened, events, database, retryDelaysMs } = this.#options;
    let current = session;
    return await retry(async ({ retries }) => {
      try {
        if (current === undefined) {
          current = await this.#openSession();
          if (retries > 0) await onReopened(current);
        }
        await apply(current, statements);
        return current;
      } catch (error) {
        await current?.close();
        current = undefined;
        throw error;
      }
    }, {
      delaysMs: retryDelaysMs,
      signal: this.#signal,
      onRetry: (error, attempt, delayMs) =>
        events(retryEvent({ what: `building indexes of ${database}`, error, attempt, delayMs })),
    });
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

  /** Fails only if the run is aborted. @returns the session, if it is still open */
  async #analyze(
    session: Session | undefined,
    items: readonly BuildItem[],
  ): Promise<Session | undefined> {
    const { events } = this.#options;
    const signal = this.#signal;
    const tables = items.map(({ group }) => group.table);
    for (const table of tables) this.#analyzed.add(tableKey(table)); // a failure is reported once
    try {
      session ??= await this.#openSession();
      await analyzeTogether(session, tables, { signal, events });
      return session;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof ReplicatorError)) throw error;
      for (const table of tables) reportFailure(displayName(table), error, events);
      await session?.close();
      return undefined;
    }
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

  /** Its settings end with the session. */
  async #openSession(): Promise<Session> {
    const { target, jobs, laterJobs, apply, sessionStatements, events } = this.#options;
    const signal = this.#signal;
    const settings = { synchronous_commit: "off" };
    const session = await openSessionWithRetry(target, {
      signal,
      settings,
      events,
      computesValues: true,
    });
    await apply(session, sessionStatements);
    await session.query(buildSettingsStatement, [jobs + laterJobs]);
    return session;
  }
}

// Memory: an eighth of effective_cache_size, divided among the builders. Workers: those of the
// server, divided too, and none if none are configured. Never less than configured.
const buildSettingsStatement = `
  SELECT pg_catalog.set_config('maintenance_work_mem', greatest(
           (SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'maintenance_work_mem'),
           least(2097151,
             (SELECT setting::bigint * 8 FROM pg_catalog.pg_settings WHERE name = 'effective_cache_size')
               / 8 / $1::int))::pg_catalog.text || 'kB', false),
         pg_catalog.set_config('max_parallel_maintenance_workers', CASE wanted WHEN 0 THEN 0 ELSE greatest(
           wanted,
           least(pg_catalog.current_setting('max_parallel_workers')::int,
                 pg_catalog.current_setting('max_worker_processes')::int) / $1::int) END::pg_catalog.text, false)
    FROM pg_catalog.current_setting('max_parallel_maintenance_workers') AS configured (value)
   CROSS JOIN LATERAL CAST(configured.value AS int) AS wanted`;

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
