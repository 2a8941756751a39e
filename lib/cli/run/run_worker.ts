import { join } from "node:path";
import { defaultJobs, optionDefaults, optionTable } from "../../config/internal.ts";
import { errorMessage, ExitCode, formatDuration } from "../../core/internal.ts";
import { jobRunners } from "../../commands/job_runners/job_runners.ts";
import { type Endpoint, SessionPool } from "../../postgres/internal.ts";
import { type JobQueue, openQueue, type QueueName, queueNames } from "../../remote/queue/mod.ts";
import type { KeyProvider } from "../../remote/secrets/mod.ts";
import { type Retention, Worker, type WorkerNotice } from "../../remote/worker/mod.ts";
import { printable } from "../../ui/mod.ts";
import type { CommandContext, CommandRunner } from "../context.ts";
import { jsonLine } from "../print/print.ts";
import type { OptionReader } from "../options/option_reader.ts";
import {
  type KeeperOptions,
  openKeys,
  readKeeperOptions,
  readWord,
} from "../options/service_options.ts";

/** `worker` in full. */
export interface WorkerCommandOptions {
  readonly name: string;
  readonly queues: readonly QueueName[];
  readonly concurrency: number;
  readonly maxRunning: number;
  readonly drainMs: number;
  readonly workspaceRoot: string;
  readonly retention: Retention;
}

/** `worker`: takes jobs until it is stopped. */
export const runWorker: CommandRunner = async (reader, context) => {
  const { environment } = context.resolve;
  const keeper = await readKeeperOptions(reader, { environment, embedded: false });
  const options = readWorkerOptions(reader, context);
  reader.done();
  const { database, keyPlace } = keeper;
  if (database === undefined || keyPlace === undefined) {
    throw new Error("reader.done() was not called");
  }
  const keys = await openKeys(keyPlace, { create: false });
  await work({ options, keeper, database, keys, context, signal: context.run.signal });
  return ExitCode.success;
};

/** @param reader collects problems */
export function readWorkerOptions(
  reader: OptionReader,
  { resolve: { environment } }: CommandContext,
): WorkerCommandOptions {
  const wanted = reader.text("queues")?.split(",").map((each) => each.trim());
  const queues = wanted?.flatMap((word) =>
    readWord(reader, { word, words: queueNames, path: "--queues" }) ?? []
  );
  const temporary = environment["TMPDIR"] ?? environment["TEMP"] ?? "/tmp";
  return {
    name: reader.text("name") ?? `worker-${crypto.randomUUID().slice(0, 8)}`,
    queues: queues ?? queueNames,
    concurrency: reader.integer("concurrency"),
    maxRunning: reader.integer("maxRunning") ?? optionTable.maxRunning.max,
    drainMs: reader.duration("drainTimeout"),
    retention: { jobDays: reader.integer("keepJobs"), logDays: reader.integer("keepLogs") },
    workspaceRoot: reader.text("workspace") ?? join(temporary, "postgres-seren-replicator-jobs"),
  };
}

/**
 * Runs a worker until the signal is aborted and its jobs have finished or were released.
 */
export async function work(
  { options, keeper, database, keys, context, signal }: {
    readonly options: WorkerCommandOptions;
    readonly keeper: KeeperOptions;
    readonly database: Endpoint;
    readonly keys: KeyProvider;
    readonly context: CommandContext;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const notice = noticeTo(context, options.name);
  await using pool = new SessionPool(database, {
    size: 3 + 2 * options.concurrency,
    values: "native",
  });
  let waited = false;
  let opened: JobQueue;
  try {
    opened = await openQueue({
      database,
      pool,
      settings: keeper.queueSettings,
      signal,
      onError: (error) => notice({ level: "warn", message: errorMessage(error) }),
      onWait: (error, delayMs) => {
        waited = true;
        notice({ level: "warn", message: waitingMessage(error, delayMs) });
      },
    });
  } catch (error) {
    if (!signal.aborted) throw error;
    notice({ level: "info", message: "stopped" });
    return;
  }
  await using queue = opened;
  if (waited) notice({ level: "info", message: "the service's database is available" });
  const worker = new Worker({
    ...options,
    pool,
    queue,
    keys,
    guard: keeper.guard,
    runners: jobRunners({
      ...optionDefaults,
      jobs: defaultJobs(context.resolve.cpuCount),
      now: () => new Date(),
    }),
    checkEveryMs: 1_000,
    graceMs: 60_000,
    pollMs: 1_000,
    maintenanceEveryMs: 10_000,
    notice,
  });
  notice({ level: "info", message: `accepting jobs from the queues ${options.queues.join(", ")}` });
  await worker.run(signal);
  notice({ level: "info", message: "stopped" });
}

/** Why a service or worker cannot start yet. */
export function waitingMessage(error: unknown, delayMs: number): string {
  return `waiting for the service's database: ${errorMessage(error)}; retrying in ${
    formatDuration(delayMs)
  }`;
}

/** Writes a worker's log to stderr: lines, or JSON lines with `--log-format json`. */
function noticeTo(
  { terminal, output }: CommandContext,
  worker: string,
): (notice: WorkerNotice) => void {
  return ({ level, message, job, traceId }) => {
    const at = new Date().toISOString();
    terminal.stderr.write(
      output.logFormat === "json"
        ? jsonLine({ at, level, worker, job, trace_id: traceId, message })
        : `${at} ${level.padEnd(5)} ${worker}${job === undefined ? "" : ` job ${job}`} ${
          printable(message)
        }\n`,
    );
  };
}
