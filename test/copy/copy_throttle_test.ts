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

/** Lets the governor see lags of one standby, one after the other; gives back what it told. */
function follow(
  lags: readonly number[],
  { rate = 80, state = initialThrottleState }: { rate?: number; state?: ThrottleState } = {},
) {
  const told: string[] = [];
  for (const lag of lags) {
    const sample: SourceSample = {
      bytesPerSecond: rate * MB,
      standbys: [{ name: "s1", lagBytes: lag * MB }],
      waiters: [],
      snapshotAge: undefined,
    };
    const decision = decideRate(state, sample, limits);
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

const waiter = (processId: number, more: Partial<Waiter> = {}): Waiter => ({
  processId,
  role: "app",
  command: "ALTER TABLE",
  relation: "orders",
  waitedSeconds: 2,
  behind: false,
  ...more,
});

/** Lets the governor see one sample after the other, and gives what each made it tell. */
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

Deno.test("govern() names who waits for the copy's locks, what for, who waits behind, and how to end it", () => {
  const look = observer();
  const [note] = look({
    waiters: [
      waiter(7, { waitedSeconds: 12 }),
      waiter(8, { behind: true, command: "SELECT" }),
      waiter(9, { behind: true, command: "UPDATE" }),
    ],
  });
  equal(
    note?.message,
    "3 sessions wait on the source for locks that the copy holds, 12.0 s so far: pid 7 of app (ALTER TABLE on orders), and behind it 2 more",
  );
  match(note?.remedy ?? "", /: SELECT pg_catalog\.pg_cancel_backend\(7\) ends the wait/);
  equal(note?.about, "locks");
});

Deno.test("govern() warns of each waiting session once, tells again when the wait has doubled, and when it is over", () => {
  const look = observer();
  const told = (seconds: number, ...ids: readonly number[]) =>
    look({ waiters: ids.map((id) => waiter(id, { waitedSeconds: seconds })) })
      .map(({ message, remedy, over }) =>
        over ? message : `${remedy === undefined ? "again" : "warning"}: ${message.slice(0, 10)}`
      );
  equal(told(2, 7), ["warning: 1 session "]);
  equal(told(7, 7), []);
  equal(told(29, 7), []);
  equal(told(31, 7), ["again: 1 session "]);
  equal(told(50, 7), []);
  equal(told(55, 7, 8), ["warning: 2 sessions"]);
  equal(told(109, 7), []);
  equal(told(111, 7), ["again: 1 session "]);
  equal(told(0), ["nobody waits for the copy's locks any more"]);
  equal(told(0), []);
});

Deno.test("govern() slows a copy that others wait for no further, and goes on slowing when they are through", () => {
  const look = observer();
  const lag = (lagBytes: number) => [{ name: "s1", lagBytes: lagBytes * MB }];
  look({ standbys: lag(0) });
  equal(look({ standbys: lag(300) }).map(({ message }) => message.slice(0, 16)), [
    "slowed to 40.0 M",
  ]);
  equal(
    look({ standbys: lag(400), waiters: [waiter(7)] }).map(({ about }) => about),
    ["locks"],
  );
  equal(
    look({ standbys: lag(500) }).map(({ message }) => message.slice(0, 16)),
    ["slowed to 20.0 M", "nobody waits for"],
  );
});

Deno.test("govern() tells of the snapshot's age whenever it has doubled", () => {
  const look = observer();
  const told = (snapshotAge: number) =>
    look({ snapshotAge }).map(({ about, message, remedy }) => {
      ok(remedy !== undefined);
      return `${about}: ${message.split(":")[0]}`;
    });
  equal(told(500), []);
  equal(told(1_500), ["snapshot: the copy's snapshot is 1,500 transactions old"]);
  equal(told(2_999), []);
  equal(told(3_000).length, 1);
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
