import { isTransient, pause, type SessionPool } from "../../postgres/internal.ts";
import type { StoreDatabase } from "../store/mod.ts";
import { type AbortKind, JobAbort } from "./abort.ts";

/**
 * The service's database within a run. When it is away for a moment it is asked again, for as long
 * as the others do not take the worker for lost; then the run is ended as lost, and goes on
 * elsewhere. What it says is nothing of the job's: whoever owns the job does not learn from an
 * error where that database is.
 */
export function ownDatabase(
  { pool, heartbeatSeconds, signal, end }: {
    readonly pool: SessionPool;
    readonly heartbeatSeconds: number;
    readonly signal: AbortSignal;
    readonly end: (kind: AbortKind, why: string) => void;
  },
): StoreDatabase {
  const graceMs = heartbeatSeconds * 800; // after that the lease is given up too
  return {
    async use(work) {
      const start = performance.now();
      while (true) {
        try {
          return await pool.use(work);
        } catch (error) {
          if (!isTransient(error)) {
            throw new Error("the service's database did not do what it was asked", {
              cause: error,
            });
          }
          // a run that was told to end still writes down where it is, but waits for nothing
          signal.throwIfAborted();
          if (performance.now() - start > graceMs) {
            const why = "the service's database cannot be reached";
            end("lost", why);
            throw new JobAbort("lost", why);
          }
          await pause(Math.min(1_000, graceMs / 10), signal);
        }
      }
    },
  };
}
