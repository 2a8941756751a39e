import { withSession } from "../support/sql.ts";
import type { Servers } from "./servers.ts";

/** How often sessions were observed in a state: `target COPY IO:DataFileExtend` → samples. */
export type WaitSamples = Readonly<Record<string, number>>;

const sampleEveryMs = 50;

const seen = `
  SELECT coalesce(nullif(split_part(query, ' ', 1), ''), backend_type) AS verb,
         coalesce(wait_event_type || ':' || wait_event, 'CPU') AS wait, count(*)::int AS n
    FROM pg_stat_activity
   WHERE pid <> pg_backend_pid() AND application_name <> 'test'
     AND (state = 'active' OR backend_type <> 'client backend' AND wait_event_type <> 'Activity')
   GROUP BY 1, 2`;

/**
 * Samples the state of all sessions on both servers every 50 ms, to estimate where time is spent.
 */
export class WaitSampler {
  readonly #servers: Servers;
  readonly #counts = new Map<string, number>();
  #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();

  constructor(servers: Servers) {
    this.#servers = servers;
  }

  /** All states observed so far, most frequent first. */
  get samples(): WaitSamples {
    return Object.fromEntries([...this.#counts].sort(([, a], [, b]) => b - a));
  }

  start(): Promise<void> {
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    this.#running = Promise.all([this.#sample("source", signal), this.#sample("target", signal)]);
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #sample(side: "source" | "target", signal: AbortSignal): Promise<void> {
    await withSession(this.#servers[side].url(), async (session) => {
      while (!signal.aborted) {
        for (const { verb, wait, n } of await session.unsafe(seen).simple()) {
          const key = `${side} ${verb} ${wait}`;
          this.#counts.set(key, (this.#counts.get(key) ?? 0) + Number(n));
        }
        await new Promise((resolve) => setTimeout(resolve, sampleEveryMs));
      }
    });
  }
}
