/**
 * A worker in its own process, until it is killed. Its argument is JSON ({@linkcode WorkerInput}).
 */
import { jobRunners } from "../../lib/commands/job_runners/job_runners.ts";
import { LocalKeyProvider } from "../../lib/remote/secrets/mod.ts";
import { quickQueue, startTestWorker } from "../support/service.ts";

/** Where the worker finds its jobs. */
export interface WorkerInput {
  readonly databaseUrl: string;
  readonly keyFile: string;
  /** As in {@linkcode QueueSettings}. */
  readonly retryLimit?: number;
}

if (import.meta.main) {
  const { databaseUrl, keyFile, ...queue }: WorkerInput = JSON.parse(Deno.args[0] ?? "{}");
  await startTestWorker(
    { databaseUrl, keys: await LocalKeyProvider.open(keyFile) },
    jobRunners({
      jobs: 2,
      splitBytes: 1024 ** 3,
      maxDiffs: 10,
      slotTimeoutMs: 60_000,
      now: () => new Date(),
    }),
    { queueSettings: { ...quickQueue, ...queue } },
  );
}
