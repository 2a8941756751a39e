/**
 * A target that follows its source by logical replication.
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
import { readSlots, readSubscriptions, waitForLsn } from "../../replication/internal.ts";

/** What {@linkcode Follower.find} takes. */
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
 * The end of the source's WAL. Not `pg_current_wal_lsn()`: what was committed with
 * `synchronous_commit = off` is visible before it is written.
 */
export async function readInsertPosition(session: Session): Promise<Lsn | undefined> {
  const { lsn } = await session.queryOne<{ lsn: string | null }>(insertPosition);
  return lsn === null ? undefined : parseLsn(lsn);
}

/**
 * Enabled subscriptions of the target that read slots of the source's database; open until
 * disposed.
 */
export class Follower implements AsyncDisposable {
  readonly subscriptions: readonly string[];
  readonly #tables: ReadonlySet<string>;
  readonly #sessions: { readonly source: Session; readonly target: Session };
  readonly #options: FollowerOptions;
  #applied: Lsn = 0n;
  #turn: Promise<void> = Promise.resolve();

  private constructor(found: {
    readonly subscriptions: readonly string[];
    readonly tables: ReadonlySet<string>;
    readonly sessions: { readonly source: Session; readonly target: Session };
    readonly options: FollowerOptions;
  }) {
    this.subscriptions = found.subscriptions;
    this.#tables = found.tables;
    this.#sessions = found.sessions;
    this.#options = found.options;
  }

  /** Looks for subscriptions; undefined where the target follows nobody, or somebody else. */
  static async find(options: FollowerOptions): Promise<Follower | undefined> {
    const { signal } = options;
    await using stack = new AsyncDisposableStack();
    const source = stack.use(await openSession(options.source, { signal }));
    const target = stack.use(await openSession(options.target, { signal }));
    const enabled = (await readSubscriptions(target)).filter((each) => each.enabled);
    const slots = await readSlots(source, enabled.flatMap(({ slotName }) => slotName ?? []));
    const database = options.source.database;
    const ours = enabled.filter(({ slotName }) =>
      slots.some((slot) => slot.name === slotName && slot.database === database)
    );
    if (ours.length === 0) return undefined;
    const tables = await target.query<{ schema: string; name: string }>(tablesStatement, [
      `{${ours.map(({ oid }) => oid).join(",")}}`,
    ]);
    stack.move();
    return new Follower({
      subscriptions: ours.map(({ name }) => name),
      tables: new Set(tables.map(tableKey)),
      sessions: { source, target },
      options,
    });
  }

  /** Whether the table's changes come. */
  follows(table: TableName): boolean {
    return this.#tables.has(tableKey(table));
  }

  /**
   * Resolves when everything up to the position is visible on the target. One waits at a time; a
   * later one often need not.
   */
  async reach(lsn: Lsn): Promise<void> {
    const turn = this.#turn.then(async () => {
      if (this.#applied >= lsn) return;
      await waitForLsn({
        ...this.#sessions,
        subscriptions: this.subscriptions,
        lsn,
        signal: this.#options.signal,
        events: this.#options.events,
      });
      this.#applied = lsn;
    });
    this.#turn = turn.catch(() => {}); // whoever waits behind finds out for himself
    await turn;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#turn;
    await Promise.all([this.#sessions.source.close(), this.#sessions.target.close()]);
  }
}

// a partitioned table stands for its partitions, and a partition for those above it
const tablesStatement = `
  WITH RECURSIVE subscribed (oid) AS (
    SELECT srrelid FROM pg_catalog.pg_subscription_rel WHERE srsubid = ANY ($1::pg_catalog.oid[])
    UNION
    SELECT i.inhrelid FROM subscribed
      JOIN pg_catalog.pg_inherits AS i ON i.inhparent = subscribed.oid
      JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid AND c.relispartition
  )
  SELECT n.nspname AS schema, c.relname AS name
    FROM subscribed
    JOIN pg_catalog.pg_class AS c ON c.oid = subscribed.oid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace`;
