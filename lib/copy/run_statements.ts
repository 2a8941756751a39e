/**
 * Statements on the target by several sessions at once.
 *
 * @module
 */
import { type EventSink, runConcurrently } from "../core/internal.ts";
import { type Endpoint, openSessionWithRetry, type Session } from "../postgres/internal.ts";

/** A pool of target sessions that hand work to each other. */
export interface SessionPoolOptions {
  readonly target: Endpoint;
  readonly limit: number;
  readonly signal: AbortSignal;
  readonly events: EventSink;
  readonly settings?: Readonly<Record<string, string>>;
  /** Whether expressions of the user's are computed in them. */
  readonly computesValues?: boolean;
}

/**
 * Runs `work` for each item with a session of its own (`lane` counts them from 1), at most `limit`
 * at once. Sessions are opened when first needed, used again, and closed at the end, also when
 * something failed.
 */
export async function withSessions<Item>(
  items: readonly Item[],
  work: (item: Item, session: Session, lane: number) => Promise<void>,
  { target, limit, signal, events, settings = {}, computesValues = false }: SessionPoolOptions,
): Promise<void> {
  const idle: { readonly session: Session; readonly lane: number }[] = [];
  const all: Session[] = [];
  try {
    await runConcurrently(items, async (item, workSignal) => {
      let free = idle.pop();
      if (free === undefined) {
        const session = await openSessionWithRetry(target, {
          signal: workSignal,
          settings,
          computesValues,
          events,
        });
        free = { session, lane: all.push(session) };
      }
      await work(item, free.session, free.lane);
      idle.push(free);
    }, { limit, signal });
  } finally {
    await Promise.all(all.map((session) => session.close()));
  }
}
