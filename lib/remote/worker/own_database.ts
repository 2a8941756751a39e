import { isTransient, retry } from "../../core/internal.ts";
import { type SessionPool } from "../../postgres/internal.ts";
import type { StoreDatabase } from "../store/mod.ts";
import { type AbortKind, JobAbort } from "./abort.ts";

/**
 * The service's database within a run. While it is unavailable, requests are retried until the
 * worker's lease is about to expire; then the run ends as lost, and another worker continues the
 * job. Its errors are not passed to the job, whose owner must not learn where that database is.
 */
export function ownDatabase(
  { pool, heartbeatSeconds, signal, end }: {
    readonly pool: SessionPool;
    readonly heartbeatSeconds: number;
    readonly signal: AbortSignal;
    readonly end: (kind: AbortKind, why: string) => void;
  },
): StoreDatabase {
  const graceMs = heartbeatSeconds * 800; // the lease is given up then as well
  return {
    async use(work) {
      const start = performance.now();
      return await retry(async () => {
        try {
          return await pool.use(work);
        } catch (error) {
          if (!isTransient(error)) {
            throw new Error("the service's database rejected a request", {
              cause: error,
            });
          }
          signal.throwIfAborted();
          if (performance.now() - start > graceMs) {
            const why = "the service's database cannot be reached";
            end("lost", why);
            throw new JobAbort("lost", why);
          }
          throw error;
        }
      }, {
        delaysMs: [Math.min(1_000, graceMs / 10)],
        repeatsLastDelay: true,
        // an aborted run still saves its checkpoint, but does not wait for the database
        signal: signal.aborted ? undefined : signal,
      });
    },
  };
}
