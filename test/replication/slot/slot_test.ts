import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import type { RunEvent } from "../../../lib/core/internal.ts";
import { ReplicatorError } from "../../../lib/core/internal.ts";
import { createSlotSnapshot, dropSlotApart } from "../../../lib/replication/internal.ts";
import { importSnapshot, openSession } from "../../../lib/postgres/internal.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { withDatabase } from "../../support/databases.ts";
import { endpointOf } from "../../support/init.ts";
import { exec, query, withSession } from "../../support/sql.ts";

const clusters = [await sharedCluster(12), await sharedCluster(18)];

let count = 0;

function slotOptions(events: RunEvent[] = []) {
  return {
    slot: `test_slot_${Deno.pid}_${++count}`,
    failover: true,
    slotTimeoutMs: 60_000,
    signal: new AbortController().signal,
    events: (event: RunEvent) => void events.push(event),
  };
}

async function slotsOf(url: string): Promise<readonly string[]> {
  const rows = await query<{ name: string }>(
    url,
    "SELECT slot_name AS name FROM pg_replication_slots WHERE database = current_database()",
  );
  return rows.map(({ name }) => name);
}

/** Resolves once the condition, an SQL expression, is true. */
async function until(url: string, condition: string): Promise<void> {
  await withSession(url, async (session) => {
    for (let tries = 0; tries < 3_000; tries++) {
      const [row] = await session.unsafe<{ ok: boolean }[]>(`SELECT (${condition}) AS ok`).simple();
      if (row?.ok) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`never became true: ${condition}`);
  });
}

const creating = `EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'walsender'
  AND wait_event = 'transactionid' AND datname = current_database())`;

for (const cluster of clusters) {
  const version = `PostgreSQL ${cluster.major}`;

  Deno.test(`${version}: a slot's snapshot outlives its session and sees what was committed before`, async () => {
    await withDatabase(cluster, undefined, async ({ url }) => {
      await exec(url, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
      const endpoint = await endpointOf(url, "source");
      const options = slotOptions();
      {
        await using locked = (await createSlotSnapshot(endpoint, options)).snapshot;
        await exec(url, "INSERT INTO t VALUES (2)");
        await using reader = await openSession(endpoint);
        await importSnapshot(reader, locked.identifier);
        deepStrictEqual(await reader.query("SELECT id FROM public.t"), [{ id: 1 }]);
        await rejects(exec(url, "SET lock_timeout = 50; TRUNCATE t"), /lock timeout/);
      }
      deepStrictEqual(await slotsOf(url), [options.slot]);
      await dropSlotApart(endpoint, options.slot);
      deepStrictEqual(await slotsOf(url), []);
    });
  });

  Deno.test(`${version}: transactions that a new slot waits for are reported, and the timeout leaves no slot`, async () => {
    await withDatabase(cluster, undefined, async ({ url }) => {
      await exec(url, "CREATE TABLE t (id int PRIMARY KEY)");
      const endpoint = await endpointOf(url, "source");
      const events: RunEvent[] = [];
      await withSession(url, async (writer) => {
        await writer.unsafe("BEGIN; INSERT INTO t VALUES (1)").simple();
        await exec(url, "BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'left behind'");
        try {
          await rejects(
            createSlotSnapshot(endpoint, { ...slotOptions(events), slotTimeoutMs: 600 }),
            (error) => {
              ok(error instanceof ReplicatorError);
              match(error.message, /transactions? that began earlier/);
              match(error.details.join("\n"), /pid \d+ .*idle in transaction/);
              match(error.remedy ?? "", /pg_terminate_backend\(\d+\)/);
              strictEqual(error.exitCode, 3);
              return true;
            },
          );
        } finally {
          await exec(url, "ROLLBACK PREPARED 'left behind'");
        }
      });
      ok(
        events.some((event) =>
          event.kind === "info" && /waiting for a transaction/.test(event.message)
        ),
      );
      deepStrictEqual(await slotsOf(url), []);
    });
  });

  Deno.test(`${version}: an interrupted creation leaves no slot`, async () => {
    await withDatabase(cluster, undefined, async ({ url }) => {
      await exec(url, "CREATE TABLE t (id int PRIMARY KEY)");
      const endpoint = await endpointOf(url, "source");
      const ending = new AbortController();
      await withSession(url, async (writer) => {
        await writer.unsafe("BEGIN; INSERT INTO t VALUES (1)").simple();
        const creation = createSlotSnapshot(endpoint, { ...slotOptions(), signal: ending.signal });
        const refused = rejects(creation, /enough/);
        await until(url, creating);
        ending.abort(new Error("enough"));
        await refused;
        await until(url, `NOT ${creating}`);
      });
      deepStrictEqual(await slotsOf(url), []);
    });
  });

  Deno.test(`${version}: a TRUNCATE that waits during the creation of the slot does not block it`, async () => {
    await withDatabase(cluster, undefined, async ({ url }) => {
      await exec(url, "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)");
      await exec(url, "INSERT INTO a VALUES (1); INSERT INTO b VALUES (1)");
      const endpoint = await endpointOf(url, "source");
      const options = slotOptions();
      await withSession(url, async (first) => {
        await withSession(url, async (second) => {
          // one session holds a lock on the table that the other, which already has a transaction
          // ID, truncates
          await first.unsafe("BEGIN; LOCK TABLE a IN ACCESS SHARE MODE").simple();
          await second.unsafe("BEGIN; INSERT INTO b VALUES (2)").simple();
          const truncated = second.unsafe("TRUNCATE a; COMMIT").simple();
          const creation = createSlotSnapshot(endpoint, options);
          await until(url, creating);
          await first.unsafe("COMMIT").simple();
          await truncated;
          await using locked = (await creation).snapshot;
          const { a, b } = await locked.session.queryOne<{ a: number; b: number }>(
            "SELECT (SELECT count(*)::int FROM public.a) AS a, (SELECT count(*)::int FROM public.b) AS b",
          );
          deepStrictEqual({ a, b }, { a: 0, b: 2 });
        });
      });
      await dropSlotApart(endpoint, options.slot);
    });
  });

  for (
    const [what, statement] of [
      ["ALTER that rewrites a table", "ALTER TABLE t ALTER COLUMN n TYPE bigint"],
      ["ALTER that adds a column", "ALTER TABLE t ADD COLUMN more text"],
      ["DROP", "DROP TABLE t"],
      ["TRUNCATE", "TRUNCATE t"],
      ["new table", "CREATE TABLE u (id int PRIMARY KEY)"],
    ] as const
  ) {
    Deno.test(`${version}: ${what} between snapshot and locks starts over`, async () => {
      await withDatabase(cluster, undefined, async ({ url }) => {
        await exec(url, "CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 1)");
        await exec(url, "CREATE TABLE other (id int PRIMARY KEY)");
        const endpoint = await endpointOf(url, "source");
        const events: RunEvent[] = [];
        const options = slotOptions(events);
        let times = 0;
        const made = await createSlotSnapshot(endpoint, {
          ...options,
          onCreated: async () => {
            if (++times === 1) await exec(url, statement);
          },
        });
        await using locked = made.snapshot;
        strictEqual(times, 2);
        ok(
          events.some((event) =>
            event.kind === "info" && /creating the slot again/.test(event.message)
          ),
        );
        const there = await locked.session.query<{ name: string }>(
          "SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1",
        );
        deepStrictEqual(made.tables.map(({ name }) => name), there.map(({ name }) => name));
        deepStrictEqual(await slotsOf(url), [options.slot]);
        await dropSlotApart(endpoint, options.slot);
      });
    });
  }

  Deno.test(`${version}: a TRUNCATE between snapshot and locks is accepted if the slot delivers it`, async () => {
    await withDatabase(cluster, undefined, async ({ url }) => {
      await exec(url, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
      await exec(url, "CREATE TABLE u (id int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t, u");
      const endpoint = await endpointOf(url, "source");
      const options = slotOptions();
      let times = 0;
      const made = await createSlotSnapshot(endpoint, {
        ...options,
        publication: "p",
        onCreated: async () => {
          times++;
          await exec(
            url,
            "SET synchronous_commit = off; BEGIN; TRUNCATE u, t; INSERT INTO t VALUES (2); COMMIT",
          );
        },
      });
      await using locked = made.snapshot;
      strictEqual(times, 1);
      deepStrictEqual(await locked.session.query("SELECT FROM public.t"), []);
      await dropSlotApart(endpoint, options.slot);
    });
  });

  Deno.test(`${version}: waiting long for a locked table does not lose the snapshot`, async () => {
    await withDatabase(cluster, undefined, async ({ url }) => {
      await exec(url, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
      const endpoint = await endpointOf(url, "source");
      const options = slotOptions();
      await withSession(url, async (holder) => {
        let release = Promise.resolve();
        const made = await createSlotSnapshot(endpoint, {
          ...options,
          onCreated: async () => {
            await holder.unsafe("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").simple();
            release = until(
              url,
              "EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'relation')",
            ).then(async () => void await holder.unsafe("COMMIT").simple());
          },
        });
        await using _locked = made.snapshot;
        await release;
        strictEqual(made.tables.length, 1);
      });
      await dropSlotApart(endpoint, options.slot);
    });
  });
}
