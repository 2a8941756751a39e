import {
  errorMessage,
  ExitCode,
  type Problem,
  ReplicatorError,
  UsageError,
} from "../../core/internal.ts";
import { pause, retry } from "../../postgres/internal.ts";
import type { JobCommand, JobLogLevel, JobSpecInput, JobState } from "../spec/mod.ts";
import { type EventMessage, readEventMessages } from "./event_messages.ts";

/** A job as the service gives it; see `/v1/openapi.json`. */
export interface RemoteJob {
  readonly id: string;
  readonly owner: string;
  readonly command: JobCommand;
  readonly state: JobState;
  readonly queue: string;
  readonly spec: { readonly source: string; readonly target: string };
  readonly timeout_seconds: number;
  readonly trace_id: string;
  readonly created_at: string;
  readonly started_at: string | null;
  readonly finished_at: string | null;
  readonly attempt: number;
  readonly worker: string | null;
  readonly cancel_requested_at: string | null;
  readonly progress: {
    readonly step: string | null;
    readonly tables: number;
    readonly tables_finished: number;
    readonly rows: number;
    readonly bytes: number;
    readonly planned_bytes: number;
  } | null;
  readonly exit_code: number | null;
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
  readonly result: unknown;
}

/** A line of a job's log. */
export interface RemoteLogLine {
  readonly number: number;
  readonly at: string;
  readonly level: JobLogLevel;
  readonly message: string;
}

/** The service cannot be reached, or did not do what it was asked to. */
export class RemoteError extends ReplicatorError {
  override readonly name = "RemoteError";
  /** Of the answer; undefined when there was none. */
  readonly status: number | undefined;

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

/** Where the service is, and who asks. */
export interface RemoteClientOptions {
  /** `https://jobs.example.com` */
  readonly url: string;
  readonly apiKey: string;
  readonly signal: AbortSignal;
  /** 32 hexadecimal digits: the service's and the workers' log lines have them too. */
  readonly traceId: string;
  /** Told before each further attempt. */
  readonly onRetry?: (what: string, attempt: number, delayMs: number) => void;
  /** Pauses before each further attempt. */
  readonly retryDelaysMs?: readonly number[];
}

/** How a request is made. */
interface RequestOptions {
  readonly method?: "GET" | "POST" | "DELETE";
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Without an answer for so long, a request is made again. */
const answerTimeoutMs = 30_000;

/** An attempt to follow a job goes on for about ten minutes of a service that does not answer. */
const followDelaysMs: readonly number[] = [
  ...[500, 1_000, 2_000, 4_000, 8_000],
  ...Array<number>(60).fill(10_000),
];

/**
 * Talks to a service. What can be repeated is repeated when the network or the service fails for a
 * moment.
 *
 * Requires `--allow-net` of the service's host, and of nothing else.
 */
export class RemoteClient {
  readonly #options: RemoteClientOptions;

  constructor(options: RemoteClientOptions) {
    this.#options = options;
  }

  /** Submits a job, once however often the request has to be repeated. */
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

  /** A job. */
  async job(id: string): Promise<RemoteJobWithResult> {
    return await this.#json(`/v1/jobs/${encodeURIComponent(id)}`);
  }

  /** Jobs, the newest first. */
  async jobs(
    { state, limit = 50 }: { readonly state?: string | undefined; readonly limit?: number } = {},
  ): Promise<readonly RemoteJob[]> {
    const query = new URLSearchParams({ limit: String(limit) });
    if (state !== undefined) query.set("state", state);
    return (await this.#json<{ readonly jobs: readonly RemoteJob[] }>(`/v1/jobs?${query}`)).jobs;
  }

  /** Asks a job to end. */
  async cancel(id: string): Promise<RemoteJob> {
    return await this.#json(`/v1/jobs/${encodeURIComponent(id)}/cancel`, { method: "POST" });
  }

  /** Lines of a job's log after a number. */
  async logs(id: string, after = 0): Promise<readonly RemoteLogLine[]> {
    const query = new URLSearchParams({ after: String(after), limit: "1000" });
    const path = `/v1/jobs/${encodeURIComponent(id)}/logs?${query}`;
    return (await this.#json<{ readonly lines: readonly RemoteLogLine[] }>(path)).lines;
  }

  /**
   * What happens to a job, until it is over. Goes on where it was when the connection breaks.
   *
   * @param after the number of the last event that is known; 0 begins with the first
   */
  async *follow(id: string, after = 0): AsyncGenerator<EventMessage> {
    const { signal, onRetry } = this.#options;
    let position = after;
    let failures = 0;
    while (true) {
      try {
        const response = await this.#fetch(`/v1/jobs/${encodeURIComponent(id)}/events`, {
          headers: { accept: "text/event-stream", "last-event-id": String(position) },
        });
        for await (const message of readEventMessages(response)) {
          failures = 0;
          if (message.number !== undefined) position = message.number;
          yield message;
          if (message.kind === "end") return;
        }
      } catch (error) {
        signal.throwIfAborted();
        const delayMs = followDelaysMs[failures];
        if (!isPassing(error) || delayMs === undefined) throw error;
        failures++;
        onRetry?.(`following job ${id}`, failures, delayMs);
        await pause(delayMs, signal);
      }
    }
  }

  async #json<Result>(path: string, request: RequestOptions = {}): Promise<Result> {
    const { url, signal, onRetry, retryDelaysMs = [500, 1_000, 2_000, 4_000] } = this.#options;
    return await retry(async () => await (await this.#fetch(path, request)).json(), {
      delaysMs: retryDelaysMs,
      minDelayMs: (error) => error instanceof RemoteError && error.status === 429 ? 1_000 : 0,
      isRetryable: isPassing,
      signal,
      onRetry: (_, attempt, delayMs) => onRetry?.(`asking ${url}`, attempt, delayMs),
    });
  }

  async #fetch(path: string, { method = "GET", body, headers }: RequestOptions): Promise<Response> {
    const { url, apiKey, signal, traceId } = this.#options;
    const answered = new AbortController();
    const timer = setTimeout(
      () => answered.abort(new DOMException("no answer in time", "TimeoutError")),
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
        redirect: "error", // a key goes to the service that was named, and nowhere else
        signal: AbortSignal.any([signal, answered.signal]),
      });
    } catch (cause) {
      signal.throwIfAborted();
      throw new RemoteError(`the service at ${url} cannot be reached: ${reasonOf(cause)}`, {
        remedy: "is the address right, and does the service run? Its /healthz answers when it does",
        cause,
      });
    } finally {
      clearTimeout(timer);
    }
    if (response.ok) return response;
    throw await failureOf(response, url);
  }
}

function isPassing(error: unknown): boolean {
  if (!(error instanceof RemoteError)) return error instanceof TypeError || isBrokenBody(error);
  return error.status === undefined || error.status === 429 || error.status >= 500;
}

/** The connection broke in the middle of an answer. */
function isBrokenBody(error: unknown): boolean {
  return error instanceof Error &&
    (error.name === "Http" || error.name === "ConnectionReset" || error.name === "UnexpectedEof" ||
      error.name === "TimeoutError" || error.name === "Interrupted");
}

function reasonOf(error: unknown): string {
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
  // a proxy's page is no JSON
  const problem: ProblemDocument = await response.json().catch(() => ({}));
  if (status === 400 && problem.problems !== undefined) return new UsageError(problem.problems);
  const remedies: Readonly<Record<number, string>> = {
    401: "set SEREN_API_KEY to a key that the service's operator gave you",
    403: "ask the service's operator for a key that may do this",
    404: "jobs list shows the jobs that there are",
  };
  return new RemoteError(problem.detail ?? `${url} answered with status ${status}`, {
    status,
    object: url,
    details: problem.trace_id === undefined ? [] : [`trace id ${problem.trace_id}`],
    remedy: remedies[status],
    ...(status < 500 && status !== 429 ? { exitCode: ExitCode.usage } : {}),
  });
}
