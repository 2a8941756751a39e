/// <reference lib="dom" />
import type { JobView, KeyView } from "../lib/remote/api/views.ts";
import type { LogLine } from "../lib/remote/store/journal_entry.ts";

/** A job with its report. */
export type JobWithResult = JobView & { readonly result: unknown };

/** A line of a job's log. */
export type LogView = Omit<LogLine, "at"> & { readonly at: string };

/** The service rejected a request. */
export class Refusal extends Error {
  readonly status: number;
  readonly traceId: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    { status, traceId, retryAfterMs }: {
      readonly status: number;
      readonly traceId: string | undefined;
      readonly retryAfterMs: number | undefined;
    },
  ) {
    super(message);
    this.status = status;
    this.traceId = traceId;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The service or its database is unavailable. */
class Unreachable extends Error {}

/** Settings of {@linkcode Api}. */
export interface ApiOptions {
  readonly key: string;
  /** Called after each request with whether the service responded. */
  readonly onReach: (reached: boolean) => void;
  /** Called when the key is no longer accepted. */
  readonly onLocked: (refusal: Refusal) => void;
}

const requestMs = 20_000;

/** A client of the service's API. The key is sent in a header only. */
export class Api {
  readonly #options: ApiOptions;
  #aheadMs = 0;

  constructor(options: ApiOptions) {
    this.#options = options;
  }

  /** The service's time, since this machine's clock may be wrong. */
  now(): number {
    return Date.now() + this.#aheadMs;
  }

  async me(): Promise<KeyView> {
    return await this.#json("/v1/me");
  }

  async jobs(
    { signal, ...query }: {
      readonly state?: string | undefined;
      readonly after?: string | undefined;
      readonly limit: number;
      readonly signal: AbortSignal;
    },
  ): Promise<readonly JobView[]> {
    const { jobs } = await this.#json<{ readonly jobs: readonly JobView[] }>(
      `/v1/jobs?${search(query)}`,
      { signal },
    );
    return jobs;
  }

  async job(id: string, signal: AbortSignal): Promise<JobWithResult> {
    return await this.#json(`/v1/jobs/${encodeURIComponent(id)}`, { signal });
  }

  async cancel(id: string): Promise<JobView> {
    return await this.#json(`/v1/jobs/${encodeURIComponent(id)}/cancel`, { method: "POST" });
  }

  async logs(
    { id, signal, ...query }: {
      readonly id: string;
      readonly after?: number;
      readonly before?: number;
      readonly limit: number;
      readonly signal: AbortSignal;
    },
  ): Promise<readonly LogView[]> {
    const { lines } = await this.#json<{ readonly lines: readonly LogView[] }>(
      `/v1/jobs/${encodeURIComponent(id)}/logs?${search(query)}`,
      { signal },
    );
    return lines;
  }

  /** Opens the stream of a job's events, which continues until the job has ended. */
  async events(id: string, after: number, signal: AbortSignal): Promise<Response> {
    const path = `/v1/jobs/${encodeURIComponent(id)}/events?${search({ after })}`;
    return await this.#request(path, { signal });
  }

  async #json<Value>(path: string, init: RequestInit = {}): Promise<Value> {
    const signals = [AbortSignal.timeout(requestMs), ...(init.signal ? [init.signal] : [])];
    const response = await this.#request(path, { ...init, signal: AbortSignal.any(signals) });
    return await response.json();
  }

  async #request(path: string, init: RequestInit): Promise<Response> {
    const { key, onReach, onLocked } = this.#options;
    let response: Response;
    try {
      response = await fetch(path, {
        ...init,
        headers: { "x-api-key": key },
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
      });
    } catch (cause) {
      // leaving the view does not mean that the service is unavailable
      if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
      onReach(false);
      throw new Unreachable("the service is not responding", { cause });
    }
    const date = Date.parse(response.headers.get("date") ?? "");
    // the header has a resolution of one second; ignores that and network latency
    if (Math.abs(date - Date.now()) > 2_000) this.#aheadMs = date - Date.now();
    if (response.ok) {
      onReach(true);
      return response;
    }
    const refusal = await readRefusal(response);
    const isUnavailable = [502, 503, 504].includes(response.status);
    onReach(!isUnavailable);
    if (isUnavailable) throw new Unreachable(refusal.message);
    if (response.status === 401) onLocked(refusal);
    throw refusal;
  }
}

async function readRefusal(response: Response): Promise<Refusal> {
  const problem: { readonly detail?: unknown; readonly trace_id?: unknown } = await response.json()
    .catch(() => ({})); // the error page of a proxy is not JSON
  const seconds = Number(response.headers.get("retry-after") ?? NaN);
  return new Refusal(
    typeof problem.detail === "string"
      ? problem.detail
      : `the service responded with status ${response.status}`,
    {
      status: response.status,
      traceId: typeof problem.trace_id === "string" ? problem.trace_id : undefined,
      retryAfterMs: Number.isFinite(seconds) ? seconds * 1000 : undefined,
    },
  );
}

function search(query: Readonly<Record<string, string | number | undefined>>): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)]]
  );
  return new URLSearchParams(pairs).toString();
}
