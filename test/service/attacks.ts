/**
 * Connections that never complete their request, reopened when the service closes them.
 */
export class SlowLoris implements AsyncDisposable {
  /** Connections that the service closed. */
  closed = 0;
  refused = 0;
  readonly #ended = new AbortController();
  readonly #running: Promise<void>[];

  constructor(port: number, count: number) {
    this.#running = Array.from({ length: count }, (_, index) => this.#hold(port, index));
  }

  async #hold(port: number, index: number): Promise<void> {
    const { signal } = this.#ended;
    const head = index % 2 === 0
      ? "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-slow: "
      : "POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 10000\r\n\r\n";
    while (!signal.aborted) {
      try {
        using connection = await Deno.connect({ hostname: "127.0.0.1", port });
        await connection.write(new TextEncoder().encode(head));
        while (!signal.aborted) {
          await pause(1_000, signal);
          await connection.write(new TextEncoder().encode(" "));
        }
      } catch (error) {
        if (error instanceof Deno.errors.ConnectionRefused) this.refused++;
        else this.closed++;
        await pause(1_000, signal);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    await Promise.all(this.#running);
  }
}

/**
 * Sends oversized bodies, one with Content-Length and one streamed. Returns the responses and how
 * many bytes were sent.
 */
export async function oversize(
  url: string,
  key: string,
): Promise<{ readonly announced: string; readonly streamed: string; readonly sentBytes: number }> {
  const headers = { "x-api-key": key, "content-type": "application/json" };
  const chunk = new Uint8Array(64 * 1024).fill(32);
  const announced = await outcome(`${url}/v1/jobs`, headers, new Uint8Array(1024 * 1024).fill(32));
  let sentBytes = 0;
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      sentBytes += chunk.length;
      if (sentBytes > 64 * 1024 * 1024) controller.close();
      else controller.enqueue(chunk);
    },
  });
  return { announced, streamed: await outcome(`${url}/v1/jobs`, headers, body), sentBytes };
}

async function outcome(
  url: string,
  headers: Record<string, string>,
  body: BodyInit,
): Promise<string> {
  try {
    const signal = AbortSignal.timeout(20_000);
    const response = await fetch(url, { method: "POST", headers, body, signal });
    await response.body?.cancel();
    return String(response.status);
  } catch (error) {
    return error instanceof Error && error.name === "TimeoutError" ? "no answer" : "closed";
  }
}

/** Waits; resolves early when the signal aborts. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) resolve();
  const end = () => {
    clearTimeout(timer);
    resolve();
  };
  const timer = setTimeout(() => {
    signal.removeEventListener("abort", end);
    resolve();
  }, ms);
  signal.addEventListener("abort", end, { once: true });
  return promise;
}
