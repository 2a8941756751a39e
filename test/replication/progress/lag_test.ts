import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import {
  hoursUntilLost,
  lagOf,
  type SlotReading,
  type SourceReading,
  walRate,
} from "../../../lib/replication/progress/lag.ts";

const base: SlotReading = {
  name: "s",
  plugin: "pgoutput",
  database: "app",
  temporary: false,
  active: true,
  activePid: 1,
  restartLsn: 0n,
  confirmedFlushLsn: 1000n,
  walStatus: "reserved",
  safeWalBytes: undefined,
  inactiveMs: undefined,
  invalidationReason: undefined,
  replayLagMs: undefined,
  segmentAgeMs: undefined,
};

function reading(atMs: number, wal: bigint, slot: Partial<SlotReading> = {}): SourceReading {
  return { atMs, wal, slots: [{ ...base, ...slot }] };
}

Deno.test("lagOf() is zero when nothing is pending, although the server reports NULL and the last message is old", () => {
  deepStrictEqual(
    lagOf("s", { before: reading(0, 1000n), now: reading(1000, 1000n), silenceMs: 29_000 }),
    { bytes: 0, seconds: 0, appliedBytesPerSecond: 0, catchUpSeconds: 0 },
  );
});

Deno.test("lagOf() of an idle system with a new WAL record is at most the time between the readings", () => {
  const lag = lagOf("s", {
    before: reading(0, 1000n),
    now: reading(1000, 1200n),
    silenceMs: 29_000,
  });
  deepStrictEqual([lag.bytes, lag.seconds], [200, 0]);
});

Deno.test("lagOf() is at least the longest known time when changes are pending", () => {
  const before = reading(0, 5000n);
  const seconds = (slot: Partial<SlotReading>, silenceMs?: number) =>
    lagOf("s", { before, now: reading(1000, 6000n, slot), silenceMs }).seconds;
  strictEqual(seconds({}), 1);
  strictEqual(seconds({}, 7000), 7);
  strictEqual(seconds({ replayLagMs: 9000 }, 7000), 9);
  strictEqual(seconds({ segmentAgeMs: 60_000 }, 7000), 60);
  strictEqual(seconds({ active: false, inactiveMs: 3000 }, 7000), 3);
  strictEqual(seconds({ active: false }), undefined);
});

Deno.test("lagOf() estimates the time to catch up, if it will", () => {
  const catchUp = (applied: bigint, wal: bigint) =>
    lagOf("s", {
      before: reading(0, 5000n),
      now: reading(1000, wal, { confirmedFlushLsn: applied }),
      silenceMs: 0,
    }).catchUpSeconds;
  strictEqual(catchUp(3000n, 6000n), 3); // gains 1000 a second
  strictEqual(catchUp(1500n, 6000n), undefined);
});

Deno.test("lagOf() is unknown for a missing or lost slot, and never negative", () => {
  const before = reading(0, 1000n);
  strictEqual(lagOf("other", { before, now: before, silenceMs: 0 }).bytes, undefined);
  const lost = reading(1, 9000n, { walStatus: "lost" });
  strictEqual(lagOf("s", { before, now: lost, silenceMs: 0 }).seconds, undefined);
  const lsn = fc.bigInt({ min: 0n, max: 1n << 60n });
  fc.assert(fc.property(lsn, lsn, lsn, fc.nat(), (a, b, confirmed, ms) => {
    const now = reading(ms, b, { confirmedFlushLsn: confirmed });
    const lag = lagOf("s", { before: reading(0, a), now, silenceMs: undefined });
    for (const value of Object.values(lag)) ok(value === undefined || value >= 0);
  }));
});

Deno.test("hoursUntilLost() and walRate() need a time and a limit", () => {
  strictEqual(walRate(reading(0, 0n), reading(2000, 4000n)), 2000);
  strictEqual(walRate(reading(5, 0n), reading(5, 4000n)), undefined);
  strictEqual(hoursUntilLost({ safeWalBytes: 7_200_000 }, 1000), 2);
  strictEqual(hoursUntilLost({ safeWalBytes: undefined }, 1000), undefined);
  strictEqual(hoursUntilLost({ safeWalBytes: 10 }, 0), undefined);
  strictEqual(hoursUntilLost({ safeWalBytes: -5 }, 0), 0);
});
