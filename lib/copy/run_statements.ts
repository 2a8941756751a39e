/**
 * Statements on the target by several sessions at once.
 *
 * @module
 */
import { runConcurrently } from "../core/mod.ts";
import { type Endpoint, openSession, retry, type Session } from "../postgres/mod.ts";

/** A pool of target sessions that hand work to each other. */
export interface SessionPoolOptions {
  readonly target: Endpoint;
  readonly limit: number;
  readonly signal: AbortSignal;
  readonly settings?: Readonly<Record<string, string>>;
}

/**
 * Runs `work` for each item with a session of its own, at most `limit` at once. Sessions are opened when first needed, used again, and
 * closed at the end, also when something failed.
 */
export async function withSessions<Item>(
  items: readonly Item[],
  work: (item: Item, session: Session) => Promise<void>,
  { target, limit, signal, settings = {} }: SessionPoolOptions,
): Promise<void> {
  const idle: Session[] = [];
  const all: Session[] = [];
  try {
    await runConcurrently(items, async (item, workSignal) => {
      let session = idle.pop();
      if (session === undefined) {
        session = await retry(() => openSession(target, { signal: workSignal, settings }), {
          signal: workSignal,
        });
        all.push(session);
      }
      await work(item, session);
      idle.push(session);
    }, { limit, signal });
  } finally {
    await Promise.all(all.map((session) => session.close()));
  }
}
