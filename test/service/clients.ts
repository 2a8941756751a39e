/** An API key and the jobs submitted with it. */
export interface Client {
  readonly name: string;
  readonly key: string;
  /** Ids of jobs by their number. */
  readonly jobs: Map<number, string>;
}

/** Outcomes of requests. */
export class Requests {
  /** Counts by status; 0 is a failed connection. */
  readonly statuses = new Map<number, number>();
  readonly msOf: number[] = [];

  /** Sends a request; returns undefined if there was no response. */
  async send(url: string, init: RequestInit): Promise<Response | undefined> {
    const start = performance.now();
    const response = await fetch(url, { ...init, signal: AbortSignal.timeout(20_000) }).catch(
      () => undefined,
    );
    this.statuses.set(response?.status ?? 0, (this.statuses.get(response?.status ?? 0) ?? 0) + 1);
    if (response !== undefined) this.msOf.push(performance.now() - start);
    return response;
  }

  get text(): string {
    return [...this.statuses].toSorted(([a], [b]) => a - b)
      .map(([status, count]) => `${count} × ${status === 0 ? "no answer" : status}`).join(", ");
  }
}

/**
 * Submits a job until an instance has accepted it, always with the same idempotency key.
 */
export async function submit(
  { client, number, spec, instances, requests }: {
    readonly client: Client;
    readonly number: number;
    readonly spec: unknown;
    readonly instances: readonly string[];
    readonly requests: Requests;
  },
): Promise<void> {
  for (let attempt = number;; attempt++) {
    const response = await requests.send(`${instances[attempt % instances.length]}/v1/jobs`, {
      method: "POST",
      headers: {
        "x-api-key": client.key,
        "content-type": "application/json",
        "idempotency-key": `job-${number}`,
      },
      body: JSON.stringify(spec),
    });
    const body = await response?.json().catch(() => undefined);
    if (response?.ok && body !== undefined) {
      client.jobs.set(number, body.id);
      return;
    }
    const retryable = response === undefined || response.status === 429 ||
      response.status >= 500 || response.ok;
    if (!retryable) throw new Error(`${response.status} ${JSON.stringify(body)}`);
    await new Promise((resolve) => setTimeout(resolve, 500)); // like an ordinary client
  }
}

/** The value that the fraction `part` of the values does not exceed. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? NaN;
}
