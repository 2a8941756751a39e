/**
 * CopyThrottle with a real source: a standby that does not replay, and a session that waits for the
 * tool's locks.
 */
import { match, ok, rejects, strictEqual } from "node:assert/strict";
import { CopyThrottle, throttleLimits } from "../../lib/copy/internal.ts";
import { pause, type RunEvent } from "../../lib/core/internal.ts";
import { encodeQuery } from "../../lib/postgres/protocol/frames.ts";
import { openSession } from "../../lib/postgres/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import { dropDatabase, withDatabase } from "../support/databases.ts";
import { endpointOf, runInit } from "../support/init.ts";
import { exec, query } from "../support/sql.ts";
import { waitUntil } from "../support/wait.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);

/** A CopyData message with a standby's status: the positions written, flushed and replayed. */
function standbyStatus(lsn: bigint): Uint8Array {
  const message = new Uint8Array(5 + 34);
  const view = new DataView(message.buffer);
  message[0] = "d".charCodeAt(0);
  view.setInt32(1, 4 + 34);
  message[5] = "r".charCodeAt(0);
  for (const at of [6, 14, 22]) view.setBigInt64(at, lsn);
  return message;
}

async function currentLsn(): Promise<{ readonly text: string; readonly number: bigint }> {
  const [row] = await query(
    source.url(),
    "SELECT lsn::text AS text, (lsn - '0/0')::text AS number FROM pg_current_wal_flush_lsn() AS lsn",
  );
  return { text: String(row?.text), number: BigInt(String(row?.number)) };
}

/** Collects events and lets a test wait for one. */
class Events {
  readonly #seen: RunEvent[] = [];
  #changed = Promise.withResolvers<void>();

  readonly sink = (event: RunEvent) => {
    this.#seen.push(event);
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  };

  async next(
    kind: RunEvent["kind"],
    meanwhile: () => Promise<unknown> = () => this.#changed.promise,
  ) {
    for (;;) {
      const at = this.#seen.findIndex((event) => event.kind === kind);
      const [event] = at < 0 ? [] : this.#seen.splice(at, 1);
      if (event !== undefined) return "message" in event ? event.message : "";
      await meanwhile();
    }
  }
}

Deno.test("CopyThrottle slows the copy while a standby falls behind, and returns to full speed when it has caught up", async () => {
  await withDatabase(source, "template1", async ({ url }) => {
    await exec(url, "CREATE TABLE t (x text)");
    const follower = await endpointOf(`${url}?application_name=s1`, "source");
    await using standby = await openSession(follower, { replication: true });
    const start = await currentLsn();
    const caughtUp = Promise.withResolvers<void>();
    const over = new AbortController();
    const following = standby.exclusive(async (wire) => {
      const begun = Promise.withResolvers<void>();
      wire.receive(() => begun.resolve());
      await wire.write(encodeQuery(`START_REPLICATION PHYSICAL ${start.text}`));
      // data sent together with the command stays unread in the server's buffer
      await begun.promise;
      await wire.write(standbyStatus(start.number));
      await caughtUp.promise;
      // repeatedly, like a real standby, since the server itself writes WAL meanwhile
      while (!over.signal.aborted) {
        await wire.write(standbyStatus((await currentLsn()).number));
        await pause(100);
      }
      throw new Error("over");
    });
    following.catch(() => {}); // checked below
    const events = new Events();
    {
      await using throttle = new CopyThrottle({
        source: await endpointOf(url, "source"),
        settings: {
          maxBytesPerSecond: undefined,
          throttle: {
            // samples are taken too often here for the standby to respond between them
            limits: {
              ...throttleLimits,
              lagBytes: 100_000,
              minBytesPerSecond: 1_000,
              fruitless: 10_000,
            },
            intervalMs: 20,
          },
        },
        signal: new AbortController().signal,
        events: events.sink,
      });
      const slowed = await events.next("governor", async () => {
        await throttle.pace(10_000);
        await exec(
          url,
          "INSERT INTO t SELECT repeat(md5(i::text), 10) FROM generate_series(1, 500) i",
        );
      });
      match(slowed, /^slowed to [\d.]+ [kM]?B\/s: standby s1 is [\d.]+ [kM]B behind$/);
      caughtUp.resolve();
      for (let message = ""; !message.startsWith("back to full speed: the standbys");) {
        message = await events.next("governor");
        ok(!message.includes("keeps falling behind"), message);
      }
    }
    over.abort();
    await rejects(following, /over/);
  });
});

Deno.test("CopyThrottle reports sessions that wait for the copy's locks, those behind, and the end of the wait", async () => {
  await withDatabase(source, "template1", async ({ url }) => {
    await exec(url, `CREATE TABLE "Or ders" (x text)`);
    const endpoint = await endpointOf(url, "source");
    await using copying = await openSession(endpoint);
    await copying.execute(
      `BEGIN; LOCK TABLE public."Or ders" IN ACCESS SHARE MODE`,
    );
    const waiting = exec(url, `  alter  table "Or ders" ADD COLUMN y int`);
    const waits = async (count: number) => {
      const statement =
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
      await waitUntil(
        `${count} sessions wait`,
        async () => (await query(url, statement)).length >= count,
      );
    };
    await waits(1);
    const behind = query(url, `SELECT * FROM "Or ders"`);
    await waits(2);
    const events = new Events();
    {
      await using _throttle = new CopyThrottle({
        source: endpoint,
        settings: {
          maxBytesPerSecond: undefined,
          throttle: { limits: throttleLimits, intervalMs: 20 },
        },
        signal: new AbortController().signal,
        events: events.sink,
      });
      const message =
        /^2 sessions wait on the source for locks that the copy holds, [\d.]+ m?s so far: pid \d+ of postgres \(ALTER TABLE on "Or ders"\), with 1 more queued behind it$/;
      match(await events.next("warning"), message);
      match(await events.next("governor"), message);
      await copying.execute("ROLLBACK");
      await waiting;
      await behind;
      strictEqual(
        await events.next("governor"),
        "no sessions are waiting for the copy's locks any more",
      );
    }
  });
});

Deno.test("init reads no faster than --max-rate allows", async () => {
  const name = "paced";
  await exec(source.url(), `CREATE DATABASE ${name}`);
  try {
    const url = source.url({ database: name });
    await exec(
      url,
      "CREATE TABLE t AS SELECT repeat(md5(i::text), 30) FROM generate_series(1, 4000) i",
    );
    const { report } = await runInit(url, target.url(), {
      include: [name],
      maxBytesPerSecond: 1024 ** 2,
    });
    strictEqual(report.rows, 4_000);
    strictEqual(report.governor[0]?.message, "limited to 1.00 MB/s by --max-rate");
    const copying = report.steps.find(({ step }) => step === "data");
    // 3.8 MB; a burst of 100 ms is allowed, and nothing waits after the last chunk of up to 1 MB
    ok((copying?.ms ?? 0) > 2_400, `${copying?.ms} ms`);
  } finally {
    await dropDatabase(source, name);
    await dropDatabase(target, name);
  }
});
