/**
 * The subscriptions, or clients of the tool, by which a target follows its source.
 *
 * @module
 */
import {
  type EventSink,
  type Lsn,
  parseLsn,
  tableKey,
  type TableName,
} from "../../core/internal.ts";
import { type Endpoint, openSession, type Session } from "../../postgres/internal.ts";
import {
  readAppliedTables,
  readApplierProgress,
  readSlots,
  waitForLsn,
} from "../../replication/internal.ts";

/** Options of {@linkcode Follower.find}. */
export interface FollowerOptions {
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly signal: AbortSignal;
  readonly events: EventSink;
}

const insertPosition = `
  SELECT (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
               ELSE pg_catalog.pg_current_wal_insert_lsn() END)::pg_catalog.text AS lsn`;

/**
 * The end of the source's WAL. `pg_current_wal_lsn()` would be too low: with `synchronous_commit =
 * off`, a commit is visible before it is written.
 */
export async function readInsertPosition(session: Session): Promise<Lsn | undefined> {
  const { lsn } = await session.queryOne<{ lsn: string | null }>(insertPosition);
  return lsn === null ? undefined : parseLsn(lsn);
}

/**
 * The enabled appliers on the target that read slots of the source's database.
 *
 * States: open → disposed.
 */
export class Follower implements AsyncDisposable {
  readonly appliers: readonly string[];
  readonly #tables: ReadonlySet<string>;
  readonly #sessions: { readonly source: Session; readonly target: Session };
  readonly #options: FollowerOptions;
  #applied: Lsn = 0n;
  #turn: Promise<void> = Promise.resolve();

  private constructor(found: {
    readonly appliers: readonly string[];
    readonly tables: ReadonlySet<string>;
    readonly sessions: { readonly source: Session; readonly target: Session };
    readonly options: FollowerOptions;
  }) {
    this.appliers = found.appliers;
    this.#tables = found.tables;
    this.#sessions = found.sessions;
    this.#options = found.options;
  }

  /** Finds the appliers; undefined if none reads from this source. */
  static async find(options: FollowerOptions): Promise<Follower | undefined> {
    const { signal } = options;
    await using stack = new AsyncDisposableStack();
    const source = stack.use(await openSession(options.source, { signal }));
    const target = stack.use(await openSession(options.target, { signal }));
    const enabled = (await readApplierProgress(target)).filter((each) => each.enabled);
    const slots = await readSlots(source, enabled.flatMap(({ slotName }) => slotName ?? []));
    const database = options.source.database;
    const following = enabled.filter(({ slotName }) =>
      slots.some((slot) => slot.name === slotName && slot.database === database)
    );
    if (following.length === 0) return undefined;
    const tables = await readAppliedTables(target, following);
    stack.move();
    return new Follower({
      appliers: following.map(({ name }) => name),
      tables: new Set(tables.map(tableKey)),
      sessions: { source, target },
      options,
    });
  }

  /** Whether changes to the table are replicated. */
  follows(table: TableName): boolean {
    return this.#tables.has(tableKey(table));
  }

  /**
   * Resolves when everything up to the position is visible on the target. Calls wait one at a time;
   * later ones often find their position already reached.
   */
  async reach(lsn: Lsn): Promise<void> {
    const turn = this.#turn.then(async () => {
      if (this.#applied >= lsn) return;
      await waitForLsn({
        ...this.#sessions,
        subscriptions: this.appliers,
        lsn,
        signal: this.#options.signal,
        events: this.#options.events,
      });
      this.#applied = lsn;
    });
    this.#turn = turn.catch(() => {}); // the next caller gets its own error
    await turn;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#turn;
    await Promise.all([this.#sessions.source.close(), this.#sessions.target.close()]);
  }
}
