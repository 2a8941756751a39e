/**
 * Makes the target equal to the source, row by row.
 *
 * @module
 */
import { type Endpoint, openSession } from "../../postgres/internal.ts";
import { type Follower, readInsertPosition } from "../live/follower.ts";
import type { Suspect } from "../narrow/find_differences.ts";
import { planSettings } from "../scan/scan.ts";
import type { SessionPair } from "../scan/session_pair.ts";
import { RepairTransaction, type RowsOfTransaction } from "./repair_transaction.ts";

/** What a {@linkcode Repairer} is made with. */
export interface RepairerOptions {
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** False: only collect the statements. */
  readonly writes: boolean;
  readonly follower: Follower | undefined;
  readonly signal: AbortSignal;
}

/** Rows of one table to repair. */
export interface RowsToRepair extends Omit<RowsOfTransaction, "ids"> {
  readonly suspects: readonly Suspect[];
}

/** The result of a repair. */
export interface RepairOutcome {
  /** Rows made equal (or, when nothing is written, rows that would be). */
  readonly repaired: number;
  /** Ids of rows that could not be repaired because they changed during every attempt. */
  readonly left: ReadonlySet<string>;
}

const maxAttempts = 5;
const rowsPerTransaction = 500;

/**
 * Repairs rows in short transactions that exclude the apply worker.
 *
 * Each transaction reads the rows on the source (first their versions, then their values), waits
 * until the target has applied everything up to that point, locks the table against all writers
 * including the apply worker (SHARE ROW EXCLUSIVE), and reads the rows again on both sides. Only
 * rows whose version on the source is unchanged are written: all their changes have been applied
 * and none is in flight. The apply worker can therefore neither restore an older state afterwards
 * nor insert an existing row. A row that has changed waits for the next attempt. Before the commit
 * the written rows are hashed again.
 *
 * States: open → disposed. Repairs run one at a time.
 */
export class Repairer implements AsyncDisposable {
  readonly #options: RepairerOptions;
  #sessions: SessionPair | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  readonly #statements: string[] = [];
  #rows = 0;

  constructor(options: RepairerOptions) {
    this.#options = options;
  }

  /** Whether it writes, or only collects statements. */
  get writes(): boolean {
    return this.#options.writes;
  }

  /** Rows repaired so far, or that would have been. */
  get rows(): number {
    return this.#rows;
  }

  /** Statements that would be executed, in order. */
  get statements(): readonly string[] {
    return this.#statements;
  }

  /**
   * Repairs rows of one table.
   *
   * @throws ServerError when the target rejects a statement; that transaction is rolled back
   */
  async repair(rows: RowsToRepair): Promise<RepairOutcome> {
    const turn = this.#turn.then(() => this.#repair(rows));
    this.#turn = turn.catch(() => {}); // reported to the caller
    return await turn;
  }

  async #repair({ suspects, ...rest }: RowsToRepair): Promise<RepairOutcome> {
    const left = new Set<string>();
    let repaired = 0;
    for (let from = 0; from < suspects.length; from += rowsPerTransaction) {
      const part = suspects.slice(from, from + rowsPerTransaction);
      const outcome = await this.#repairSome({ ...rest, ids: part.map(({ id }) => id) });
      for (const id of outcome) left.add(id);
      repaired += part.length - outcome.size;
    }
    this.#rows += repaired;
    return { repaired, left };
  }

  async #repairSome(
    rows: RowsOfTransaction,
  ): Promise<ReadonlySet<string>> {
    const pair = await this.#open();
    let ids = rows.ids;
    for (let attempt = 0; ids.length > 0 && attempt < maxAttempts; attempt++) {
      const transaction = new RepairTransaction(pair, { ...rows, ids });
      await transaction.readSource();
      const lsn = await readInsertPosition(pair.source);
      if (lsn !== undefined) await this.#options.follower?.reach(lsn);
      const outcome = this.writes ? await transaction.write() : await transaction.describe();
      if (!this.writes) this.#statements.push(...outcome.statements);
      ids = outcome.changed;
    }
    return new Set(ids);
  }

  async #open(): Promise<SessionPair> {
    if (this.#sessions !== undefined) return this.#sessions;
    const { source, target, signal } = this.#options;
    const onSource = await openSession(source, {
      signal,
      settings: { ...planSettings, default_transaction_read_only: "on" },
    });
    const onTarget = await openSession(target, { signal, settings: planSettings });
    return this.#sessions = { source: onSource, target: onTarget };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#turn;
    await this.#sessions?.source.close();
    await this.#sessions?.target.close();
  }
}
