/**
 * Connections that stall while both ends stay up are detected; those that are silent because the
 * server is working are left alone.
 */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { FileCheckpointStore } from "../../../lib/checkpoint/internal.ts";
import type { RunEvent } from "../../../lib/core/internal.ts";
import {
  ConnectionError,
  openSession,
  relayCopies,
  type Session,
} from "../../../lib/postgres/internal.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { compareDatabases } from "../../support/compare.ts";
import { dropDatabase, withDatabase } from "../../support/databases.ts";
import { endpointOf, runInit } from "../../support/init.ts";
import { withRepeats } from "../../support/long.ts";
import { startProxy } from "../../support/proxy.ts";
import { exec, query, withSession } from "../../support/sql.ts";
import { waitUntil } from "../../support/wait.ts";

const source = await sharedCluster(12, { settings: { autovacuum: "off" } });
const target = await sharedCluster(18);
const silenceMs = 400;

async function open(url: string, side: "source" | "target" = "source"): Promise<Session> {
  return await openSession({ ...await endpointOf(url, side), silenceMs });
}

for (const cluster of [source, target]) {
  Deno.test(`a lost answer is detected, and its backend terminated (${cluster.major})`, async () => {
    await using proxy = await startProxy(cluster);
    await using session = await open(proxy.url(cluster.url()));
    proxy.swallow();
    await rejects(session.query("SELECT 1"), (error) => {
      ok(error instanceof ConnectionError && error.transient);
      match(error.message, /has been silent for .*backend \d+ waits for the client \(ClientRead\)/);
      return true;
    });
    const isLeft = () =>
      query(cluster.url(), "SELECT FROM pg_stat_activity WHERE pid = $1", [session.processId]);
    await waitUntil("its backend has ended", async () => (await isLeft()).length === 0);
  });
}

Deno.test("a statement that runs or waits for a lock is left alone, however long it takes", async () => {
  await withDatabase(target, undefined, async ({ url }) => {
    await exec(url, "CREATE TABLE locked (i int)");
    await using sleeping = await open(url);
    await using waiting = await open(url);
    await withSession(url, async (holder) => {
      await holder.unsafe("BEGIN; LOCK TABLE locked").simple();
      const waited = waiting.query("SELECT count(*)::int AS n FROM public.locked");
      await sleeping.query(`SELECT pg_sleep(${silenceMs / 1000 * 4})`);
      await holder.unsafe("COMMIT").simple();
      deepStrictEqual(await waited, [{ n: 0 }]);
    });
  });
});

Deno.test("an idle session is left alone, and a terminated backend is detected", async () => {
  await using proxy = await startProxy(target);
  await using session = await open(proxy.url(target.url()));
  await query(target.url(), `SELECT pg_sleep(${silenceMs / 1000 * 3})`);
  strictEqual((await session.query("SELECT 1")).length, 1);
  proxy.swallow();
  const asked = session.query("SELECT pg_sleep(600)");
  await Promise.all([
    rejects(asked, /backend \d+ has ended on the server/),
    query(target.url(), "SELECT pg_terminate_backend($1)", [session.processId]),
  ]);
});

Deno.test("new connections that get no answer either are reported", async () => {
  await using proxy = await startProxy(target);
  const endpoint = await endpointOf(proxy.url(target.url()), "target");
  await using session = await openSession({ ...endpoint, silenceMs, connectTimeoutMs: 300 });
  proxy.stall();
  await rejects(session.query("SELECT 1"), /and a new one gets no answer either: cannot connect/);
});

const rows = 400_000;

for (const side of ["source", "target"] as const) {
  Deno.test(`a copy whose ${side} has stalled ends; one that waits for a slow ${side} does not`, async () => {
    await withDatabase(source, undefined, async (from) => {
      await withDatabase(target, undefined, async (to) => {
        await exec(
          from.url,
          `CREATE TABLE t AS SELECT i, repeat('x', 100) AS x FROM generate_series(1, ${rows}) AS i`,
        );
        await exec(
          to.url,
          `CREATE TABLE t (i int, x text);
           CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(${
            silenceMs / 1000 * 4
          }); RETURN new; END $$;
           CREATE TRIGGER slow BEFORE INSERT ON t FOR EACH ROW WHEN (new.i = ${rows / 2} AND ${
            side === "target"
          }) EXECUTE FUNCTION slow()`,
        );
        await using proxies = {
          source: await startProxy(source),
          target: await startProxy(target),
          async [Symbol.asyncDispose]() {
            await this.source[Symbol.asyncDispose]();
            await this.target[Symbol.asyncDispose]();
          },
        };
        const copy = async (onBytes: (bytes: number) => void) => {
          await using fromSession = await open(proxies.source.url(from.url));
          await using toSession = await open(proxies.target.url(to.url), "target");
          let moved = 0;
          let copied = 0;
          let given = false;
          const slow = side === "source"
            ? `, (SELECT pg_sleep(${silenceMs / 1000 * 4})) AS slow`
            : "";
          await relayCopies(fromSession, toSession, {
            next: () => {
              if (given) return undefined;
              given = true;
              return {
                name: "t",
                copyOut: `COPY (SELECT t.* FROM public.t${slow}) TO STDOUT`,
                copyIn: "COPY public.t FROM STDIN",
                expectedBytes: 1,
              };
            },
            onBytes: (_, bytes) => onBytes(moved += bytes),
            onFinished: (_, outcome) => void (copied = outcome.rows),
          });
          return copied;
        };
        strictEqual(await copy(() => {}), rows);
        await rejects(
          copy((moved) => moved > 10_000_000 && proxies[side].swallow()),
          (error) => {
            ok(error instanceof ConnectionError && error.transient);
            match(error.message, /silent for .* waits for the client .* during COPY of table t/);
            return true;
          },
        );
        const [{ n } = {}] = await query(to.url, "SELECT count(*)::int AS n FROM t");
        strictEqual(n, rows);
      });
    });
  });
}

const isPartOf = (event: RunEvent) => event.kind === "table-progress" && event.bytes > 1_000_000;

interface Point {
  readonly at: string;
  readonly side: "source" | "target";
  readonly isReached: (event: RunEvent) => boolean;
}

const points = withRepeats<Point>([
  { at: "the rows", side: "source", isReached: isPartOf },
  { at: "the rows", side: "target", isReached: isPartOf },
], [
  {
    at: "the schema",
    side: "target",
    isReached: (event) => event.kind === "step-started" && event.step === "schema",
  },
  {
    at: "the indexes",
    side: "target",
    isReached: (event) => event.kind === "work-finished" && event.work === "index",
  },
  {
    at: "the foreign keys",
    side: "target",
    isReached: (event) => event.kind === "step-started" && event.step === "foreign-keys",
  },
]);

for (const { at, side, isReached } of points) {
  Deno.test(`init whose connections to the ${side} stall at ${at} completes without being run again`, async () => {
    const name = `silent ${at} ${side}`;
    const folder = await Deno.makeTempDir({ prefix: "psr-silence-" });
    await exec(source.url(), `CREATE DATABASE "${name}" TEMPLATE template0`);
    try {
      const url = source.url({ database: name });
      await exec(
        url,
        `CREATE TABLE customers (id int PRIMARY KEY, email text UNIQUE);
           INSERT INTO customers SELECT i, 'c' || i FROM generate_series(1, 2000) AS i;
           CREATE TABLE orders (id bigserial PRIMARY KEY, customer int REFERENCES customers, note text);
           INSERT INTO orders (customer, note) SELECT 1 + i % 2000, repeat(md5(i::text), 8) FROM generate_series(1, 40000) AS i;
           CREATE INDEX ON orders (md5(note))`,
      );
      await using from = await startProxy(source);
      await using to = await startProxy(target);
      let silenced = false;
      const { events } = await runInit(from.url(url), to.url(target.url()), {
        include: [name],
        jobs: 2,
        splitBytes: 2 * 1024 * 1024,
        silenceMs,
        checkpoint: (operation) => new FileCheckpointStore(operation, folder),
        onEvent: (event) => {
          if (silenced || !isReached(event)) return;
          silenced = true;
          (side === "source" ? from : to).swallow();
        },
      });
      ok(silenced);
      const reasons = events.flatMap((event) => event.kind === "retry" ? [event.reason ?? ""] : []);
      match(reasons.join("\n"), /has been silent for/);
      deepStrictEqual(await compareDatabases(url, target.url({ database: name })), []);
    } finally {
      await dropDatabase(source, name);
      await dropDatabase(target, name);
      // a completed run removes it
      await Deno.remove(folder, { recursive: true }).catch(() => {});
    }
  });
}
