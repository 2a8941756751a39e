/**
 * Statements of a dump, applied to one database of the target and recorded in its ledger.
 *
 * @module
 */
import type { EventSink } from "../../core/mod.ts";
import type { Ledger } from "../../checkpoint/mod.ts";
import { durableSettings, type Endpoint, openPatiently, type Session } from "../../postgres/mod.ts";
import { type Adaptation, applyStatements, type DumpStatement } from "../../schema/mod.ts";

/** Where statements go. */
export interface DumpApplierOptions {
  readonly target: Endpoint;
  readonly ledger: Ledger;
  readonly events: EventSink;
  readonly signal: AbortSignal;
}

/** Applies what the ledger does not have yet; what the target gets differently is warned of. */
export class DumpApplier {
  readonly #options: DumpApplierOptions;
  /** Whether objects are left out on purpose: what depends on them may be refused. */
  incomplete = false;

  constructor(options: DumpApplierOptions) {
    this.#options = options;
  }

  /** In a session of its own. */
  async apply(statements: readonly DumpStatement[]): Promise<void> {
    const { target, signal, events } = this.#options;
    await using session = await openPatiently(target, {
      signal,
      events,
      settings: durableSettings,
      computesValues: true,
    });
    await this.applyIn(session, statements);
  }

  /** Statements that are done already are passed over, settings are not. */
  async applyIn(session: Session, statements: readonly DumpStatement[]): Promise<void> {
    const { ledger, events } = this.#options;
    const left = statements.filter((each) => !ledger.isDone(each));
    const { incomplete } = this;
    tellAdaptations(
      await applyStatements(session, left, { incomplete, record: ledger.statementRecord }),
      events,
    );
  }
}

/** Warns of everything that the target got differently. */
export function tellAdaptations(adaptations: readonly Adaptation[], events: EventSink): void {
  for (const adaptation of adaptations) events({ kind: "warning", ...adaptation });
}
