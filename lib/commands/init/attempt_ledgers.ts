/**
 * The ledger of one database over the attempts of a run.
 *
 * @module
 */
import { Ledger, type LedgerRun } from "../../checkpoint/internal.ts";
import type { EventSink } from "../../core/internal.ts";
import type { Endpoint } from "../../postgres/internal.ts";

/** What every ledger of the run is opened with. */
export interface AttemptLedgersOptions {
  readonly run: LedgerRun;
  readonly signal: AbortSignal;
  readonly events: EventSink;
}

/**
 * Opens a ledger for each attempt, given the previous one: a backend left behind by its broken
 * connection belongs to this run.
 */
export class AttemptLedgers {
  readonly #options: AttemptLedgersOptions;
  #last: Ledger | undefined;

  constructor(options: AttemptLedgersOptions) {
    this.#options = options;
  }

  /** @param expects whether the database has a ledger already */
  async open(target: Endpoint, expects: "unfinished" | "none"): Promise<Ledger> {
    this.#last = await Ledger.open(target, { ...this.#options, earlier: this.#last, expects });
    return this.#last;
  }
}
