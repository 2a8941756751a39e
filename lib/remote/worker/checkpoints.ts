import type { OpenedSecrets } from "../secrets/mod.ts";
import { readCheckpoint, type StoreDatabase, writeCheckpoint } from "../store/mod.ts";
import type { JobCheckpoint } from "./runner.ts";

/**
 * Stores the checkpoints of a job's operations in the service's database, encrypted with the job's
 * data key, so that any worker that claims the job can resume it.
 */
export function jobCheckpoints(
  { database, secrets, jobId, attempt, onLost }: {
    readonly database: StoreDatabase;
    readonly secrets: OpenedSecrets;
    readonly jobId: string;
    readonly attempt: number;
    /** Called when another attempt has started: this one is out of date. */
    readonly onLost: () => void;
  },
): (operation: string) => JobCheckpoint {
  return (operation) => ({
    place: `job ${jobId}`,
    async read() {
      const text = await database.use((session) => readCheckpoint(session, { jobId, operation }));
      return text === undefined ? undefined : await secrets.unseal(text, `checkpoint ${operation}`);
    },
    async write(text) {
      const ciphertext = await secrets.seal(text, `checkpoint ${operation}`);
      const written = await database.use((session) =>
        writeCheckpoint(session, { jobId, attempt, operation, ciphertext })
      );
      if (written) return;
      onLost();
      throw new Error("another worker has taken over the job");
    },
    // deleted when the job ends: if the worker were killed just before that, the next one would
    // find a non-empty target without a checkpoint that explains it
    remove: () => Promise.resolve(),
  });
}
