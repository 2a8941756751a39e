/**
 * The stream of changes of one database that `init` copies: begun before its rows are read, handed over when they are in.
 *
 * @module
 */
import { ExitCode, plural, ReplicatorError } from "../../core/mod.ts";
import {
  type Endpoint,
  openSession,
  retry,
  type Session,
  withDatabase,
} from "../../postgres/mod.ts";
import type { LockedSnapshot, LockOptions } from "../../copy/mod.ts";
import { listTables, type Table } from "../../catalog/mod.ts";
import {
  abandonStream,
  handOver,
  readPlace,
  readStreams,
  readWalPosition,
  type ReplicationScope,
  type RowSelection,
  scopeHash,
  startStream,
  type StreamStart,
  type SubscriptionAccess,
  waitUntilApplied,
} from "../../replication/mod.ts";
import { readScope } from "../table_scope.ts";
import type { SyncSettings } from "../run.ts";
import type { TableRules } from "../../rules/mod.ts";
import type { Recorder } from "./recorder.ts";

/** What a stream is about. */
export interface DatabaseStreamOptions {
  /** The database on the source. */
  readonly source: Endpoint;
  /** The database on the target; it may be yet to be made. */
  readonly target: Endpoint;
  /** A session on the target's server. */
  readonly targetServer: Session;
  readonly rules: TableRules;
  readonly sync: SyncSettings;
  readonly recorder: Recorder;
  readonly signal: AbortSignal;
}

/**
 * States: idle → begun ({@linkcode begin}) → following ({@linkcode handOver}) → caught up ({@linkcode catchUp});
 * or abandoned, when the rows will never be in.
 */
export class DatabaseStream {
  readonly #options: DatabaseStreamOptions;
  #start: StreamStart | undefined;

  constructor(options: DatabaseStreamOptions) {
    this.#options = options;
  }

  get #database(): string {
    return this.#options.source.database;
  }

  /** Takes the place of `exportLockedSnapshot`. */
  async begin({ signal, select }: LockOptions): Promise<LockedSnapshot> {
    const { source, sync, rules, recorder } = this.#options;
    const scope = await this.#scope();
    await this.#clear(await scopeHash(scope));
    this.#start = await recorder.step(() =>
      startStream(source, {
        scope,
        epoch: 1,
        policy: sync.identity,
        slotTimeoutMs: sync.slotTimeoutMs,
        failover: sync.failover,
        createdAt: sync.now,
        events: recorder.events,
        signal,
        ...(select === undefined ? {} : { select }),
        withRows: (session, tables) => selectRows(session, tables, rules),
      }), {
      step: "slot",
      database: this.#database,
      summarise: ({ published, consistentPoint }) =>
        `${plural(published.length, "table")} published, from ${consistentPoint}`,
    });
    return this.#start;
  }

  /**
   * Removes what a run that was killed has left of this very scope. The target is made anew, so nothing can go on from there; a
   * slot that somebody reads is another matter.
   */
  async #clear(hash: string): Promise<void> {
    const { source, recorder } = this.#options;
    await using session = await this.#open(source);
    for (const { name, slot } of await readStreams(hash, { source: session, target: undefined })) {
      if (slot?.active) {
        throw new ReplicatorError(`the slot ${name} of this very scope is in use`, {
          side: "source",
          object: `database ${this.#database}`,
          details: [`A session reads it (pid ${slot.activePid}).`],
          remedy:
            "another run or a subscription goes on with it: see status; cleanup removes it if it is to start anew",
          exitCode: ExitCode.prerequisite,
        });
      }
      await abandonStream(source, { slot: name, publication: name, subscription: name });
      recorder.events({ kind: "info", message: `removed what an earlier run has left: ${name}` });
    }
  }

  async #scope(): Promise<ReplicationScope> {
    const { source, target, targetServer, rules } = this.#options;
    await using session = await this.#open(source);
    return {
      source: await readPlace(session),
      target: { ...await readPlace(targetServer), database: target.database },
      rules,
    };
  }

  /** To be called when everything is on the target, and the snapshot let go. */
  async handOver(): Promise<void> {
    const { source, target, sync, recorder, signal } = this.#options;
    const start = this.#begun();
    await using from = await this.#open(source);
    await using to = await this.#open(target);
    await recorder.step(() =>
      handOver({
        source: from,
        target: to,
        ...start,
        access: accessTo(source, sync),
        copiedAt: sync.now,
        signal,
      }), { step: "subscription", database: this.#database, summarise: ({ name }) => name });
  }

  /** Waits until the target has everything that the source has now. */
  async catchUp(): Promise<void> {
    const { source, target, recorder, signal } = this.#options;
    const { names } = this.#begun();
    await using from = await this.#open(source);
    await using to = await this.#open(target);
    await recorder.step(async () => {
      const { inserted } = await readWalPosition(from);
      await waitUntilApplied({
        source: from,
        target: to,
        subscriptions: [names.subscription],
        lsn: inserted,
        signal,
        events: recorder.events,
      });
    }, { step: "catch-up", database: this.#database, summarise: () => "streaming" });
  }

  /** Undoes what was begun: a slot that nobody reads would fill the source's disk. */
  async abandon(): Promise<void> {
    if (this.#start === undefined) return;
    const { source, recorder } = this.#options;
    const { names } = this.#start;
    try {
      await abandonStream(source, names);
      recorder.events({
        kind: "info",
        message: `slot and publication ${names.slot} of ${this.#database} were dropped again`,
      });
    } catch (error) {
      recorder.events({
        kind: "warning",
        side: "source",
        object: `slot ${names.slot}`,
        message: `it could not be dropped, and keeps WAL on the source: ${
          error instanceof Error ? error.message : String(error)
        }`,
        remedy: "run cleanup when the source can be reached again",
      });
    }
  }

  #begun(): StreamStart {
    if (this.#start === undefined) throw new Error("the stream was not begun");
    return this.#start;
  }

  #open(endpoint: Endpoint): Promise<Session> {
    const { signal } = this.#options;
    return retry(() => openSession(endpoint, { signal }), { signal });
  }
}

/** How the target's server reaches a database of the source. */
export function accessTo(
  source: Endpoint,
  { sourceFromTarget, passfile }: Pick<SyncSettings, "sourceFromTarget" | "passfile">,
): SubscriptionAccess {
  return {
    sourceFromTarget: withDatabase(sourceFromTarget ?? source, source.database),
    passfile,
  };
}

/** The tables whose rows come under the rules, of those given; all of the database's when none are. */
export async function selectRows(
  session: Session,
  tables: readonly Table[] | undefined,
  rules: TableRules,
): Promise<RowSelection> {
  const all = tables ?? await listTables(session);
  const scope = (await readScope(session, rules))?.scope;
  return {
    tables: all.filter((table) => scope?.hasRows(table) ?? true),
    predicateOf: (table) => scope?.predicateOf(table),
  };
}
