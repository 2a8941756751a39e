/**
 * The state of a run: the document that identifies it, and the heads of its ledgers.
 *
 * @module
 */
import { type EventSink, ReplicatorError, toolVersion } from "../../core/internal.ts";
import { readClusterFacts } from "../../catalog/internal.ts";
import {
  type CheckpointStore,
  type DatabaseState,
  digestEnds,
  dropLedger,
  type LedgerHead,
  type LedgerRun,
  operationOf,
  readStateDocument,
  type RunEnds,
  type RunScope,
  type StateDocument,
  stateFormat,
  writeStateDocument,
} from "../../checkpoint/internal.ts";
import { type Endpoint, withDatabase } from "../../postgres/internal.ts";
import { fingerprintScope } from "../../rules/internal.ts";
import type { TemporaryMembership } from "../../schema/internal.ts";
import type { ServerPair } from "../shared/server_pair.ts";
import { type DatabasePlanning, planReadOnly } from "../shared/database_plan.ts";
import type { InitPlan } from "../shared/init_plan.ts";
import type { InitOptions } from "../shared/run.ts";
import { decisionsOf } from "./check_scope.ts";

/** Where the document of a run is stored, if the caller stores one. */
interface Place {
  readonly store: CheckpointStore;
  readonly operation: string;
  readonly ends: RunEnds;
}

async function placeOf({ checkpoint, source, target }: InitOptions): Promise<Place | undefined> {
  if (checkpoint === undefined) return undefined;
  const ends = await digestEnds({ source, target });
  const operation = await operationOf(ends);
  return { store: checkpoint(operation), operation, ends };
}

/**
 * The unfinished run of the same command; undefined if there is none, or it must not be resumed.
 *
 * @throws ReplicatorError if the document cannot be read or parsed
 */
export async function readEarlierRun(options: InitOptions): Promise<StateDocument | undefined> {
  const place = await placeOf(options);
  if (place === undefined || !options.resume) return undefined;
  const text = await place.store.read();
  if (text === undefined) return undefined;
  return readStateDocument(text, { ...place, place: place.store.place });
}

/** What {@linkcode RunCheckpoint.begin} starts from. */
export interface BeginOptions {
  readonly options: InitOptions;
  readonly sides: ServerPair;
  readonly plan: InitPlan;
  readonly planning: DatabasePlanning;
  /** See `checkScope`. */
  readonly scope: RunScope;
  readonly earlier: StateDocument | undefined;
  /** Heads of the ledgers that are resumed. */
  readonly unfinished: readonly LedgerHead[];
  readonly events: EventSink;
}

/**
 * The document of a run: written when the run starts and when a database is complete, removed with
 * the last ledger.
 */
export class RunCheckpoint {
  readonly #place: Place | undefined;
  readonly #begin: BeginOptions;
  readonly #systemIdentifier: string | undefined;
  #document: Omit<StateDocument, "ends" | "operation">;
  #failed = false;

  private constructor(
    begin: BeginOptions,
    { place, document, systemIdentifier }: {
      readonly place: Place | undefined;
      readonly document: Omit<StateDocument, "ends" | "operation">;
      readonly systemIdentifier: string | undefined;
    },
  ) {
    this.#begin = begin;
    this.#place = place;
    this.#document = document;
    this.#systemIdentifier = systemIdentifier;
  }

  /** Builds the document. Changes nothing. */
  static async begin(begin: BeginOptions): Promise<RunCheckpoint> {
    const { options, sides, planning, scope, earlier, unfinished } = begin;
    const first = unfinished[0];
    const { systemIdentifier } = await readClusterFacts(sides.source);
    return new RunCheckpoint(begin, {
      place: await placeOf(options),
      systemIdentifier,
      document: {
        format: stateFormat,
        tool: toolVersion,
        // the ledgers are authoritative: the file may be lost, or older than the target database
        run: first?.run ?? earlier?.run ?? crypto.randomUUID(),
        startedAt: earlier?.startedAt ?? first?.startedAt ?? options.now().toISOString(),
        scope,
        dropExisting: options.dropExisting,
        databases: planning.databases.map(({ source, target, unfinished }): DatabaseState => ({
          source: source.name,
          target,
          state: unfinished?.complete ? "complete" : unfinished === undefined ? "waiting" : "begun",
        })),
        memberships: earlier?.memberships ?? [],
        finished: false,
      },
    });
  }

  /** Memberships to revoke at the end, including those of a killed attempt. */
  get memberships(): readonly TemporaryMembership[] {
    return this.#document.memberships;
  }

  /** The head of a database's ledger. */
  ledgerRun(database: string): LedgerRun {
    const { planning, plan } = this.#begin;
    const { run, tool, scope } = this.#document;
    return {
      run,
      tool,
      scope,
      dumpTool: plan.dumpTool,
      source: {
        database,
        ...(this.#systemIdentifier === undefined
          ? {}
          : { systemIdentifier: this.#systemIdentifier }),
        databaseOid: planning.databases.find(({ source }) => source.name === database)?.source
          .oid ?? 0,
      },
      decisions: decisionsOf(
        plan.databases.find(({ source }) => source === database)?.decisions,
      ),
    };
  }

  /** Writes the document for the first time. */
  async write(): Promise<void> {
    await this.#update({});
  }

  async addMemberships(memberships: readonly TemporaryMembership[]): Promise<void> {
    if (memberships.length === 0) return;
    const all = [...this.#document.memberships, ...memberships];
    const distinct = all.filter(({ role, member }, index) =>
      all.findIndex((other) => other.role === role && other.member === member) === index
    );
    await this.#update({ memberships: distinct });
  }

  async completed(database: string): Promise<void> {
    await this.#update({
      databases: this.#document.databases.map((each) =>
        each.source === database ? { ...each, state: "complete" } : each
      ),
    });
  }

  /**
   * Everything is done except for objects that were set aside: the ledgers stay for the run that
   * creates them.
   */
  async keep(): Promise<void> {
    await this.#update({ memberships: [] });
  }

  /** Everything is done: records that, removes the ledgers, then the document. */
  async finish(signal: AbortSignal): Promise<void> {
    const { options: { target } } = this.#begin;
    await this.#update({ finished: true, memberships: [] });
    await dropLedgers(this.#document, { target, signal });
    await this.#place?.store.remove().catch((error) => this.#warn(error));
  }

  /** A file that cannot be written does not end a run: the ledgers suffice. */
  async #update(change: Partial<StateDocument>): Promise<void> {
    this.#document = { ...this.#document, ...change };
    if (this.#place === undefined) return;
    const { store, operation, ends } = this.#place;
    try {
      await store.write(writeStateDocument({ ...this.#document, operation, ends }));
    } catch (error) {
      this.#warn(error);
    }
  }

  #warn(error: unknown): void {
    if (!(error instanceof ReplicatorError)) throw error;
    if (this.#failed) return;
    this.#failed = true;
    this.#begin.events({
      kind: "warning",
      message: error.message,
      ...(error.object === undefined ? {} : { object: error.object }),
      remedy:
        "the run continues: its progress is recorded in the target as well, and the same command resumes it",
    });
  }
}

async function dropLedgers(
  { databases, run }: Pick<StateDocument, "databases" | "run">,
  { target, signal }: { readonly target: Endpoint; readonly signal: AbortSignal },
): Promise<void> {
  for (const database of databases) {
    await dropLedger(withDatabase(target, database.target), { run, signal });
  }
}

/** Time windows end at the time of the first attempt. */
export function withWindowsOf(options: InitOptions, now: string | undefined): InitOptions {
  if (now === undefined) return options;
  return { ...options, rules: { ...options.rules, now } };
}

/**
 * Finishes a run that had copied everything and was killed before it ended.
 *
 * @returns its databases if they are exactly those of this run: then nothing is left to do
 */
export async function finishEarlierRun(
  earlier: StateDocument,
  { options, sides, signal }: {
    readonly options: InitOptions;
    readonly sides: ServerPair;
    readonly signal: AbortSignal;
  },
): Promise<readonly DatabaseState[] | undefined> {
  const planning = await planReadOnly(sides, { selected: options, signal });
  const onTarget = new Set(planning.onTarget.map(({ name }) => name));
  const left = earlier.databases.filter(({ target }) => onTarget.has(target));
  await dropLedgers({ ...earlier, databases: left }, { target: options.target, signal });
  const place = await placeOf(options);
  await place?.store.remove();
  const planned = planning.databases.map(({ source, target }) => `${source.name} ${target}`).sort();
  const done = left.map(({ source, target }) => `${source} ${target}`).sort();
  const { rules, sync } = options;
  const same = JSON.stringify(planned) === JSON.stringify(done) &&
    earlier.scope.sync === (sync !== undefined) &&
    earlier.scope.fingerprint === await fingerprintScope({
        databases: earlier.scope.databases,
        rules,
      });
  return same ? left : undefined;
}
