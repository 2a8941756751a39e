/** Polling ends with the first result, after the timeout, or when the signal aborts. */
import { poll } from "../../lib/core/internal.ts";
import { rejects, strictEqual } from "node:assert/strict";

Deno.test("poll() asks until there is a result, and counts its probes", async () => {
  const result = await poll(
    (probes) => Promise.resolve(probes === 3 ? `after ${probes}` : undefined),
    { intervalMs: 1 },
  );
  strictEqual(result, "after 3");
});

Deno.test("poll() asks once without time, and returns undefined after the timeout", async () => {
  let asked = 0;
  const never = () => {
    asked++;
    return Promise.resolve(undefined);
  };
  strictEqual(await poll(never, { intervalMs: 10, timeoutMs: 0 }), undefined);
  strictEqual(asked, 1);
});

Deno.test("poll() rejects with the signal's reason, and with an error of the probe", async () => {
  const abort = new AbortController();
  const reason = new Error("ended");
  const polling = poll(() => {
    abort.abort(reason);
    return Promise.resolve(undefined);
  }, { intervalMs: 60_000, signal: abort.signal });
  await rejects(polling, reason);
  await rejects(poll(() => Promise.reject(reason), { intervalMs: 1 }), reason);
});
