/**
 * A worker in its own process that kills itself at a point of a cutover. Its argument is JSON
 * ({@linkcode DyingWorkerInput}).
 */
import { jobRunners } from "../../lib/commands/job_runners/job_runners.ts";
import { LocalKeyProvider } from "../../lib/remote/secrets/mod.ts";
import { startTestWorker } from "../support/service.ts";

/** What the worker does. */
export interface DyingWorkerInput {
  readonly databaseUrl: string;
  readonly keyFile: string;
  /** `begin way-back 2`: as the second step of this name begins. */
  readonly dieAt: string;
}

if (import.meta.main) {
  const { databaseUrl, keyFile, dieAt }: DyingWorkerInput = JSON.parse(Deno.args[0] ?? "{}");
  const runners = jobRunners({
    jobs: 2,
    splitBytes: 1024 ** 3,
    maxDiffs: 10,
    slotTimeoutMs: 60_000,
    now: () => new Date(),
  });
  const seen = new Map<string, number>();
  await startTestWorker({ databaseUrl, keys: await LocalKeyProvider.open(keyFile) }, {
    cutover: (job, context) =>
      runners.cutover!(job, {
        ...context,
        events: (event) => {
          context.events(event);
          if (event.kind !== "step-started" && event.kind !== "step-finished") return;
          const name = `${event.kind === "step-started" ? "begin" : "end"} ${event.step}`;
          const count = (seen.get(name) ?? 0) + 1;
          seen.set(name, count);
          if (`${name} ${count}` === dieAt) Deno.kill(Deno.pid, "SIGKILL");
        },
      }),
  });
}
