/**
 * Indexes and keys, several at once, each table's beginning the moment its rows are in.
 *
 * @module
 */
import {
  displayName,
  type EventSink,
  runConcurrently,
  tableKey,
  type TableName,
} from "../core/mod.ts";
import { type Endpoint, openSession, retry, type Session } from "../postgres/mod.ts";
import type { DumpStatement } from "../schema/mod.ts";
import { BuildQueue } from "./build_queue.ts";
import { planIndexes, planInOrder } from "./index_plan.ts";

/** The indexes and keys of one table, in the order of the dump. */
export interface IndexGroup {
  readonly table: TableName;
  readonly statements: readonly DumpStatement[];
  /** Whether the table has partitions. */
  readonly partitioned: boolean;
}

/** What is built, where, and who is told. */
export interface BuildIndexesOptions {
  readonly target: Endpoint;
  readonly groups: readonly IndexGroup[];
  /** Settings that the dump's statements count on, for every session. */
  readonly sessionStatements: readonly DumpStatement[];
  /** Indexes built at once, over all tables. */
  readonly jobs: number;
  readonly signal: AbortSignal;
  readonly events: EventSink;
  /** Database, as events name it. */
  readonly database: string;
  /** Applies statements; throws an error that names the object. */
  readonly apply: (session: Session, statements: readonly DumpStatement[]) => Promise<void>;
}

/** One index to build, or what follows when a table's indexes are there. */
interface BuildItem {
  readonly group: GroupState;
  readonly statements: readonly DumpStatement[];
  readonly last: boolean;
  /** Goes together with others of its kind in one message: far away, each costs a round trip and takes no time itself. */
  readonly small: boolean;
}

/** Tables of fewer bytes have their indexes built in order, many tables at once. */
const smallBytes = 1024 * 1024;
const togetherStatements = 100;

interface GroupState {
  readonly table: TableName;
  readonly bytes: number;
  readonly finish: readonly DumpStatement[];
  buildsLeft: number;
}

/**
 * Builds indexes as tables become ready.
 *
 * States: waiting for tables ({@linkcode ready} adds, {@linkcode finish} says that all have been) → ended, when
 * `done` settles: with the first error, or when everything has been built.
 */
export class IndexBuilder {
  readonly #options: BuildIndexesOptions;
  readonly #queue = new BuildQueue<BuildItem>();
  readonly #groups: ReadonlyMap<string, IndexGroup>;
  readonly #done: Promise<void>;
  readonly #total: number;
  #built = 0;
  #groupsLeft: number;

  constructor(options: BuildIndexesOptions) {
    this.#options = options;
    this.#groups = new Map(options.groups.map((group) => [tableKey(group.table), group]));
    this.#groupsLeft = this.#groups.size;
    this.#total = options.groups.reduce((sum, { statements }) => sum + statements.length, 0);
    const workers = Math.min(options.jobs, this.#total);
    this.#done = runConcurrently(
      Array.from({ length: workers }, (_, index) => index + 1),
      (lane, signal) => this.#work(lane, signal),
      { limit: workers, signal: options.signal },
    );
    this.#done.catch(() => {}); // awaited by finish(); the caller may still be copying
    if (this.#groupsLeft === 0) this.#queue.close();
  }

  /** Rejects when building has failed; resolves when all tables have been reported ready and are done. */
  get done(): Promise<void> {
    return this.#done;
  }

  /** The rows of a table are in. */
  ready(table: TableName, bytes: number): void {
    const group = this.#groups.get(tableKey(table));
    if (group === undefined) return;
    const small = bytes < smallBytes;
    const { builds, finish } = small
      ? planInOrder(group.statements)
      : planIndexes(group.statements, group);
    const state: GroupState = { table, bytes, finish, buildsLeft: builds.length };
    for (const statements of builds) {
      this.#queue.push({ group: state, statements, last: false, small }, bytes);
    }
    if (builds.length === 0) {
      this.#queue.push({ group: state, statements: finish, last: true, small }, bytes);
    }
  }

  /**
   * Resolves with the number of statements when everything is built. A table that was never reported ready would keep it waiting.
   */
  async finish(): Promise<number> {
    await this.#done;
    return this.#total;
  }

  async #work(lane: number, signal: AbortSignal): Promise<void> {
    const stop = () => this.#queue.close();
    signal.addEventListener("abort", stop, { once: true });
    try {
      let item = await this.#queue.take();
      if (item === undefined) return;
      await using session = await this.#openSession(signal);
      for (; item !== undefined; item = await this.#queue.take()) {
        signal.throwIfAborted();
        const startedAtMs = performance.now();
        const together = this.#withOthers(item);
        await this.#options.apply(session, together.flatMap(({ statements }) => statements));
        this.#finished(together, { lane, startedAtMs });
      }
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  /** The item, and if it is a small one further small ones that wait. */
  #withOthers(item: BuildItem): readonly BuildItem[] {
    const together = [item];
    for (let count = item.statements.length; item.small && count < togetherStatements;) {
      const next = this.#queue.takeIf(({ small }) => small);
      if (next === undefined) break;
      together.push(next);
      count += next.statements.length;
    }
    return together;
  }

  #finished(
    items: readonly BuildItem[],
    { lane, startedAtMs }: { readonly lane: number; readonly startedAtMs: number },
  ): void {
    const { events, database } = this.#options;
    this.#built += items.reduce((sum, { statements }) => sum + statements.length, 0);
    events({
      kind: "work-finished",
      database,
      work: "index",
      lane,
      label: describeWork(items),
      startedAtMs,
      ms: performance.now() - startedAtMs,
    });
    const current = items.at(-1)?.group.table;
    events({
      kind: "step-progress",
      step: "indexes",
      database,
      done: Math.min(this.#built, this.#total),
      total: this.#total,
      ...(current === undefined ? {} : { current: displayName(current) }),
    });
    for (const { group, last, small } of items) {
      if (last) {
        if (--this.#groupsLeft === 0) this.#queue.close();
      } else if (--group.buildsLeft === 0) {
        // before other tables' indexes: it takes no time and ends a table
        const item = { group, statements: group.finish, last: true, small };
        this.#queue.push(item, Number.MAX_VALUE);
      }
    }
  }

  /** Memory for sorting is set for these sessions alone, from what the server was given; ending them gives it back. */
  async #openSession(signal: AbortSignal): Promise<Session> {
    const { target, jobs, apply, sessionStatements } = this.#options;
    const session = await retry(() => openSession(target, { signal }), { signal });
    await apply(session, sessionStatements);
    await session.query(indexMemoryStatement, [jobs]);
    return session;
  }
}

// an eighth of what the planner may count on as cache, shared by the builders; never less than configured
const indexMemoryStatement = `
  SELECT set_config('maintenance_work_mem', greatest(
           (SELECT setting::bigint FROM pg_settings WHERE name = 'maintenance_work_mem'),
           least(2097151,
             (SELECT setting::bigint * 8 FROM pg_settings WHERE name = 'effective_cache_size')
               / 8 / $1::int))::text || 'kB', false)`;

function describeWork(items: readonly BuildItem[]): string {
  const [first] = items;
  if (first === undefined || items.length > 1) return `indexes of ${items.length} small tables`;
  if (first.last) return `keys of ${displayName(first.group.table)}`;
  return first.statements.find(({ type }) => type !== undefined)?.name ??
    displayName(first.group.table);
}
