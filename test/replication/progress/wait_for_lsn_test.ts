/** Waiting until the target has applied a position of the source. */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { parseLsn, ReplicatorError, type RunEvent } from "../../../lib/core/internal.ts";
import { openSession, resolveEndpoint, type Session } from "../../../lib/postgres/internal.ts";
import {
  readSlots,
  readSubscriptions,
  readWalPosition,
  waitForLsn,
} from "../../../lib/replication/internal.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { withDatabase } from "../../support/databases.ts";
import { endReplication, replicate, type Replication, until } from "../../support/replication.ts";
import { exec, query, withSession } from "../../support/sql.ts";
import { startTestCluster } from "../../support/test_cluster.ts";

const pairs = [[12, 18], [15, 15], [18, 12]] as const;
const servers = new Map(
  await Promise.all(
    ([12, 15, 18] as const).map(async (major) => [major, await sharedCluster(major)] as const),
  ),
);

interface Setting {
  readonly source: Session;
  readonly target: Session;
  readonly replication: Replication;
  readonly events: RunEvent[];
  /** Waits with default options. */
  readonly wait: (more?: { lsn?: bigint; timeoutMs?: number; signal?: AbortSignal }) => Promise<
    void
  >;
}

/** Replicates a table `t (id int PRIMARY KEY, v text)`. */
async function withReplication(
  [from, to]: readonly [12 | 15 | 18, 12 | 15 | 18],
  use: (setting: Setting) => Promise<void>,
): Promise<void> {
  await withDatabase(servers.get(from)!, undefined, async (a) => {
    await withDatabase(servers.get(to)!, undefined, async (b) => {
      for (const { url } of [a, b]) await exec(url, "CREATE TABLE t (id int PRIMARY KEY, v text)");
      // one pair reports with the default delay of a subscription
      const replication = await replicate(a.url, b.url, from === 12 ? { options: "" } : {});
      try {
        await using source = await openSession(await resolveEndpoint(a.url, { side: "source" }));
        await using target = await openSession(await resolveEndpoint(b.url, { side: "target" }));
        const events: RunEvent[] = [];
        const wait: Setting["wait"] = async (
          { lsn, timeoutMs = 60_000, signal = new AbortController().signal } = {},
        ) => {
          await waitForLsn({
            source,
            target,
            subscriptions: [replication.name],
            lsn: lsn ?? (await readWalPosition(source)).inserted,
            timeoutMs,
            signal,
            events: (event) => events.push(event),
          });
        };
        await use({ source, target, replication, events, wait });
      } finally {
        await endReplication(replication);
      }
    });
  });
}

for (const pair of pairs) {
  Deno.test(`waitForLsn() resolves once the rows are on the target (${pair.join(" to ")})`, async () => {
    await withReplication(pair, async ({ replication: { sourceUrl, targetUrl }, wait }) => {
      for (let round = 0; round < 2; round++) {
        await exec(
          sourceUrl,
          `INSERT INTO t SELECT ${round} * 500 + i, 'v' FROM generate_series(1, 500) AS i`,
        );
        await wait();
        const [row] = await query(targetUrl, "SELECT count(*)::int AS n FROM t");
        strictEqual(row?.["n"], (round + 1) * 500);
      }
    });
  });

  Deno.test(`waitForLsn() does not hang on an idle source (${pair.join(" to ")})`, async () => {
    await withReplication(pair, async ({ source, replication: { sourceUrl, name }, wait }) => {
      await wait();
      await wait();
      // a rolled back transaction leaves unflushed WAL
      await exec(sourceUrl, "BEGIN; INSERT INTO t VALUES (-1, 'x'); ROLLBACK");
      const { lsn } = await source.queryOne<{ lsn: string }>(
        "SELECT pg_current_wal_insert_lsn()::text AS lsn",
      );
      await wait({ lsn: parseLsn(lsn) });
      const [slot] = await readSlots(source, [name]);
      ok(slot?.confirmedFlushLsn !== undefined && slot.confirmedFlushLsn >= parseLsn(lsn));
    });
  });
}

Deno.test("waitForLsn() waits for a transaction blocked by a lock, and reports the lag", async () => {
  await withReplication(
    [15, 18],
    async ({ replication: { sourceUrl, targetUrl }, events, wait }) => {
      await withSession(targetUrl, async (locker) => {
        await locker.unsafe("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").simple();
        await exec(sourceUrl, "INSERT INTO t VALUES (1, 'held')");
        await rejects(wait({ timeoutMs: 300 }), (error: unknown) => {
          ok(error instanceof ReplicatorError);
          strictEqual(error.exitCode, 7);
          match(error.message, /within 0\.3 s/);
          match(error.details.join(), /behind/);
          return true;
        });
        const waiting = wait();
        await locker.unsafe("COMMIT").simple();
        await waiting;
      });
      const [row] = await query(targetUrl, "SELECT v FROM t");
      strictEqual(row?.["v"], "held");
      ok(events.some((event) => event.kind === "replication-lag" && event.bytes > 0));
    },
  );
});

Deno.test("waitForLsn() reports why the position will never be reached: disabled, no slot, no subscription", async () => {
  await withReplication([18, 15], async ({ source, target, replication, wait }) => {
    const { name, targetUrl, sourceUrl } = replication;
    await exec(targetUrl, `ALTER SUBSCRIPTION "${name}" DISABLE`);
    await rejects(wait(), { name: "ReplicatorError", message: /disabled/, side: "target" });
    await until(
      sourceUrl,
      `SELECT NOT active AS ok FROM pg_replication_slots WHERE slot_name = '${name}'`,
    );
    await exec(sourceUrl, `SELECT pg_drop_replication_slot('${name}')`);
    await exec(targetUrl, `ALTER SUBSCRIPTION "${name}" ENABLE`);
    await rejects(wait(), {
      name: "ReplicatorError",
      message: /slot does not exist/,
      side: "source",
    });
    await exec(targetUrl, `ALTER SUBSCRIPTION "${name}" DISABLE`);
    await exec(targetUrl, `ALTER SUBSCRIPTION "${name}" SET (slot_name = NONE)`);
    await rejects(wait(), { message: /slot_name = NONE/ });
    deepStrictEqual((await readSubscriptions(target)).map(({ slotName }) => slotName), [undefined]);
    await exec(targetUrl, `DROP SUBSCRIPTION "${name}"`);
    await rejects(wait(), { message: /subscription does not exist/ });
    deepStrictEqual(await readSlots(source, [name]), []);
  });
});

for (const pair of [[15, 18], [18, 12]] as const) {
  Deno.test(
    `waitForLsn() reports a worker that keeps failing, and the transaction (${pair.join(" to ")})`,
    async () => {
      await withReplication(
        pair,
        async ({ replication: { sourceUrl, targetUrl }, events, wait }) => {
          await exec(targetUrl, "INSERT INTO t VALUES (1, 'in the way')");
          await exec(sourceUrl, "INSERT INTO t VALUES (1, 'x')");
          await rejects(wait(), (error) => {
            ok(error instanceof ReplicatorError);
            match(error.message, /keeps failing/);
            strictEqual(error.side, "target");
            strictEqual(error.exitCode, 7);
            match(
              error.details.join("\n"),
              /insert t \(.*= 1\)[^]*cause: the target already has a row of t with .* = 1/,
            );
            return true;
          });
          // before 15 only the conflict shows it
          ok(
            pair[1] < 15 ||
              events.some((event) =>
                event.kind === "warning" && /worker is failing/.test(event.message)
              ),
          );
        },
      );
    },
  );
}

Deno.test("waitForLsn() ends when its signal aborts", async () => {
  await withReplication([15, 15], async ({ replication: { targetUrl }, source, wait }) => {
    const end = new AbortController();
    const far = (await readWalPosition(source)).inserted + 1_000_000_000n;
    const waiting = wait({ lsn: far, signal: end.signal });
    end.abort(new Error("enough"));
    await rejects(waiting, /enough/);
    await query(targetUrl, "SELECT 1");
  });
});

for (
  const [setting, major, limit] of [
    ["max_logical_replication_workers", 12, 1],
    ["max_logical_replication_workers", 18, 1],
    ["max_worker_processes", 18, 2], // one for the launcher
  ] as const
) {
  Deno.test(`waitForLsn() refuses to wait for a worker that ${setting} does not allow (${major})`, async () => {
    await using server = await startTestCluster({ major, settings: { [setting]: String(limit) } });
    await withDatabase(servers.get(15)!, undefined, async (a) => {
      const urls = [];
      for (const name of ["first", "second"]) {
        await exec(server.url(), `CREATE DATABASE ${name}`);
        urls.push(server.url({ database: name }));
      }
      for (const url of [a.url, ...urls]) await exec(url, "CREATE TABLE t (id int PRIMARY KEY)");
      const made: Replication[] = [];
      try {
        made.push(await replicate(a.url, urls[0]!));
        const { name } = made[0]!;
        await until(
          urls[0]!,
          `SELECT pid IS NOT NULL AS ok FROM pg_stat_subscription WHERE subname = '${name}'`,
        );
        made.push(await replicate(a.url, urls[1]!));
        await exec(a.url, "INSERT INTO t VALUES (1)");
        await using source = await openSession(await resolveEndpoint(a.url, { side: "source" }));
        await using target = await openSession(
          await resolveEndpoint(urls[1]!, { side: "target" }),
        );
        await rejects(
          waitForLsn({
            source,
            target,
            subscriptions: [made[1]!.name],
            lsn: (await readWalPosition(source)).inserted,
            signal: AbortSignal.timeout(60_000),
            events: () => {},
          }),
          (error: unknown) => {
            ok(error instanceof ReplicatorError);
            strictEqual(error.exitCode, 7);
            match(error.message, new RegExp(`may not start another one: ${setting} is ${limit}`));
            deepStrictEqual(error.details, [`1 subscription has a worker: ${name}`]);
            match(error.remedy ?? "", new RegExp(`raise ${setting} on the target`));
            return true;
          },
        );
      } finally {
        for (const each of made) await endReplication(each);
      }
    });
  });
}
