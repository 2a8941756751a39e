/** Polling ends with the first result, after the timeout, or when the signal aborts. */
import { poll, repeatUntilAborted } from "../../lib/core/internal.ts";
import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";

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

Deno.test("poll() stops after the last probe, without a pause after it", async () => {
  const pauses: number[] = [];
  const intervalMs = (probes: number) => {
    pauses.push(probes);
    return 0;
  };
  const never = () => Promise.resolve(undefined);
  strictEqual(await poll(never, { intervalMs, maxProbes: 3 }), undefined);
  deepStrictEqual(pauses, [1, 2]);
});

Deno.test("repeatUntilAborted() repeats until work answers false or the signal aborts", async () => {
  const { signal } = new AbortController();
  const calls: number[] = [];
  await repeatUntilAborted((call) => {
    calls.push(call);
    return Promise.resolve(call < 2);
  }, { intervalMs: 0, signal });
  deepStrictEqual(calls, [0, 1, 2]);
  const abort = new AbortController();
  await repeatUntilAborted(() => {
    abort.abort(new Error("ended"));
    return Promise.resolve();
  }, { intervalMs: 60_000, signal: abort.signal });
  await repeatUntilAborted(
    () => Promise.reject(new Error("called although the signal has aborted")),
    { intervalMs: 0, signal: abort.signal },
  );
  await rejects(
    repeatUntilAborted(() => Promise.reject(new Error("lost")), { intervalMs: 0, signal }),
    /lost/,
  );
});
