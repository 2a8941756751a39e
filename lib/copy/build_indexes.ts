/**
 * Indexes and keys, several tables at once, each beginning the moment its table's rows are in.
 *
 * @module
 */
import { displayName, type EventSink, runConcurrently, type TableName } from "../core/mod.ts";
import { type Endpoint, openSession, retry } from "../postgres/mod.ts";
import type { DumpStatement } from "../schema/mod.ts";
import { BuildQueue } from "./build_queue.ts";

/** The indexes and keys of one table, in the order of the dump. */
export interface IndexGroup {
  readonly table: TableName;
  readonly statements: readonly DumpStatement[];
}

/** What is built, where, and who is told. */
export interface BuildIndexesOptions {
  readonly target: Endpoint;
  readonly groups: readonly IndexGroup[];
  /** Tables worked on at once. */
  readonly jobs: number;
  readonly signal: AbortSignal;
  readonly events: EventSink;
  /** Database, as events name it. */
  readonly database: string;
  /** Applies the statements of one group; throws an error that names the object. */
  readonly apply: (
    session: Awaited<ReturnType<typeof openSession>>,
    statements: readonly DumpStatement[],
  ) => Promise<void>;
}

/**
 * Builds groups as they become ready.
 *
 * States: waiting for tables ({@linkcode ready} adds, {@linkcode finish} closes) → ended, when `done` settles: with
 * the first error, or when every group has been built.
 */
export class IndexBuilder {
  readonly #options: BuildIndexesOptions;
  readonly #queue = new BuildQueue<IndexGroup>();
  readonly #groups: ReadonlyMap<string, IndexGroup>;
  readonly #done: Promise<void>;
  #built = 0;

  constructor(options: BuildIndexesOptions) {
    this.#options = options;
    this.#groups = new Map(options.groups.map((group) => [keyOf(group.table), group]));
    const workers = Math.min(options.jobs, options.groups.length);
    this.#done = runConcurrently(
      Array.from({ length: workers }),
      (_, signal) => this.#work(signal),
      {
        limit: workers,
        signal: options.signal,
      },
    );
    this.#done.catch(() => {}); // awaited by finish(); the caller may still be copying
  }

  /** Rejects when building has failed; never resolves before {@linkcode finish}. */
  get done(): Promise<void> {
    return this.#done;
  }

  /** The rows of a table are in. */
  ready(table: TableName, bytes: number): void {
    const group = this.#groups.get(keyOf(table));
    if (group !== undefined) this.#queue.push(group, bytes);
  }

  /** All tables have been reported ready; resolves when everything is built. */
  async finish(): Promise<number> {
    this.#queue.close();
    await this.#done;
    return this.#options.groups.reduce((sum, { statements }) => sum + statements.length, 0);
  }

  async #work(signal: AbortSignal): Promise<void> {
    const { target, apply, events, database, groups } = this.#options;
    const stop = () => this.#queue.close();
    signal.addEventListener("abort", stop, { once: true });
    try {
      const first = await this.#queue.take();
      if (first === undefined) return;
      await using session = await retry(() => openSession(target, { signal }), { signal });
      for (
        let group: IndexGroup | undefined = first;
        group !== undefined;
        group = await this.#queue.take()
      ) {
        signal.throwIfAborted();
        await apply(session, group.statements);
        this.#built++;
        events({
          kind: "step-progress",
          step: "indexes",
          database,
          done: this.#built,
          total: groups.length,
          current: displayName(group.table),
        });
      }
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }
}

function keyOf({ schema, name }: TableName): string {
  return JSON.stringify([schema, name]);
}
