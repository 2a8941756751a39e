/**
 * Work on the target in several sessions at the same time.
 *
 * @module
 */
import { type EventSink, runConcurrently } from "../core/internal.ts";
import { type Endpoint, openSessionWithRetry, type Session } from "../postgres/internal.ts";

/** A pool of sessions on the target. */
export interface SessionPoolOptions {
  readonly target: Endpoint;
  readonly limit: number;
  readonly signal: AbortSignal;
  readonly events: EventSink;
  readonly settings: Readonly<Record<string, string>>;
  /** Whether the sessions evaluate user-defined expressions. */
  readonly computesValues: boolean;
}

/**
 * Runs `work` for each item, at most `limit` at the same time, each with a session of the pool
 * (numbered from 1). Sessions are opened when first needed, reused, and closed at the end, even
 * after an error.
 */
export async function withSessions<Item>(
  items: readonly Item[],
  work: (item: Item, session: Session, number: number) => Promise<void>,
  { target, limit, signal, events, settings, computesValues }: SessionPoolOptions,
): Promise<void> {
  const idle: { readonly session: Session; readonly number: number }[] = [];
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
        free = { session, number: all.push(session) };
      }
      await work(item, free.session, free.number);
      idle.push(free);
    }, { limit, signal });
  } finally {
    await Promise.all(all.map((session) => session.close()));
  }
}
