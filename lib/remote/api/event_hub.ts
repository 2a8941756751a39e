import { repeatUntilAborted } from "../../core/internal.ts";
import { type SessionPool, textArray } from "../../postgres/internal.ts";

interface Subscriber {
  readonly jobId: string;
  readonly wake: () => void;
}

/**
 * Wakes event streams when their jobs change. A single query polls for all streams; there is none
 * while no stream is open.
 *
 * Open → disposed, which wakes all streams.
 */
export class EventHub implements AsyncDisposable {
  readonly #pool: SessionPool;
  readonly #intervalMs: number;
  readonly #subscribers = new Set<Subscriber>();
  readonly #seen = new Map<string, string>();
  readonly #ended = new AbortController();
  #polling: Promise<void> | undefined;

  constructor(pool: SessionPool, { intervalMs = 300 }: { readonly intervalMs?: number } = {}) {
    this.#pool = pool;
    this.#intervalMs = intervalMs;
  }

  /** Number of open streams. */
  get size(): number {
    return this.#subscribers.size;
  }

  /** Aborted when the service shuts down. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  /** Calls `wake` after each change of the job, until disposed. */
  subscribe(jobId: string, wake: () => void): Disposable {
    const subscriber = { jobId, wake };
    this.#subscribers.add(subscriber);
    this.#polling ??= this.#poll().finally(() => this.#polling = undefined);
    return { [Symbol.dispose]: () => void this.#subscribers.delete(subscriber) };
  }

  async #poll(): Promise<void> {
    await repeatUntilAborted(async () => {
      const ids = [...new Set([...this.#subscribers].map(({ jobId }) => jobId))];
      const rows = await this.#pool.use((session) =>
        session.query<{ readonly id: string; readonly mark: string }>(
          `SELECT id, state || ' ' || last_event AS mark FROM seren_remote.jobs
            WHERE id = ANY ($1::pg_catalog.uuid[])`,
          [textArray(ids)],
        )
      ).catch(() => []); // database unavailable: streams wait
      for (const { id, mark } of rows) {
        if (this.#seen.get(id) === mark) continue;
        this.#seen.set(id, mark);
        for (const { jobId, wake } of this.#subscribers) if (jobId === id) wake();
      }
      for (const id of this.#seen.keys()) if (!ids.includes(id)) this.#seen.delete(id);
      return this.#subscribers.size > 0;
    }, { intervalMs: this.#intervalMs, signal: this.#ended.signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    for (const { wake } of this.#subscribers) wake();
    await this.#polling;
  }
}
