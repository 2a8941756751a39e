/**
 * Statements of a dump, applied to one database of the target and recorded in its ledger.
 *
 * @module
 */
import type { EventSink } from "../../core/internal.ts";
import type { Ledger } from "../../checkpoint/internal.ts";
import {
  durableSettings,
  type Endpoint,
  openSessionWithRetry,
  type Session,
} from "../../postgres/internal.ts";
import {
  type Adaptation,
  applyStatements,
  type DumpStatement,
  type SchemaError,
  SetAsideList,
} from "../../schema/internal.ts";

/** Where statements are executed. */
export interface DumpApplierOptions {
  readonly target: Endpoint;
  /** Major version of the source. */
  readonly sourceMajor: number;
  readonly ledger: Ledger;
  /** Whether objects are excluded, so that those that depend on them may be refused. */
  readonly incomplete: boolean;
  readonly events: EventSink;
  readonly signal: AbortSignal;
}

/**
 * Executes the statements that the ledger does not have yet, and warns of adaptations. Refused
 * statements are set aside, and tried again by {@linkcode retry}.
 */
export class DumpApplier {
  readonly #options: DumpApplierOptions;
  /** Refused statements. */
  readonly setAside = new SetAsideList();
  #incomplete: boolean;

  constructor(options: DumpApplierOptions) {
    this.#options = options;
    this.#incomplete = options.incomplete;
  }

  /** Whether the target lacks objects, so that those that depend on them may be refused. */
  get incomplete(): boolean {
    return this.#incomplete;
  }

  /** Records that an object was not created although no statement was refused. */
  markIncomplete(): void {
    this.#incomplete = true;
  }

  /** Executes statements in a new session. */
  async apply(statements: readonly DumpStatement[]): Promise<void> {
    await using session = await this.#open();
    await this.applyIn(session, statements);
  }

  /** Skips statements that are done already, except settings. */
  async applyIn(session: Session, statements: readonly DumpStatement[]): Promise<void> {
    await this.#apply(session, statements, this.setAside);
  }

  /** The same, but nothing is set aside. @throws SchemaError when anything is refused */
  async applyStrictly(session: Session, statements: readonly DumpStatement[]): Promise<void> {
    await this.#apply(session, statements, undefined);
  }

  /** Sets aside what {@linkcode applyStrictly} threw. */
  put(error: SchemaError): void {
    this.setAside.put(error);
  }

  /**
   * Tries refused statements again, after other objects were created.
   *
   * @param settings of the dump, for the session
   */
  async retry(settings: readonly DumpStatement[]): Promise<void> {
    if (this.setAside.items.length === 0) return;
    const { ledger, events, sourceMajor } = this.#options;
    await using session = await this.#open();
    await this.applyIn(session, settings);
    reportAdaptations(
      await this.setAside.retry(session, {
        incomplete: this.#incomplete,
        sourceMajor,
        record: ledger.statementRecord,
      }),
      events,
    );
  }

  async #apply(
    session: Session,
    statements: readonly DumpStatement[],
    setAside: SetAsideList | undefined,
  ): Promise<void> {
    const { ledger, events, sourceMajor } = this.#options;
    const left = statements.filter((each) => !ledger.isDone(each));
    reportAdaptations(
      await applyStatements(session, left, {
        incomplete: this.#incomplete,
        sourceMajor,
        record: ledger.statementRecord,
        setAside,
      }),
      events,
    );
  }

  #open(): Promise<Session> {
    const { target, signal, events } = this.#options;
    return openSessionWithRetry(target, {
      signal,
      events,
      settings: durableSettings,
      computesValues: true,
    });
  }
}

/** Warns of everything that differs on the target. */
export function reportAdaptations(adaptations: readonly Adaptation[], events: EventSink): void {
  for (const adaptation of adaptations) events({ kind: "warning", ...adaptation });
}
