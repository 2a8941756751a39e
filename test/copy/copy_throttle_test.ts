import { deepStrictEqual as equal, match, ok } from "node:assert/strict";
import {
  decideRate,
  initialThrottleState,
  type SourceSample,
  type ThrottleLimits,
  type ThrottleState,
  type Waiter,
} from "../../lib/copy/throttle_decision.ts";
import { RateLimiter } from "../../lib/copy/rate_limiter.ts";

const MB = 1024 * 1024;
const limits: ThrottleLimits = {
  lagBytes: 256 * MB,
  minBytesPerSecond: 4 * MB,
  fruitless: 3,
  snapshotAge: 1_000,
};

/** Passes successive lags of one standby to the throttle; returns its messages. */
function follow(
  lags: readonly number[],
  { rate = 80, state = initialThrottleState }: { rate?: number; state?: ThrottleState } = {},
) {
  const messages: string[] = [];
  for (const lag of lags) {
    const sample: SourceSample = {
      bytesPerSecond: rate * MB,
      standbys: [{ name: "s1", lagBytes: lag * MB }],
      waiters: [],
      snapshotAge: undefined,
    };
    const decision = decideRate(state, sample, limits);
    state = decision.state;
    messages.push(...decision.notes.map(({ message }) => message));
  }
  return { state, messages };
}

Deno.test("decideRate() halves the rate while a standby falls behind, and restores it in steps", () => {
  const { messages, state } = follow([10, 310, 400, 350, 290, 60, 30]);
  equal(messages, [
    "slowed to 40.0 MB/s: standby s1 is 310 MB behind",
    "slowed to 20.0 MB/s: standby s1 is 400 MB behind",
    "up to 40.0 MB/s again: the standbys have caught up",
    "back to full speed: the standbys have caught up",
  ]);
  equal(state.bytesPerSecond, undefined);
});

Deno.test("decideRate() considers only growth since the first sample: a standby may be delayed on purpose", () => {
  equal(follow([5_000, 5_100, 5_200]).messages, []);
  equal(follow([5_000, 5_300]).messages.length, 1);
});

Deno.test("decideRate() gives up on a standby that falls behind however slow the copy is", () => {
  const { messages, state } = follow([0, 300, 400, 500, 600, 700, 800]);
  match(messages.at(-1) ?? "", /^back to full speed: .* keeps falling behind even when/);
  equal(state.bytesPerSecond, undefined);
});

Deno.test("decideRate() keeps a minimum rate, and slows nothing while nothing is copied", () => {
  equal(follow([0, 300], { rate: 5 }).state.bytesPerSecond, 4 * MB);
  equal(follow([0, 300], { rate: 0 }).messages, []);
});

const waiter = (processId: number, more: Partial<Waiter> = {}): Waiter => ({
  processId,
  role: "app",
  command: "ALTER TABLE",
  relation: "orders",
  waitedSeconds: 2,
  behind: false,
  ...more,
});

/** Passes successive samples to the throttle; returns the notes of each. */
function observer() {
  let state = initialThrottleState;
  return (sample: Partial<SourceSample>) => {
    const decision = decideRate(
      state,
      { bytesPerSecond: 80 * MB, standbys: [], waiters: [], snapshotAge: undefined, ...sample },
      limits,
    );
    state = decision.state;
    return decision.notes;
  };
}

Deno.test("decideRate() names the sessions that wait for the copy's locks, their commands, those behind, and the remedy", () => {
  const observe = observer();
  const [note] = observe({
    waiters: [
      waiter(7, { waitedSeconds: 12 }),
      waiter(8, { behind: true, command: "SELECT" }),
      waiter(9, { behind: true, command: "UPDATE" }),
    ],
  });
  equal(
    note?.message,
    "3 sessions wait on the source for locks that the copy holds, 12.0 s so far: pid 7 of app (ALTER TABLE on orders), with 2 more queued behind it",
  );
  match(
    note?.remedy ?? "",
    /To cancel the waiting command so that others can proceed: SELECT pg_catalog\.pg_cancel_backend\(7\); or interrupt/,
  );
  equal(note?.about, "locks");
});

Deno.test("decideRate() warns of each waiting session once, and reports when the wait has doubled and when it is over", () => {
  const observe = observer();
  const reported = (seconds: number, ...ids: readonly number[]) =>
    observe({ waiters: ids.map((id) => waiter(id, { waitedSeconds: seconds })) })
      .map(({ message, remedy, over }) =>
        over ? message : `${remedy === undefined ? "again" : "warning"}: ${message.slice(0, 10)}`
      );
  equal(reported(2, 7), ["warning: 1 session "]);
  equal(reported(7, 7), []);
  equal(reported(29, 7), []);
  equal(reported(31, 7), ["again: 1 session "]);
  equal(reported(50, 7), []);
  equal(reported(55, 7, 8), ["warning: 2 sessions"]);
  equal(reported(109, 7), []);
  equal(reported(111, 7), ["again: 1 session "]);
  equal(reported(0), ["no sessions are waiting for the copy's locks any more"]);
  equal(reported(0), []);
});

Deno.test("decideRate() slows a copy no further while sessions wait for it", () => {
  const observe = observer();
  const lag = (lagBytes: number) => [{ name: "s1", lagBytes: lagBytes * MB }];
  observe({ standbys: lag(0) });
  equal(observe({ standbys: lag(300) }).map(({ message }) => message.slice(0, 16)), [
    "slowed to 40.0 M",
  ]);
  equal(
    observe({ standbys: lag(400), waiters: [waiter(7)] }).map(({ about }) => about),
    ["locks"],
  );
  equal(
    observe({ standbys: lag(500) }).map(({ message }) => message.slice(0, 16)),
    ["slowed to 20.0 M", "no sessions are "],
  );
});

Deno.test("decideRate() reports the snapshot's age whenever it has doubled", () => {
  const observe = observer();
  const reported = (snapshotAge: number) =>
    observe({ snapshotAge }).map(({ about, message, remedy }) => {
      ok(remedy !== undefined);
      return `${about}: ${message.split(":")[0]}`;
    });
  equal(reported(500), []);
  equal(reported(1_500), ["snapshot: the copy's snapshot is 1,500 transactions old"]);
  equal(reported(2_999), []);
  equal(reported(3_000).length, 1);
});

Deno.test("RateLimiter limits all sessions together, for chunks of any size, and can be changed at any time", async () => {
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
