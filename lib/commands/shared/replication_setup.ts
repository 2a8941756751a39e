/**
 * Replication of one database that `init` copies: started before its rows are read, handed over
 * after they are copied.
 *
 * @module
 */
import {
  errorMessage,
  ExitCode,
  formatLsn,
  plural,
  ReplicatorError,
  tableKey,
  type TableName,
} from "../../core/internal.ts";
import {
  type Endpoint,
  openSessionWithRetry,
  type Session,
  withDatabase,
} from "../../postgres/internal.ts";
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
  isCreationOrphaned,
  keepTables,
  nameSome,
  openApplier,
  parseReplicationName,
  planPublication,
  type PublishedRows,
  readApplierProgress,
  readDatabaseRef,
  readStreams,
  type ReplicationNames,
  type ReplicationScope,
  type ReplicationStream,
  scopeHash,
  type SlotState,
  startStream,
  type StreamStart,
  type SubscriptionAccess,
} from "../../replication/internal.ts";
import { catchUpApplying } from "./client_streams.ts";
import { readScope } from "./table_scope.ts";
import { sameAsExisting } from "./choose_applier.ts";
import type { ApplySettings, SyncSettings } from "./run.ts";
import type { TableRules } from "../../rules/internal.ts";
import type { Recorder } from "./recorder.ts";

/** What is replicated. */
export interface ReplicationSetupOptions {
  /** The database on the source. */
  readonly source: Endpoint;
  /** The database on the target; it may not exist yet. */
  readonly target: Endpoint;
  /** A session on the target's server. */
  readonly targetServer: Session;
  readonly rules: TableRules;
  readonly sync: SyncSettings;
  /** What will apply the changes; earlier streams keep what they have. */
  readonly applier: ApplierKind;
  /** Whether the database on the target is dropped and recreated, with its subscriptions. */
  readonly replaces: boolean;
  readonly recorder: Recorder;
  readonly signal: AbortSignal;
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
    if (this.#options.replaces) await this.#unsubscribe(hash);
    const { streams, kept } = await this.#keep(hash, finished);
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

  /**
   * Drops the tool's subscriptions, because a database with subscriptions cannot be dropped.
   * Refuses those of another scope: this run does not know their slots, which would retain WAL
   * forever.
   */
  async #unsubscribe(hash: string): Promise<void> {
    const { target, signal } = this.#options;
    await using session = await this.#open(target);
    const own = (await readApplierProgress(session)).flatMap(({ name }) => {
      const parts = parseReplicationName(name);
      return parts === undefined ? [] : [{ name, hash: parts.hash }];
    });
    const other = own.filter((subscription) => subscription.hash !== hash);
    if (other.length > 0) throw this.#hasOtherScope(other.map(({ name }) => name));
    for (const { name } of own) {
      await using applier = await openApplier(session, { name, signal });
      await applier.remove({ restoreIdentities: false });
    }
  }

  #hasOtherScope(names: readonly string[]): ReplicatorError {
    return new ReplicatorError(
      `the database already follows a source with another scope (different tables, rows or servers): ${
        names.join(", ")
      }; it was not changed`,
      {
        side: "target",
        object: `database ${this.#options.target.database}`,
        remedy:
          "run cleanup first, which also removes its slot on the source; then init --enable-sync --drop-existing again",
        exitCode: ExitCode.prerequisite,
      },
    );
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

  /**
   * Keeps copied tables in their streams, and removes the rest of earlier streams: slots of a
   * killed run would retain WAL for no consumer. Refuses slots that are in use.
   *
   * @returns all streams that existed, including removed ones: their numbers are not used again
   */
  async #keep(hash: string, finished: readonly TableName[]): Promise<{
    readonly streams: readonly ReplicationStream[];
    readonly kept: readonly ReplicationStream[];
  }> {
    const { source, target, recorder } = this.#options;
    const done = new Set(finished.map((table) => tableKey(table)));
    await using from = await this.#open(source);
    await using to = finished.length === 0 ? undefined : await this.#open(target);
    const streams = await readStreams(hash, { source: from, target: to });
    const earlier: ReplicationStream[] = [];
    for (const stream of streams) {
      const { name, slot, publication, applier } = stream;
      const kept = publication?.tables.filter((table) => done.has(tableKey(table))) ?? [];
      if (kept.length === 0 && slot?.active && !await isCreationOrphaned(from, slot)) {
        throw this.#inUse(slot);
      }
      if (kept.length === 0) {
        await abandonStream(source, { slot: name, publication: name, subscription: name });
        recorder.events({
          kind: "info",
          message: `removed slot, publication and subscription ${name} of an earlier run`,
        });
        continue;
      }
      if (
        slot === undefined || slot.walStatus === "lost" || slot.invalidationReason !== undefined
      ) {
        throw this.#slotGone(name, kept);
      }
      if (applier === undefined) await keepTables(from, stream, kept);
      earlier.push(stream);
    }
    await this.#refuseLost(from, { earlier, finished });
    const kept = (await readStreams(hash, { source: from, target: to })).filter(({ name }) =>
      earlier.some((stream) => stream.name === name)
    );
    return { streams, kept };
  }

  /**
   * Refuses copied tables that could be published but have no slot: their changes since are lost.
   */
  async #refuseLost(
    session: Session,
    { earlier, finished }: {
      readonly earlier: readonly ReplicationStream[];
      readonly finished: readonly TableName[];
    },
  ): Promise<void> {
    if (finished.length === 0) return;
    const followed = new Set(
      earlier.flatMap(({ publication }) => publication?.tables ?? []).map((table) =>
        tableKey(table)
      ),
    );
    const done = new Set(finished.map((table) => tableKey(table)));
    const { tables, predicateOf } = await selectRows(session, undefined, this.#options.rules);
    const unfollowed = tables.filter((table) =>
      done.has(tableKey(table)) && !followed.has(tableKey(table))
    );
    if (unfollowed.length === 0) return;
    const policy = this.#options.sync.identity === "full" ? "full" : "skip";
    const plan = await planPublication({ session, tables: unfollowed, predicateOf, policy });
    if (plan.tables.length > 0) throw this.#slotGone(undefined, plan.tables);
  }

  #inUse({ name, activePid }: SlotState): ReplicatorError {
    return new ReplicatorError(`the slot ${name} of this scope is in use`, {
      side: "source",
      object: `database ${this.#database}`,
      details: [`A session reads from it (pid ${activePid}).`],
      remedy:
        "another run or a subscription uses it: see status; to start over, run cleanup, which removes it",
      exitCode: ExitCode.prerequisite,
    });
  }

  #slotGone(name: string | undefined, kept: readonly TableName[]): ReplicatorError {
    return new ReplicatorError(
      `the slot${name === undefined ? "" : ` ${name}`}, under which an earlier run copied ${
        plural(kept.length, "table")
      }, is gone or lost`,
      {
        side: "source",
        object: `database ${this.#database}`,
        details: [`Changes to them since are lost: ${nameSome(kept)}`],
        remedy: "start over with init --enable-sync --no-resume",
        exitCode: ExitCode.prerequisite,
      },
    );
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
    const { source, target, sync, recorder, signal } = this.#options;
    if (!this.#started) return;
    await using from = await this.#open(source);
    await using to = await this.#open(target);
    const all = await listTables(from);
    const common = {
      source: from,
      target: to,
      kind: this.#kind,
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
   */
  async giveUp(hasRows: boolean): Promise<void> {
    const { source, recorder } = this.#options;
    const kept = this.#earlier.map(({ name }) => name);
    const start = this.#start;
    if (start !== undefined && hasRows) kept.push(start.names.slot);
    else if (start !== undefined) await this.#abandon(start.names);
    if (kept.length === 0) return;
    recorder.events({
      kind: "warning",
      side: "source",
      object: `database ${source.database}`,
      message: `${plural(kept.length, "slot")} of the source ${
        kept.length === 1 ? "remains and retains" : "remain and retain"
      } WAL until the copy is resumed: ${kept.join(", ")}`,
      remedy: "run the same command again soon, or cleanup to remove the slot",
    });
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

/** How the target's server connects to a database of the source. */
export function accessTo(
  source: Endpoint,
  { sourceFromTarget, passfile }: Pick<ApplySettings, "sourceFromTarget" | "passfile">,
): SubscriptionAccess {
  return {
    sourceFromTarget: withDatabase(sourceFromTarget ?? source, source.database),
    passfile,
  };
}

/**
 * The tables whose rows the rules include, of those given or of all tables of the database.
 */
export async function selectRows(
  session: Session,
  tables: readonly Table[] | undefined,
  rules: TableRules,
): Promise<PublishedRows> {
  const all = tables ?? await listTables(session);
  const scope = (await readScope(session, rules))?.scope;
  return {
    tables: all.filter((table) => scope?.hasRows(table) ?? true),
    predicateOf: (table) => scope?.predicateOf(table),
  };
}
