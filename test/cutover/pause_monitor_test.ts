import { deepStrictEqual, ok } from "node:assert/strict";
import type { RunEvent } from "../../lib/core/internal.ts";
import type { DatabaseSwitch } from "../../lib/cutover/internal.ts";
import { PauseMonitor } from "../../lib/cutover/internal.ts";

Deno.test("a connection that stalls while the pause is watched does not hold up its end", async () => {
  const stalled = Promise.withResolvers<{ sessions: number; longestMs: number }>();
  const database = { waiters: () => stalled.promise, lagBytes: () => Promise.resolve(0) };
  const events: RunEvent[] = [];
  const startedMs = performance.now();
  const monitor = new PauseMonitor([database as unknown as DatabaseSwitch], {
    events: (event) => events.push(event),
    startedMs,
    maxPauseMs: 5_000,
  });
  await monitor[Symbol.asyncDispose]();
  ok(performance.now() - startedMs < 30_000);
  // an answer that comes later is not shown
  stalled.resolve({ sessions: 1, longestMs: 1 });
  await stalled.promise;
  await new Promise((resolve) => setTimeout(resolve, 0));
  deepStrictEqual(events.map((event) => event.kind === "cutover-pause" && event.isOver), [true]);
});
