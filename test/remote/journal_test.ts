/**
 * The journal of a job that runs for days stays small, and shows the same as the complete journal
 * would.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { RunEvent } from "../../lib/core/internal.ts";
import { resolveEndpoint, SessionPool } from "../../lib/postgres/internal.ts";
import {
  appendJournal,
  type JobEvent,
  journalBounds,
  pruneJournal,
} from "../../lib/remote/store/mod.ts";
import { JobJournal } from "../../lib/remote/worker/journal.ts";
import { Redactor } from "../../lib/remote/worker/mod.ts";
import { Progress } from "../../page/progress.ts";
import { runCli } from "../support/cli.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withDatabase } from "../support/databases.ts";
import {
  jobSpec,
  openTestService,
  readStream,
  serviceTemplate,
  type TestKey,
  type TestService,
} from "../support/service.ts";
import { query } from "../support/sql.ts";
import { waitUntil } from "../support/wait.ts";

const cluster = await sharedCluster(17);
const template = await serviceTemplate(cluster);

interface Place {
  readonly service: TestService;
  readonly alice: TestKey;
  readonly pool: SessionPool;
  readonly id: string;
}

/** A job that no worker runs. */
async function withJob(use: (place: Place) => Promise<void>): Promise<void> {
  await withDatabase(cluster, template, async ({ url }) => {
    await using service = await openTestService(url);
    const alice = await service.key("alice");
    const { id } = await (await alice.request("/v1/jobs", { json: jobSpec() })).json();
    const database = await resolveEndpoint(url, { side: "target" });
    await using pool = new SessionPool(database, { size: 1, values: "native" });
    await use({ service, alice, pool, id });
  });
}

const hour = 3600;
const days = 3 * 24 * hour;
const tickSeconds = 20;

/**
 * Three days: two hundred small tables, then four large ones in parallel, a slow hour, a
 * subscription that catches up, and endless messages.
 */
function* longJob(): Generator<{ readonly second: number; readonly event: RunEvent }> {
  const database = "app";
  const at = (second: number, event: RunEvent) => ({ second, event });
  yield at(0, { kind: "step-started", step: "data", database });
  yield at(0, { kind: "database-planned", database, tables: 204, bytes: 204e9 });
  for (let table = 0; table < 200; table++) {
    const name = `public.small_${table}`;
    yield at(table * 3, { kind: "table-started", database, table: name, bytes: 1e6 });
    yield at(table * 3 + 1, { kind: "table-progress", database, table: name, bytes: 5e5 });
    yield at(table * 3 + 2, {
      ...{ kind: "table-finished", database, table: name },
      ...{ rows: 10, bytes: 1e6, ms: 2_000 },
    });
  }
  const large = ["a", "b", "c", "d"].map((name) => ({ name: `public.${name}`, bytes: 0 }));
  for (const { name } of large) {
    yield at(700, { kind: "table-started", database, table: name, bytes: 50e9 });
  }
  for (let second = 720; second < days; second += tickSeconds) {
    const isSlow = second > 30 * hour && second < 31 * hour;
    for (const [index, table] of large.entries()) {
      if (table.bytes === Infinity) continue;
      table.bytes += (index + 1) * (isSlow ? 1e4 : 5e6);
      const common = { database, table: table.name, bytes: table.bytes };
      if (index === 3 && second >= 50 * hour) {
        table.bytes = Infinity;
        yield at(second, { ...common, kind: "table-finished", rows: 7, ms: second * 1000 });
      } else yield at(second, { ...common, kind: "table-progress" });
    }
    const bytes = Math.round(1e9 * (1 - second / days));
    yield at(second, { kind: "replication-lag", database, subscription: "s", bytes });
    const n = Math.round(second / tickSeconds);
    if (n % 2 === 0) {
      yield at(second, { kind: "retry", what: `try ${n}`, attempt: n, delayMs: 1000 });
    }
  }
}

type Message = Parameters<Progress["take"]>[0];

/** What the web page would show. */
function pictureOf(messages: Iterable<Message>): Progress {
  const progress = new Progress();
  for (const message of messages) progress.take(message);
  return progress;
}

/** The fraction of all bytes copied at each point of a chart. */
function curve(progress: Progress, now: number): readonly (readonly [number, number])[] {
  const { at, values } = progress.throughput(now);
  const total = values.reduce((sum, value) => sum + value, 0);
  let sum = 0;
  return at.map((moment, index) => [moment, (sum += values[index]!) / total]);
}

async function storedMessages(alice: TestKey, id: string, after = 0): Promise<Message[]> {
  const { state } = await (await alice.request(`/v1/jobs/${id}`)).json();
  strictEqual(state, "cancelled");
  const events = await readStream(
    await alice.request(`/v1/jobs/${id}/events`, { headers: { "last-event-id": String(after) } }),
    ({ event }) => event === "end",
  );
  return events.filter(({ event }) => event !== "end").map(({ id, event, data }) => {
    ok(id! > after);
    return { number: id, kind: event, ...data } as unknown as Message;
  });
}

Deno.test("the journal of a three-day job stays within its limits, and late or resuming readers see all of it", async (t) => {
  await withJob(async ({ service, alice, pool, id }) => {
    const start = Date.now() - days * 1000;
    const all: Message[] = [];
    let most = 0;
    let pending: { readonly second: number; readonly event: RunEvent }[] = [];
    let sincePruned = 0;
    let number = 1; // "queued" already exists
    const flush = async () => {
      const events = pending.map(({ event }): JobEvent => ({ kind: "run", event }));
      const lines = pending.filter(({ event }) => event.kind === "retry")
        .map(() => ({ level: "warn" as const, message: "again" }));
      await pool.use((session) => appendJournal(session, { jobId: id }, { events, lines }));
      const times = pending.map(({ second }) => new Date(start + second * 1000).toISOString());
      await query(
        service.databaseUrl,
        `UPDATE seren_remote.job_events AS e SET at = t.at
           FROM unnest('{${times.join(",")}}'::timestamptz[]) WITH ORDINALITY AS t (at, n)
          WHERE e.job_id = '${id}' AND e.number = ${number} + t.n`,
      );
      for (const [index, { event }] of pending.entries()) {
        all.push({ kind: "run", number: ++number, at: times[index]!, event });
      }
      sincePruned += events.length;
      pending = [];
      if (sincePruned < 1_000) return;
      sincePruned = 0;
      await pool.use((session) => pruneJournal(session, id));
      const [{ samples, notes } = { samples: 0, notes: 0 }] = await query(
        service.databaseUrl,
        `SELECT (count(*) FILTER (WHERE event->'event'->>'kind' IN ('table-progress', 'replication-lag')))::int AS samples,
                (count(*) FILTER (WHERE event->'event'->>'kind' = 'retry'))::int AS notes
           FROM seren_remote.job_events WHERE job_id = '${id}'`,
      );
      ok(Number(samples) <= 5_000 && Number(notes) <= 5_000, `${samples} ${notes}`);
      most = Math.max(most, Number(samples));
    };
    for (const each of longJob()) {
      pending.push(each);
      if (pending.length === 500) await flush();
    }
    sincePruned = Infinity; // the latest samples are kept even if nothing follows
    await flush();
    ok(all.length > 60_000);
    ok(most > 2_500, `thinned more than needed: ${most}`);
    await (await alice.request(`/v1/jobs/${id}/cancel`, { method: "POST" })).text();

    const end = start + days * 1000;
    const whole = pictureOf(all);
    const kept = await storedMessages(alice, id);
    const late = pictureOf(kept);
    await t.step(
      "a client that connects late sees the current state of each table, step and subscription",
      () => {
        ok(kept.length < 11_000, String(kept.length));
        deepStrictEqual(late.steps, whole.steps);
        strictEqual(late.tables.size, 204);
        deepStrictEqual(late.tables, whole.tables);
        deepStrictEqual(
          [late.copiedBytes, late.finishedRows, late.fraction],
          [whole.copiedBytes, whole.finishedRows, whole.fraction],
        );
        deepStrictEqual(late.lag.get("app: s")!.at(-1), whole.lag.get("app: s")!.at(-1));
      },
    );
    await t.step("its charts show the same curves, from the first hour to the last", () => {
      const [a, b] = [curve(late, end), curve(whole, end)];
      strictEqual(a.length, b.length);
      for (const [index, [moment, share]] of a.entries()) {
        const [wantedMoment, wanted] = b[index]!;
        ok(Math.abs(moment - wantedMoment) < 60 && Math.abs(share - wanted) < 0.01, `${index}`);
      }
      const lag = late.lag.get("app: s")!;
      ok(lag.length > 200);
      ok(lag[0]!.at - start < hour * 1000 && end - lag.at(-1)!.at < 60_000);
      const widest = Math.max(...lag.slice(1).map(({ at }, index) => at - lag[index]!.at));
      ok(widest < hour * 1000, `a gap of ${widest} ms`);
    });
    await t.step("a client can resume after an event that has been deleted", async () => {
      const numbers = new Set(kept.map(({ number }) => number));
      const gone = all.findLast(({ number }, index) =>
        index < all.length / 2 && !numbers.has(number)
      )!;
      const rest = await storedMessages(alice, id, gone.number);
      deepStrictEqual(rest, kept.filter(({ number }) => number! > gone.number!));
      const again = pictureOf([...all.filter(({ number }) => number! <= gone.number!), ...rest]);
      deepStrictEqual(again.tables, whole.tables);
      strictEqual(again.copiedBytes, whole.copiedBytes);
    });
    await t.step("the first and last messages are kept", () => {
      const tries = kept.flatMap((message) =>
        message.kind === "run" && message.event.kind === "retry" ? [message.event.attempt] : []
      );
      const wanted = all.flatMap((message) =>
        message.kind === "run" && message.event.kind === "retry" ? [message.event.attempt] : []
      );
      ok(tries.length < wanted.length);
      deepStrictEqual(tries.slice(0, 1_000), wanted.slice(0, 1_000));
      deepStrictEqual(tries.slice(-4_000), wanted.slice(-4_000));
    });
  });
});

Deno.test("JobJournal prunes automatically: a log of thirty thousand lines keeps its first and last lines", async () => {
  await withJob(async ({ service, alice, pool, id }) => {
    await query(service.databaseUrl, "UPDATE seren_remote.jobs SET attempt = 1, state = 'running'");
    const journal = new JobJournal({
      pool,
      jobId: id,
      attempt: 1,
      redactor: new Redactor({ urls: [], predicates: [] }),
      onLost: () => {},
      intervalMs: 0,
    });
    const lines = async () =>
      (await (await alice.request(`/v1/jobs/${id}/logs?before=100000&limit=1`)).json()).lines[0];
    for (let round = 1; round <= 3; round++) {
      for (let line = 1; line <= 10_000; line++) journal.log("info", `round ${round} line ${line}`);
      await waitUntil(
        `the lines of round ${round} are stored`,
        async () => (await lines()).message === `round ${round} line 10000`,
      );
    }
    await journal.close();
    const [row] = await query(
      service.databaseUrl,
      `SELECT count(*)::int AS count, min(number)::int AS first, max(number)::int AS last
         FROM seren_remote.job_logs WHERE job_id = '${id}'`,
    );
    // including the line for its submission
    deepStrictEqual(row, { count: 20_000, first: 1, last: 30_001 });
    strictEqual(journalBounds.firstLines + journalBounds.lastLines, 20_000);
    const { lines: around } = await (await alice.request(`/v1/jobs/${id}/logs?after=1999&limit=2`))
      .json();
    deepStrictEqual(around.map(({ number }: { number: number }) => number), [2_000, 12_002]);
    match(around[1].message, /round 2 line 2001/);
    const { stdout } = await runCli(["jobs", "logs", id], {
      env: { SEREN_REMOTE_API: service.service.url, SEREN_API_KEY: alice.key },
    });
    match(stdout, /round 1 line 1999\n… 10,001 lines not kept …\n[^\n]*round 2 line 2001\n/);
    match(stdout, /round 3 line 10000\n$/);
  });
});

Deno.test("JobJournal writes only the latest sample of each table, less often the longer a run takes", async () => {
  await withJob(async ({ service, pool, id }) => {
    await query(service.databaseUrl, "UPDATE seren_remote.jobs SET attempt = 1, state = 'running'");
    const journal = new JobJournal({
      pool,
      jobId: id,
      attempt: 1,
      redactor: new Redactor({ urls: [], predicates: [] }),
      onLost: () => {},
      intervalMs: 0,
      sampleMs: () => 3_600_000,
    });
    const stored = async () =>
      (await query<{ text: string }>(
        service.databaseUrl,
        `SELECT concat_ws(' ', event->'event'->>'kind', event->'event'->>'table', event->'event'->>'bytes') AS text
           FROM seren_remote.job_events WHERE job_id = '${id}' AND event->>'kind' = 'run' ORDER BY number`,
      )).map(({ text }) => text);
    const table = (name: string) => ({ database: "app", table: name });
    journal.take({ kind: "table-progress", ...table("a"), bytes: 1 });
    await waitUntil("the first sample is stored", async () => (await stored()).length >= 1);
    // an hour until the next samples, which does not delay other events
    for (let bytes = 2; bytes <= 1_000; bytes++) {
      journal.take({ kind: "table-progress", ...table("a"), bytes });
      journal.take({ kind: "table-progress", ...table("b"), bytes });
    }
    journal.take({ kind: "table-finished", ...table("a"), bytes: 1_000, rows: 1, ms: 1 });
    await waitUntil("the end is stored", async () => (await stored()).length >= 2);
    deepStrictEqual(await stored(), ["table-progress a 1", "table-finished a 1000"]);
    await journal.close();
    deepStrictEqual((await stored()).slice(2), ["table-progress b 1000"]);
  });
});
