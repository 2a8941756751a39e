/**
 * The lock of several sides at once, for commands that remove what keeps a side closed.
 *
 * @module
 */
import { retry, type Side } from "../core/internal.ts";
import { durableSettings, type Endpoint, openSession, type Session } from "../postgres/internal.ts";
import { lockCutover, overtaken } from "./lock.ts";
import { isSameState, type SideRecord } from "./model.ts";
import { readSide } from "./own_schema.ts";

/** One side of a database, as the caller has read it. */
export interface KnownSide {
  readonly endpoint: Endpoint;
  readonly record: SideRecord | undefined;
}

/** Sessions that hold the lock of their side. States: locked → disposed, which releases them. */
export class LockedSides implements AsyncDisposable {
  readonly #sessions: readonly Session[];
  readonly #stack: AsyncDisposableStack;

  private constructor(sessions: readonly Session[], stack: AsyncDisposableStack) {
    this.#sessions = sessions;
    this.#stack = stack;
  }

  /**
   * Takes the lock of every side, then reads the records again: what the caller has planned, or
   * asked about, may have been overtaken since.
   *
   * @throws OtherCommandError if another command holds a lock or has changed a record
   */
  static async take(sides: readonly KnownSide[], signal: AbortSignal): Promise<LockedSides> {
    await using stack = new AsyncDisposableStack();
    const sessions: Session[] = [];
    for (const { endpoint } of sides) {
      const session = stack.use(
        // not ended by the signal: what has begun to remove a fence is completed
        await retry(() => openSession(endpoint, { settings: durableSettings }), { signal }),
      );
      await lockCutover(session);
      sessions.push(session);
    }
    for (const [index, { endpoint, record }] of sides.entries()) {
      if (!isSameState(await readSide(sessions[index]!), record)) throw overtaken(endpoint);
    }
    return new LockedSides(sessions, stack.move());
  }

  /**
   * The session of a side, for what changes its record: it is lost together with the lock.
   *
   * @returns undefined unless the side was locked
   */
  session(side: Side, database: string): Session | undefined {
    return this.#sessions.find((each) => each.side === side && each.endpoint.database === database);
  }

  /** Releases the locks. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
  }
}
