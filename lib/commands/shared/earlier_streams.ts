/**
 * Streams that earlier runs of the same scope have left behind.
 *
 * @module
 */
import { selectRows } from "./replicated_rows.ts";
import {
  ExitCode,
  nameSome,
  plural,
  ReplicatorError,
  tableKey,
  type TableName,
} from "../../core/internal.ts";
import { type Endpoint, openSessionWithRetry, type Session } from "../../postgres/internal.ts";
import {
  abandonStream,
  type ApplierKind,
  isCreationOrphaned,
  keepTables,
  openApplier,
  parseReplicationName,
  planPublication,
  readApplierProgress,
  readStreams,
  type ReplicationStream,
  type SlotState,
} from "../../replication/internal.ts";
import type { SyncSettings } from "./run.ts";
import type { TableRules } from "../../rules/internal.ts";
import type { Recorder } from "./recorder.ts";

/** Where streams of earlier runs are, and what they must suit. */
export interface EarlierStreamsOptions {
  /** The database on the source. */
  readonly source: Endpoint;
  /** The database on the target; it may not exist yet. */
  readonly target: Endpoint;
  readonly rules: TableRules;
  readonly sync: SyncSettings;
  /** What applies the changes of new streams. */
  readonly applier: ApplierKind;
  readonly recorder: Recorder;
  readonly signal: AbortSignal;
}

/** Keeps what a resumed copy continues, and removes the rest. */
export class EarlierStreams {
  readonly #options: EarlierStreamsOptions;

  constructor(options: EarlierStreamsOptions) {
    this.#options = options;
  }

  /**
   * Drops the tool's subscriptions, because a database with subscriptions cannot be dropped.
   * Refuses those of another scope: this run does not know their slots, which would retain WAL
   * forever.
   */
  async unsubscribe(hash: string): Promise<void> {
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

  /**
   * Keeps copied tables in their streams, and removes the rest of earlier streams: slots of a
   * killed run would retain WAL for no consumer. Refuses slots that are in use.
   *
   * @returns all streams that existed, including removed ones: their numbers are not used again
   */
  async keep(hash: string, finished: readonly TableName[]): Promise<{
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
    const plan = await planPublication({
      session,
      tables: unfollowed,
      predicateOf,
      policy,
      isFilteredHere: this.#options.applier === "client",
    });
    if (plan.tables.length > 0) throw this.#slotGone(undefined, plan.tables);
  }

  #inUse({ name, activePid }: SlotState): ReplicatorError {
    return new ReplicatorError(`the slot ${name} of this scope is in use`, {
      side: "source",
      object: `database ${this.#options.source.database}`,
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
        object: `database ${this.#options.source.database}`,
        details: [`Changes to them since are lost: ${nameSome(kept)}`],
        remedy: "start over with init --enable-sync --no-resume",
        exitCode: ExitCode.prerequisite,
      },
    );
  }

  #open(endpoint: Endpoint): Promise<Session> {
    const { signal, recorder } = this.#options;
    return openSessionWithRetry(endpoint, { signal, events: recorder.events });
  }
}
