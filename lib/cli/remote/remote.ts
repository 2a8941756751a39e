import {
  type ErrorDetails,
  ExitCode,
  InterruptedError,
  ReplicatorError,
  UsageError,
} from "../../core/internal.ts";
import type { Endpoint } from "../../postgres/internal.ts";
import type { DatabaseSelection, SyncSettings } from "../../commands/shared/run.ts";
import type { TableRules } from "../../rules/internal.ts";
import {
  endpointUrl,
  type JobSpecInput,
  RemoteClient,
  type RemoteJobWithResult,
  specVersion,
  writeJobRules,
} from "../../remote/mod.ts";
import type { CommandContext } from "../context.ts";
import { cancelText } from "../../remote/spec/mod.ts";
import { printLines } from "../print/print.ts";
import type { RemotePlace } from "./remote_place.ts";

/** The part of a command's options that every job has. */
export interface RemoteScope {
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly databases: Pick<DatabaseSelection, "include" | "exclude"> & {
    readonly map?: Readonly<Record<string, string>>;
  };
  readonly rules?: TableRules;
  readonly sync?: SyncSettings | undefined;
}

/** The part of a job that all commands share. @throws UsageError for what a service cannot run */
export function jobScope(
  { source, target, databases, rules, sync }: RemoteScope,
): Omit<JobSpecInput, "command" | "options"> {
  const from = endpointUrl(source, "--source");
  const to = endpointUrl(target, "--target");
  const between = sync?.sourceFromTarget === undefined
    ? undefined
    : endpointUrl(sync.sourceFromTarget, "--source-from-target");
  const problems = [from, to, ...(between === undefined ? [] : [between])]
    .flatMap((each) => each.problems);
  if (from.url === undefined || to.url === undefined || problems.length > 0) {
    throw new UsageError(problems);
  }
  return {
    schema_version: specVersion,
    source_url: from.url,
    target_url: to.url,
    ...(between?.url === undefined ? {} : { source_from_target_url: between.url }),
    filters: {
      include_databases: [...databases.include],
      exclude_databases: [...databases.exclude],
      map: { ...databases.map },
    },
    ...(rules === undefined ? {} : { rules: writeJobRules(rules) }),
  };
}

/** Opens the client of a service. */
export function openRemote(
  place: RemotePlace,
  { run, signal = run.signal }: {
    readonly run: CommandContext["run"];
    readonly signal?: AbortSignal;
  },
): RemoteClient {
  return new RemoteClient({
    ...place,
    signal,
    onRetry: (what, attempt, delayMs) => run.events({ kind: "retry", what, attempt, delayMs }),
  });
}

/**
 * Submits a job, shows it as if it ran here, and returns its report.
 *
 * Ctrl-C asks whether to leave the job running or cancel it; without a terminal it keeps running.
 *
 * @throws ReplicatorError with the job's exit code if it has no report
 */
export async function runRemotely<Result>(
  spec: JobSpecInput,
  { place, context, onUnfinished }: {
    readonly place: RemotePlace;
    readonly context: CommandContext;
    /** Receives the report of what a failed job did; then the error is thrown. */
    readonly onUnfinished?: ((result: unknown) => Promise<void>) | undefined;
  },
): Promise<Result> {
  const client = openRemote(place, context);
  const job = await client.submit(spec);
  const { options = {} } = spec;
  const isPlan = "dry_run" in options && options.dry_run === true;
  context.run.events({
    kind: "info",
    message: `${isPlan ? "plan" : "job"} ${job.id} on ${place.url}`,
  });
  const finished = await followJob(job.id, { place, context });
  if (hasFailed(finished) && finished.result !== null) await onUnfinished?.(finished.result);
  return resultOf(finished) as Result;
}

/** Shows a job until it has finished. */
export async function followJob(
  id: string,
  { place, context }: { readonly place: RemotePlace; readonly context: CommandContext },
): Promise<RemoteJobWithResult> {
  const { run } = context;
  const position = { number: 0 };
  try {
    return await watch(openRemote(place, context), id, { context, position });
  } catch (error) {
    if (!run.signal.aborted) throw error;
  }
  // after Ctrl-C: what follows ignores the aborted signal, and a second Ctrl-C ends the process
  const client = openRemote(place, { run, signal: new AbortController().signal });
  if (!await wantsCancel(id, { client, context })) {
    throw new InterruptedError(`job ${id} continues`, {
      remedy: `jobs attach ${id} shows it again`,
    });
  }
  await client.cancel(id);
  context.progress.print("Cancelling…");
  return await watch(client, id, { context, position });
}

async function watch(
  client: RemoteClient,
  id: string,
  { context: { run, progress }, position }: {
    readonly context: CommandContext;
    /** The last event shown; following resumes after it. */
    readonly position: { number: number };
  },
): Promise<RemoteJobWithResult> {
  for await (const message of client.follow(id, position.number)) {
    position.number = message.number ?? position.number;
    if (message.kind === "run") run.events(message.event);
    else if (message.kind === "state" && message.state === "queued" && message.attempt === 0) {
      run.events({
        kind: "info",
        message: `waiting for a worker${message.reason === undefined ? "" : `: ${message.reason}`}`,
      });
    } else if (message.kind === "state" && message.state === "queued") {
      run.events({
        kind: "info",
        message: `waiting for another worker: ${message.reason ?? "the previous one was lost"}`,
      });
    } else if (message.kind === "state" && message.state === "running" && message.attempt > 1) {
      run.events({ kind: "info", message: `attempt ${message.attempt}` });
    }
  }
  progress.pause();
  return await client.job(id);
}

async function wantsCancel(
  id: string,
  { client, context: { terminal, progress } }: {
    readonly client: RemoteClient;
    readonly context: CommandContext;
  },
): Promise<boolean> {
  progress.pause();
  if (!terminal.canAsk) return false;
  // without an answer of the service, the question alone
  const job = await client.job(id).catch(() => undefined);
  if (job !== undefined) {
    printLines(terminal.stderr, [`If you cancel it: ${cancelText(job)}`]);
  }
  const answer = await terminal.ask(
    `Leave job ${id} running on the service, or cancel it? [l]eave / [c]ancel `,
  );
  return /^\s*c(ancel)?\s*$/i.test(answer ?? "");
}

/** Whether a job failed; it may still have a result, of what it did before. */
export function hasFailed({ error }: Pick<RemoteJobWithResult, "error">): boolean {
  return error !== null && error !== undefined;
}

/** The report of a finished job. @throws ReplicatorError if it failed */
export function resultOf(
  { state, result, error, exit_code, trace_id }: RemoteJobWithResult,
): unknown {
  if (!hasFailed({ error }) && result !== null && result !== undefined) return result;
  if (state === "cancelled") throw new InterruptedError(error?.message ?? "cancelled");
  const code = Object.values(ExitCode).find((each) => each === exit_code) ?? ExitCode.internal;
  const side = error?.side === "source" || error?.side === "target" ? error.side : undefined;
  const details: ErrorDetails = {
    side,
    object: error?.object ?? undefined,
    remedy: error?.remedy ?? undefined,
    details: [...(error?.details ?? []), `trace id ${trace_id}`],
    exitCode: code,
  };
  throw new ReplicatorError(error?.message ?? `the job ended: ${state}`, details);
}
