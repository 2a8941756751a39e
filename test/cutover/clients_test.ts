import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { freePort } from "../../lib/cluster/free_port.ts";
import { quoteLiteral } from "../../lib/core/internal.ts";
import type { Endpoint } from "../../lib/postgres/internal.ts";
import { subscriptionConninfo } from "../../lib/replication/subscription/subscription_conninfo.ts";
import {
  acknowledgedSchema,
  checkAcknowledged,
  startAcknowledgedLoad,
} from "../support/acknowledged_load.ts";
import { sharedCluster } from "../support/clusters.ts";
import {
  type CutoverPair,
  prepareCutover,
  switchCutover,
  withCutoverPair,
} from "../support/cutover_pair.ts";
import { hasPgBouncer, PgBouncer } from "../support/pgbouncer.ts";
import { startPsqlLoad } from "../support/psql_load.ts";
import { drain } from "../support/replicated.ts";
import { exec, query } from "../support/sql.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);

const ignore = !await hasPgBouncer();

for (const mode of ["transaction", "session"] as const) {
  Deno.test({
    name: `clients of PgBouncer in ${mode} mode see no error in a run and a rollback`,
    ignore,
    fn: async () => {
      await withCutoverPair({ source, target, schema: acknowledgedSchema }, async (pair) => {
        await prepareCutover(pair);
        await using pool = await PgBouncer.start(pair.url, mode);
        // in session mode PAUSE waits for clients, which here disconnect after each transaction
        const reconnects = mode === "session";
        await using load = startAcknowledgedLoad([pool.url], { reconnects });
        await load.more(100);
        for (const direction of ["run", "rollback"] as const) {
          await switchCutover(direction, pair, {
            hook: async (hook) => {
              if (hook === "before") await pool.admin("PAUSE app");
              if (hook === "switch") {
                await pool.moveTo(direction === "run" ? pair.targetUrl : pair.url);
              }
              if (hook === "switch" || hook === "abort") await pool.admin("RESUME app");
            },
          });
          await load.more(100);
        }
        const outcome = await load.stop();
        deepStrictEqual(outcome.errors, {});
        ok(outcome.longestMs < 60_000);
        await drain(pair.url);
        for (const url of [pair.url, pair.targetUrl]) {
          deepStrictEqual(await checkAcknowledged(url, outcome), []);
        }
      });
    },
  });
}

Deno.test({
  name:
    "clients that keep a session of PgBouncer in session mode hold up PAUSE; without it they reconnect to the other side",
  ignore,
  fn: async () => {
    await withCutoverPair({ source, target, schema: acknowledgedSchema }, async (pair) => {
      await prepareCutover(pair);
      await using pool = await PgBouncer.start(pair.url, "session");
      await using load = startAcknowledgedLoad([pool.url]);
      await load.more(50);
      const paused = switchCutover("run", pair, {
        hook: async (hook) => {
          if (hook === "before") await pool.admin("PAUSE app", { timeoutMs: 2_000 });
          if (hook === "abort") await pool.admin("RESUME app");
        },
      });
      await rejects(paused, /PAUSE app did not end/);
      await load.more(50);
      for (const direction of ["run", "rollback"] as const) {
        await switchCutover(direction, pair, {
          hook: (hook) =>
            hook === "switch"
              ? pool.moveTo(direction === "run" ? pair.targetUrl : pair.url)
              : undefined,
        });
        await load.more(50);
      }
      const outcome = await load.stop();
      deepStrictEqual(Object.keys(outcome.errors).filter((code) => !moving.has(code)), []);
      await drain(pair.url);
      for (const url of [pair.url, pair.targetUrl]) {
        deepStrictEqual(await checkAcknowledged(url, outcome), []);
      }
    });
  },
});

Deno.test("clients with several hosts and target_session_attrs=read-write move by themselves, and the tool may have such URLs too", async () => {
  await withCutoverPair({ source, target, schema: acknowledgedSchema }, async (pair) => {
    const readWrite = { targetSessionAttributes: "read-write" } as const;
    const servers = {
      ...pair.servers,
      source: { ...pair.servers.source, ...readWrite },
      target: { ...pair.servers.target, ...readWrite },
    };
    await subscribeToSeveralHosts(pair, servers.source);
    await prepareCutover({ ...pair, servers });
    const [from, to] = [new URL(pair.url), new URL(pair.targetUrl)];
    const url = `postgres://${from.username}@${from.host},${to.host}${from.pathname}` +
      "?target_session_attrs=read-write";
    await using load = startAcknowledgedLoad([url]);
    await using libpq = startPsqlLoad(url);
    await load.more(100);
    await libpq.more(2);
    for (const direction of ["run", "rollback"] as const) {
      await switchCutover(direction, { ...pair, servers });
      await load.more(100);
      await libpq.more(2);
      strictEqual(await libpq.port(), direction === "run" ? to.port : from.port);
    }
    const outcome = await load.stop();
    deepStrictEqual(Object.keys(outcome.errors).filter((code) => !moving.has(code)), []);
    const others = await libpq.stop();
    deepStrictEqual(others.errors.filter((text) => !psqlMoving.test(text)), []);
    await drain(pair.url);
    for (const side of [pair.url, pair.targetUrl]) {
      deepStrictEqual(
        await checkAcknowledged(side, {
          acknowledged: [...outcome.acknowledged, ...others.acknowledged],
          unknown: [...outcome.unknown, ...others.unknown],
        }),
        [],
      );
    }
    const both = { ...servers.target, hosts: [...servers.source.hosts, ...servers.target.hosts] };
    await rejects(
      switchCutover("run", { ...pair, servers: { ...servers, source: both, target: both } }),
    );
    await rejects(
      switchCutover("run", {
        ...pair,
        servers: {
          ...servers,
          source: { ...servers.source, hosts: servers.target.hosts },
          target: { ...servers.target, hosts: servers.source.hosts },
        },
      }),
      /the URL of the source leads to the target of the cutover/,
    );
  });
});

/** What clients see when their server is closed. */
const moving = new Set([
  "25006",
  "57P01",
  "CONNECTION_CLOSED",
  "CONNECTION_ENDED",
  "CONNECT_TIMEOUT",
]);
const psqlMoving =
  /read-only|closed by a cutover|terminating connection|server closed the connection|is closed since|connection to server was lost/;

/** As if `init` had been given a source with several hosts. */
async function subscribeToSeveralHosts(
  { name, targetUrl }: CutoverPair,
  endpoint: Endpoint,
): Promise<void> {
  const conninfo = subscriptionConninfo(
    { ...endpoint, hosts: [{ host: "127.0.0.1", port: freePort() }, ...endpoint.hosts] },
    { passfile: undefined, targetMajor: 18 },
  );
  const [row] = await query(
    targetUrl,
    `SELECT subname FROM pg_subscription
      WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = '${name}')`,
  );
  await exec(
    targetUrl,
    `ALTER SUBSCRIPTION ${row!["subname"]} CONNECTION ${quoteLiteral(conninfo)}`,
  );
}
