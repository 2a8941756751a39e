import { deepStrictEqual as equal, match, ok } from "node:assert/strict";
import {
  govern,
  type GovernorLimits,
  type GovernorState,
  initialGovernorState,
  type SourceSample,
} from "./governor_decision.ts";
import { RateLimiter } from "./rate_limiter.ts";

const MB = 1024 * 1024;
const limits: GovernorLimits = {
  lagBytes: 256 * MB,
  leastBytesPerSecond: 4 * MB,
  fruitless: 3,
  snapshotAge: 1_000,
};

/** Lets the governor see lags of one standby, one after the other; gives back what it told. */
function follow(
  lags: readonly number[],
  { rate = 80, state = initialGovernorState }: { rate?: number; state?: GovernorState } = {},
) {
  const told: string[] = [];
  for (const lag of lags) {
    const sample: SourceSample = {
      bytesPerSecond: rate * MB,
      standbys: [{ name: "s1", lagBytes: lag * MB }],
      waiters: [],
      snapshotAge: undefined,
    };
    const decision = govern(state, sample, limits);
    state = decision.state;
    told.push(...decision.notes.map(({ message }) => message));
  }
  return { state, told };
}

Deno.test("govern() halves the speed while a standby falls behind, and gives it back in steps", () => {
  const { told, state } = follow([10, 310, 400, 350, 290, 60, 30]);
  equal(told, [
    "slowed to 40.0 MB/s: standby s1 is 310 MB behind",
    "slowed to 20.0 MB/s: standby s1 is 400 MB behind",
    "up to 40.0 MB/s again: the standbys have caught up",
    "back to full speed: the standbys have caught up",
  ]);
  equal(state.bytesPerSecond, undefined);
});

Deno.test("govern() minds what came since the beginning: a standby that is delayed on purpose is none of the copy's doing", () => {
  equal(follow([5_000, 5_100, 5_200]).told, []);
  equal(follow([5_000, 5_300]).told.length, 1);
});

Deno.test("govern() gives a standby up that falls behind however slow the copy is", () => {
  const { told, state } = follow([0, 300, 400, 500, 600, 700, 800]);
  match(told.at(-1) ?? "", /^back to full speed: .* however slow/);
  equal(state.bytesPerSecond, undefined);
});

Deno.test("govern() goes no slower than a copy can bear, and slows nothing when nothing is copied", () => {
  equal(follow([0, 300], { rate: 5 }).state.bytesPerSecond, 4 * MB);
  equal(follow([0, 300], { rate: 0 }).told, []);
});

Deno.test("govern() tells of waiting sessions once, and of the snapshot's age whenever it has doubled", () => {
  let state = initialGovernorState;
  const look = (waiters: readonly number[], snapshotAge: number) => {
    const decision = govern(state, {
      bytesPerSecond: 1,
      standbys: [],
      waiters: waiters.map((processId) => ({ processId, role: "app" })),
      snapshotAge,
    }, limits);
    state = decision.state;
    ok(decision.notes.every(({ isWarning }) => isWarning));
    return decision.notes.map(({ message }) => message.split(":")[0]);
  };
  equal(look([], 500), []);
  equal(look([7, 8], 500), ["2 sessions wait on the source for locks that the copy holds"]);
  equal(look([7, 8], 1_500), ["the copy's snapshot is 1,500 transactions old"]);
  equal(look([8], 2_999), []);
  equal(look([8, 9], 3_000).length, 2);
});

Deno.test("RateLimiter holds all sessions together to the rate, whatever the pieces, and can be changed meanwhile", async () => {
  let clock = 0;
  const limiter = new RateLimiter({
    bytesPerSecond: 1_000,
    signal: new AbortController().signal,
    now: () => clock,
    sleep: (ms) => Promise.resolve(void (clock += ms)),
  });
  for (const bytes of [100, 5_000, 1, 899, 2_000]) await limiter.pace(bytes);
  ok(clock >= 7_900 && clock <= 8_000, `${clock}`);
  limiter.bytesPerSecond = undefined;
  equal(limiter.pace(1_000_000), undefined);
  limiter.bytesPerSecond = 10_000;
  const before = clock;
  await limiter.pace(10_000);
  ok(clock - before > 800 && clock - before <= 1_000, `${clock - before}`);
  equal(limiter.bytes, 1_018_000);
});
