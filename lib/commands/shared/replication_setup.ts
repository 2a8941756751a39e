/**
 * Replication of one database that `init` copies: started before its rows are read, handed over
 * after they are copied.
 *
 * @module
 */
import { accessTo, selectRows } from "./replicated_rows.ts";
import { EarlierStreams, type EarlierStreamsOptions } from "./earlier_streams.ts";
import {
  errorMessage,
  formatLsn,
  plural,
  tableKey,
  type TableName,
  type WarningEvent,
} from "../../core/internal.ts";
import { type Endpoint, openSessionWithRetry, type Session } from "../../postgres/internal.ts";
import {
  exportLockedSnapshot,
  type LockedSnapshot,
  type LockOptions,
} from "../../copy/internal.ts";
import { listTables, type Table } from "../../catalog/internal.ts";
import {
  abandonStream,
  type ApplierKind,
  describeScope,
  handOver,
  type PublishedRows,
  readDatabaseRef,
  type ReplicationNames,
  type ReplicationScope,
  type ReplicationStream,
  scopeHash,
  startStream,
  type StreamStart,
} from "../../replication/internal.ts";
import { sameAsExisting } from "./choose_applier.ts";
import { catchUpApplying } from "./take_over.ts";

/** What is replicated. */
export interface ReplicationSetupOptions extends EarlierStreamsOptions {
  /** A session on the target's server. */
  readonly targetServer: Session;
  /** What will apply the changes; earlier streams keep what they have. */
  readonly applier: ApplierKind;
  /** Whether the database on the target is dropped and recreated, with its subscriptions. */
  readonly replaces: boolean;
}

/**
 * States: idle → begun ({@linkcode begin}) → following ({@linkcode handOver}) → caught up
 * ({@linkcode catchUp}); or given up ({@linkcode giveUp}), which leaves only what a later run
 * resumes from.
 *
 * A resumed run has a new snapshot, and so a new slot for the tables that are not copied yet;
 * copied tables stay with the slot that they were copied under. In the end each slot has its
 * subscription.
 */
export class ReplicationSetup {
  readonly #options: ReplicationSetupOptions;
  #start: StreamStart | undefined;
  /** Streams of tables that an earlier run has copied. */
  #earlier: readonly ReplicationStream[] = [];
  #kind: ApplierKind;
  #started = false;

  constructor(options: ReplicationSetupOptions) {
    this.#options = options;
    this.#kind = options.applier;
  }

  get #database(): string {
    return this.#options.source.database;
  }

  /**
   * Replaces `exportLockedSnapshot`.
   *
   * @param finished tables that an earlier run has copied completely
   */
  async begin(
    lock: LockOptions,
    finished: readonly TableName[] = [],
  ): Promise<LockedSnapshot> {
    const { source, sync, rules, recorder } = this.#options;
    const { signal, select } = lock;
    const scope = await this.#scope();
    const hash = await scopeHash(scope);
    const earlier = new EarlierStreams(this.#options);
    if (this.#options.replaces) await earlier.unsubscribe(hash);
    const { streams, kept } = await earlier.keep(hash, finished);
    this.#kind = sameAsExisting(kept.flatMap(({ applier }) => applier ?? []), sync) ??
      this.#options.applier;
    this.#earlier = kept;
    this.#started = true;
    const done = new Set(finished.map((table) => tableKey(table)));
    const withRows = async (session: Session, tables: readonly Table[]) => {
      const selection = await selectRows(session, tables, rules);
      return {
        ...selection,
        tables: selection.tables.filter((table) => !done.has(tableKey(table))),
      };
    };
    if (done.size > 0 && await this.#isAllDone(lock, withRows)) {
      return await exportLockedSnapshot(source, lock);
    }
    this.#start = await recorder.step(() =>
      startStream(source, {
        scope,
        epoch: Math.max(0, ...streams.map(({ epoch }) => epoch)) + 1,
        policy: sync.identity,
        kind: this.#kind,
        remembered: streams.flatMap(({ scopeComment }) => scopeComment?.changedIdentities ?? []),
        slotTimeoutMs: sync.slotTimeoutMs,
        failover: sync.failover,
        createdAt: sync.now,
        events: recorder.events,
        signal,
        select,
        withRows,
      }), {
      step: "slot",
      database: this.#database,
      summarize: ({ published, consistentPoint }) =>
        `${plural(published.length, "table")} published, from ${formatLsn(consistentPoint)}`,
    });
    return this.#start;
  }

  async #isAllDone(
    { select }: LockOptions,
    withRows: (session: Session, tables: readonly Table[]) => Promise<PublishedRows>,
  ): Promise<boolean> {
    await using session = await this.#open(this.#options.source);
    const all = await listTables(session);
    const { tables } = await withRows(session, await (select?.(session, all) ?? all));
    return tables.length === 0;
  }

  async #scope(): Promise<ReplicationScope> {
    const { source, target, targetServer, rules } = this.#options;
    await using session = await this.#open(source);
    return {
      source: await readDatabaseRef(session),
      target: { ...await readDatabaseRef(targetServer), database: target.database },
      rules,
    };
  }

  /** Called when everything is on the target. Can be repeated after an interruption. */
  async handOver(): Promise<void> {
    const { source, target, sync, rules, recorder, signal } = this.#options;
    if (!this.#started) return;
    await using from = await this.#open(source);
    await using to = await this.#open(target);
    const all = await listTables(from);
    const common = {
      source: from,
      target: to,
      kind: this.#kind,
      predicateOf: (await selectRows(from, all, rules)).predicateOf,
      access: accessTo(source, sync),
      copiedAt: sync.now,
      signal,
      events: recorder.events,
    };
    await recorder.step(async () => {
      for (const { name, epoch, publication, scopeComment } of this.#earlier) {
        const listed = new Set(publication?.tables.map((table) => tableKey(table)));
        await using _applier = await handOver({
          ...common,
          names: { slot: name, publication: name, subscription: name },
          scopeComment: scopeComment ??
            await describeScope(await this.#scope(), {
              epoch,
              createdAt: sync.now,
              changedIdentities: [],
            }),
          published: all.filter((table) => listed.has(tableKey(table))),
        });
      }
      if (this.#start === undefined) return;
      await using _applier = await handOver({ ...common, ...this.#start });
    }, {
      step: "subscription",
      database: this.#database,
      summarize: () => this.#names.join(", "),
    });
  }

  get #names(): readonly string[] {
    return [
      ...this.#earlier.map(({ name }) => name),
      ...(this.#start === undefined ? [] : [this.#start.names.subscription]),
    ];
  }

  /** Waits until the target has everything that is committed on the source now. */
  async catchUp(): Promise<void> {
    const { source, target, recorder, signal } = this.#options;
    const subscriptions = this.#names;
    if (subscriptions.length === 0) return;
    await recorder.step(
      () => catchUpApplying({ source, target, subscriptions, signal, events: recorder.events }),
      {
        step: "catch-up",
        database: this.#database,
        summarize: (lsn) => `streaming, applied up to ${formatLsn(lsn)}`,
      },
    );
    if (this.#kind === "client") {
      recorder.events({
        kind: "warning",
        side: "target",
        object: `database ${target.database}`,
        message:
          "this tool applies the changes, and no longer does when init ends: the source retains WAL until sync runs",
        remedy: "run sync with the same servers now, and keep it running",
      });
    }
  }

  /**
   * Called when the copy has failed: drops the slot, whose WAL would fill the source's disk, unless
   * a later run can resume what was copied under it.
   *
   * @returns warnings that hold unless the run itself tries again
   */
  async giveUp(hasRows: boolean): Promise<readonly WarningEvent[]> {
    const { source } = this.#options;
    const kept = this.#earlier.map(({ name }) => name);
    const start = this.#start;
    if (start !== undefined && hasRows) kept.push(start.names.slot);
    else if (start !== undefined) await this.#abandon(start.names);
    if (kept.length === 0) return [];
    return [{
      kind: "warning",
      side: "source",
      object: `database ${source.database}`,
      message: `${plural(kept.length, "slot")} of the source ${
        kept.length === 1 ? "remains and retains" : "remain and retain"
      } WAL until the copy is resumed: ${kept.join(", ")}`,
      remedy: "run the same command again soon, or cleanup to remove the slot",
    }];
  }

  async #abandon(names: ReplicationNames): Promise<void> {
    const { source, recorder } = this.#options;
    try {
      await abandonStream(source, names);
      recorder.events({
        kind: "info",
        message: `slot and publication ${names.slot} of ${this.#database} were dropped`,
      });
    } catch (error) {
      recorder.events({
        kind: "warning",
        side: "source",
        object: `slot ${names.slot}`,
        message: `it could not be dropped, and retains WAL on the source: ${errorMessage(error)}`,
        remedy: "run cleanup when the source is reachable again",
      });
    }
  }

  #open(endpoint: Endpoint): Promise<Session> {
    const { signal, recorder } = this.#options;
    return openSessionWithRetry(endpoint, { signal, events: recorder.events });
  }
}
