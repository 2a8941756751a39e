import { retry, type RetryOptions } from "../../lib/core/internal.ts";
import { deepStrictEqual, rejects } from "node:assert/strict";

const passing = new Error("passing");
const isRetryable = (error: unknown) => error === passing;

/** Fails `failures` times and returns the attempts that `onRetry` was called with. */
async function attemptsOf(
  failures: number,
  options: RetryOptions,
  during: (attempt: { readonly retries: number; reportProgress(): void }) => unknown = () => {},
): Promise<readonly number[]> {
  const seen: number[] = [];
  await retry(async (attempt) => {
    await during(attempt);
    if (attempt.retries < failures) throw passing;
  }, { isRetryable, onRetry: (_, attempt) => void seen.push(attempt), ...options });
  return seen;
}

Deno.test("work is retried after retryable failures, once for each pause", async () => {
  deepStrictEqual(await attemptsOf(2, { delaysMs: [0, 0] }), [1, 2]);
  await rejects(() => attemptsOf(3, { delaysMs: [0, 0] }), passing);
  await rejects(
    () => retry(() => Promise.reject(new Error("final")), { delaysMs: [0], isRetryable }),
    /final/,
  );
});

Deno.test("pauses start over after an attempt that reported progress", async () => {
  const seen = await attemptsOf(4, { delaysMs: [0, 0] }, ({ retries, reportProgress }) => {
    if (retries === 2) reportProgress();
  });
  deepStrictEqual(seen, [1, 2, 1, 2]);
});

Deno.test("pauses start over after an attempt that ran for long enough", async () => {
  const seen = await attemptsOf(3, { delaysMs: [0, 0], resetAfterMs: 200 }, async ({ retries }) => {
    const start = performance.now();
    while (retries === 2 && performance.now() - start <= 200) await Promise.resolve();
  });
  deepStrictEqual(seen, [1, 2, 1]);
});

Deno.test("the last pause is repeated on request", async () => {
  deepStrictEqual(await attemptsOf(3, { delaysMs: [0], repeatsLastDelay: true }), [1, 2, 3]);
});

Deno.test("a failure can call for a longer pause", async () => {
  const pauses: number[] = [];
  await attemptsOf(1, {
    delaysMs: [0],
    minDelayMs: () => 3,
    onRetry: (_error, _attempt, delayMs) => void pauses.push(delayMs),
  });
  deepStrictEqual(pauses, [3]);
});

Deno.test("an aborted signal ends retrying with its reason", async () => {
  const abort = new AbortController();
  const reason = new Error("interrupted");
  await rejects(
    attemptsOf(2, { delaysMs: [0, 0], signal: abort.signal }, () => abort.abort(reason)),
    reason,
  );
});
