import {
  errorMessage,
  ExitCode,
  type Problem,
  ReplicatorError,
  retry,
  UsageError,
} from "../../core/internal.ts";
import type { JobCommand, JobLogLevel, JobSpecInput, JobState } from "../spec/mod.ts";
import { type EventMessage, readEventMessages } from "./event_messages.ts";

/** A job as returned by the service; see `/v1/openapi.json`. */
export interface RemoteJob {
  /** UUID of the job, for all other requests. */
  readonly id: string;
  /** User that the submitting API key belongs to. */
  readonly owner: string;
  /** `init`, `validate`, `sync`, `status`, `verify` or `cutover`. */
  readonly command: JobCommand;
  /** `queued`, `running`, `succeeded`, `failed`, `cancelled` or `timed_out`. */
  readonly state: JobState;
  /** Name of the queue, chosen by the amount of data. */
  readonly queue: string;
  /** URLs of source and target without passwords, and the options of the command. */
  readonly spec: {
    readonly source: string;
    readonly target: string;
    readonly options?: unknown;
  };
  /** Seconds after which the job times out; null for no limit. */
  readonly timeout_seconds: number | null;
  /** 32 hexadecimal digits, logged by client, service and worker. */
  readonly trace_id: string;
  /** When it was submitted, ISO 8601. */
  readonly created_at: string;
  /** When its first attempt started, ISO 8601; null until then. */
  readonly started_at: string | null;
  /** When it ended, ISO 8601; null until then. */
  readonly finished_at: string | null;
  /** Number of the current attempt; 0 before the first. */
  readonly attempt: number;
  /** Worker of the current attempt; null before the first. */
  readonly worker: string | null;
  /** When its cancellation was requested, ISO 8601; null if never. */
  readonly cancel_requested_at: string | null;
  /** Counts of tables, rows and bytes; null before the first report. */
  readonly progress: {
    readonly step: string | null;
    readonly tables: number;
    readonly tables_finished: number;
    readonly rows: number;
    readonly bytes: number;
    readonly planned_bytes: number;
  } | null;
  /** Exit code the command would have locally; null until it ends. */
  readonly exit_code: number | null;
  /** Why it did not succeed, and the remedy; null otherwise. */
  readonly error: {
    readonly message: string;
    readonly side: string | null;
    readonly object: string | null;
    readonly remedy: string | null;
    readonly details: readonly string[];
  } | null;
}

/** A job with its report. */
export interface RemoteJobWithResult extends RemoteJob {
  /** Report of the command, as `--json` prints it; null without one. */
  readonly result: unknown;
}

/** A line of a job's log. */
export interface RemoteLogLine {
  /** Position in the job's log, increasing from 1. */
  readonly number: number;
  /** When it was logged, ISO 8601. */
  readonly at: string;
  /** `info`, `warn` or `error`. */
  readonly level: JobLogLevel;
  /** Text of the line, without secrets. */
  readonly message: string;
}

/** The service cannot be reached, or rejected a request. */
export class RemoteError extends ReplicatorError {
  /** Class name, for `error.name`. */
  override readonly name = "RemoteError";
  /** The status of the response; undefined if there was none. */
  readonly status: number | undefined;

  /** By default, the exit code is that of an unreachable service. */
  constructor(
    message: string,
    { status, ...details }: ConstructorParameters<typeof ReplicatorError>[1] & {
      readonly status?: number | undefined;
    },
  ) {
    super(message, { exitCode: ExitCode.serviceUnreachable, ...details });
    this.status = status;
  }
}

/** Settings of {@linkcode RemoteClient}. */
export interface RemoteClientOptions {
  /** `https://jobs.example.com` */
  readonly url: string;
  /** API key, sent as the header `x-api-key`. */
  readonly apiKey: string;
  /** Aborting it cancels requests, which reject with its reason. */
  readonly signal: AbortSignal;
  /** 32 hexadecimal digits, also logged by the service and the workers. */
  readonly traceId: string;
  /** Called before each retry. */
  readonly onRetry?: (what: string, attempt: number, delayMs: number) => void;
  /** Pauses before retries. */
  readonly retryDelaysMs?: readonly number[];
}

/** How a request is made. */
interface RequestOptions {
  readonly method?: "GET" | "POST" | "DELETE";
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A request without a response for this long is retried. */
const answerTimeoutMs = 30_000;

/** Following a job tolerates a service that is unavailable for about ten minutes. */
const followDelaysMs: readonly number[] = [
  ...[500, 1_000, 2_000, 4_000, 8_000],
  ...Array<number>(60).fill(10_000),
];

/**
 * A client of the service. Requests that are safe to repeat are retried after transient failures.
 *
 * Requires `--allow-net` for the service's host only.
 */
export class RemoteClient {
  readonly #options: RemoteClientOptions;

  /** Connects with the first request only. */
  constructor(options: RemoteClientOptions) {
    this.#options = options;
  }

  /** Submits a job. Retries do not submit it again. */
  async submit(
    spec: JobSpecInput,
    idempotencyKey: string = crypto.randomUUID(),
  ): Promise<RemoteJob> {
    return await this.#json<RemoteJob>("/v1/jobs", {
      method: "POST",
      body: spec,
      headers: { "idempotency-key": idempotencyKey },
    });
  }

  /** Returns a job. */
  async job(id: string): Promise<RemoteJobWithResult> {
    return await this.#json(`/v1/jobs/${encodeURIComponent(id)}`);
  }

  /** Lists jobs, newest first. */
  async jobs(
    { state, limit = 50 }: { readonly state?: string | undefined; readonly limit?: number } = {},
  ): Promise<readonly RemoteJob[]> {
    const query = new URLSearchParams({ limit: String(limit) });
    if (state !== undefined) query.set("state", state);
    return (await this.#json<{ readonly jobs: readonly RemoteJob[] }>(`/v1/jobs?${query}`)).jobs;
  }

  /** Cancels a job. */
  async cancel(id: string): Promise<RemoteJob> {
    return await this.#json(`/v1/jobs/${encodeURIComponent(id)}/cancel`, { method: "POST" });
  }

  /** Returns the lines of a job's log after a number. */
  async logs(id: string, after = 0): Promise<readonly RemoteLogLine[]> {
    const query = new URLSearchParams({ after: String(after), limit: "1000" });
    const path = `/v1/jobs/${encodeURIComponent(id)}/logs?${query}`;
    return (await this.#json<{ readonly lines: readonly RemoteLogLine[] }>(path)).lines;
  }

  /**
   * Yields a job's events until it has ended. Reconnects and resumes if the connection breaks.
   *
   * @param after the number of the last event already received; 0 starts with the first
   */
  async *follow(id: string, after = 0): AsyncGenerator<EventMessage> {
    const { signal, onRetry } = this.#options;
    let position = after;
    let messages: AsyncGenerator<EventMessage> | undefined;
    const connect = async () =>
      readEventMessages(
        await this.#fetch(`/v1/jobs/${encodeURIComponent(id)}/events`, {
          headers: { accept: "text/event-stream", "last-event-id": String(position) },
        }),
      );
    const readNext = async () => {
      try {
        messages ??= await connect();
        return await messages.next();
      } catch (error) {
        messages = undefined;
        throw error;
      }
    };
    try {
      while (true) {
        const { done, value: message } = await retry(readNext, {
          delaysMs: followDelaysMs,
          isRetryable: isTransientFailure,
          signal,
          onRetry: (_, attempt, delayMs) => onRetry?.(`following job ${id}`, attempt, delayMs),
        });
        if (done) {
          messages = undefined; // the service ended the stream, not the job
          continue;
        }
        if (message.number !== undefined) position = message.number;
        yield message;
        if (message.kind === "end") return;
      }
    } finally {
      await messages?.return(undefined);
    }
  }

  async #json<Result>(path: string, request: RequestOptions = {}): Promise<Result> {
    const { url, signal, onRetry, retryDelaysMs = [500, 1_000, 2_000, 4_000] } = this.#options;
    return await retry(async () => await (await this.#fetch(path, request)).json(), {
      delaysMs: retryDelaysMs,
      minDelayMs: (error) => error instanceof RemoteError && error.status === 429 ? 1_000 : 0,
      isRetryable: isTransientFailure,
      signal,
      onRetry: (_, attempt, delayMs) => onRetry?.(`request to ${url}`, attempt, delayMs),
    });
  }

  async #fetch(path: string, { method = "GET", body, headers }: RequestOptions): Promise<Response> {
    const { url, apiKey, signal, traceId } = this.#options;
    const answered = new AbortController();
    const timer = setTimeout(
      () => answered.abort(new DOMException("no response in time", "TimeoutError")),
      answerTimeoutMs,
    );
    let response: Response;
    try {
      response = await fetch(`${url}${path}`, {
        method,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        headers: {
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          "x-api-key": apiKey,
          traceparent: `00-${traceId}-${crypto.getRandomValues(new Uint8Array(8)).toHex()}-01`,
          ...headers,
        },
        redirect: "error", // never send the key to another host
        signal: AbortSignal.any([signal, answered.signal]),
      });
    } catch (cause) {
      signal.throwIfAborted();
      throw new RemoteError(`the service at ${url} cannot be reached: ${causeMessage(cause)}`, {
        remedy: "check the address, and that the service is running: /healthz responds if it is",
        cause,
      });
    } finally {
      clearTimeout(timer);
    }
    if (response.ok) return response;
    throw await failureOf(response, url);
  }
}

function isTransientFailure(error: unknown): boolean {
  if (!(error instanceof RemoteError)) return error instanceof TypeError || isBrokenBody(error);
  return error.status === undefined || error.status === 429 || error.status >= 500;
}

/** The connection broke within a response. */
function isBrokenBody(error: unknown): boolean {
  return error instanceof Error &&
    (error.name === "Http" || error.name === "ConnectionReset" || error.name === "UnexpectedEof" ||
      error.name === "TimeoutError" || error.name === "Interrupted");
}

function causeMessage(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return errorMessage(cause);
}

interface ProblemDocument {
  readonly detail?: string;
  readonly trace_id?: string;
  readonly problems?: readonly Problem[];
}

async function failureOf(response: Response, url: string): Promise<ReplicatorError> {
  const { status } = response;
  // the error page of a proxy is not JSON
  const problem: ProblemDocument = await response.json().catch(() => ({}));
  if (status === 400 && problem.problems !== undefined) return new UsageError(problem.problems);
  const remedies: Readonly<Record<number, string>> = {
    401: "set SEREN_API_KEY to a key from the service's operator",
    403: "ask the service's operator for a key with this scope",
    404: "list jobs with: jobs list",
  };
  return new RemoteError(problem.detail ?? `${url} responded with status ${status}`, {
    status,
    object: url,
    details: problem.trace_id === undefined ? [] : [`trace id ${problem.trace_id}`],
    remedy: remedies[status],
    ...(status < 500 && status !== 429 ? { exitCode: ExitCode.usage } : {}),
  });
}
