import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { checkTripwire, readOrigins, readTripwire } from "../../lib/cutover/internal.ts";
import { openSession } from "../../lib/postgres/internal.ts";
import { ClientApplier } from "../../lib/replication/client_applier.ts";
import { createClientStream, endClientStream, RunningApplier } from "../support/client_stream.ts";
import { sharedCluster } from "../support/clusters.ts";
import { createDatabase } from "../support/databases.ts";
import { endpointOf } from "../support/init.ts";
import { drain } from "../support/replicated.ts";
import { replicationName } from "../support/replication.ts";
import { exec, query } from "../support/sql.ts";

const old = await sharedCluster(12);
const current = await sharedCluster(18);

const position =
  "SELECT confirmed_flush_lsn - '0/0' AS bytes FROM pg_replication_slots WHERE slot_name = $1";

/** Writes what is just enough for a second portion, and a transaction more, as a stream does. */
function asReplicated(origin: string): string {
  return `SELECT pg_replication_origin_session_setup('${origin}');
    BEGIN; INSERT INTO a SELECT n, 'v' FROM generate_series(1, 50000) AS n; DELETE FROM a; COMMIT;
    INSERT INTO a VALUES (1, 'v'); DELETE FROM a`;
}

Deno.test("the tripwire tells what the tool has applied from what others have written", async () => {
  const schema = "CREATE TABLE a (id int PRIMARY KEY, v text)";
  await using open = await createDatabase(old, schema);
  await using closed = await createDatabase(current, schema);
  const stream = await createClientStream(open.url, closed.url);
  const slot = `${stream.name}_out`;
  try {
    await using session = await openSession(await endpointOf(closed.url, "target"));
    strictEqual(await readOrigins(session, [stream.name]), undefined);
    // without a slot, changes are applied without the origin of an earlier session
    await query(closed.url, "SELECT pg_replication_origin_create($1)", [stream.name]);
    {
      await using applier = new RunningApplier(stream);
      await exec(open.url, "INSERT INTO a VALUES (0, 'v')");
      await Promise.race([drain(open.url), applier.ended]);
    }
    strictEqual(await readOrigins(session, [stream.name]), undefined);
    await exec(closed.url, `CREATE PUBLICATION "${slot}" FOR TABLE a`);
    await query(closed.url, "SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [slot]);
    const find = async () => {
      const origins = await readOrigins(session, [stream.name]) ?? [];
      const found = await readTripwire(session, { slot, publication: slot, origins });
      return found.map(({ change, schema, name }) => `${change} ${schema}.${name}`);
    };
    {
      await using applier = new RunningApplier(stream);
      await exec(
        open.url,
        "INSERT INTO a SELECT n, 'v' FROM generate_series(1, 20) AS n; UPDATE a SET v = 'w'; TRUNCATE a",
      );
      await Promise.race([drain(open.url), applier.ended]);
    }
    deepStrictEqual(await readOrigins(session, [stream.name]), [stream.name]);
    deepStrictEqual(await find(), []);
    const [at] = await query(closed.url, position, [slot]);
    // more than a check reads at once
    await exec(closed.url, asReplicated(stream.name));
    const origins = await readOrigins(session, [stream.name]) ?? [];
    const check = (timeoutMs?: number) =>
      checkTripwire(session, { slot, publication: slot, origins, timeoutMs });
    strictEqual(await check(0), undefined);
    deepStrictEqual(await check(), []);
    const [advanced] = await query(closed.url, position, [slot]);
    ok(BigInt(String(advanced!.bytes)) > BigInt(String(at!.bytes)));
    await exec(closed.url, "INSERT INTO a VALUES (1, 'x'); DELETE FROM a; TRUNCATE a");
    const rogue = ["INSERT public.a", "DELETE public.a", "TRUNCATE public.a"];
    deepStrictEqual(await find(), rogue);
    // an alarm stays one
    for (let count = 1; count <= 2; count++) {
      deepStrictEqual(
        (await check())?.map(({ change, schema, name }) => `${change} ${schema}.${name}`),
        rogue,
      );
    }
    await new ClientApplier(session, { name: stream.name }).remove({ restoreIdentities: false });
    deepStrictEqual(
      await query(closed.url, "SELECT FROM pg_replication_origin WHERE roname = $1", [stream.name]),
      [],
    );
  } finally {
    await query(
      closed.url,
      "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1",
      [slot],
    );
    await endClientStream(stream);
  }
});

Deno.test("origins are read by a role that is not a superuser, before 14 as well", async () => {
  const name = replicationName();
  const subscribe =
    `CREATE SUBSCRIPTION "${name}" CONNECTION '' PUBLICATION p WITH (connect = false, slot_name = NONE, enabled = false)`;
  await using database = await createDatabase(
    old,
    "REVOKE ALL ON pg_stat_subscription FROM public",
  );
  // subscriptions of other databases may have the same name
  await using other = await createDatabase(old, subscribe);
  await exec(database.url, subscribe);
  try {
    const ids = await query<{ oid: number }>(
      database.url,
      "SELECT oid FROM pg_subscription WHERE subname = $1",
      [name],
    );
    await using session = await openSession(await endpointOf(database.url, "target"));
    await session.execute("SET ROLE pg_monitor");
    strictEqual(await readOrigins(session, [name]), undefined);
    await exec(database.url, "GRANT SELECT ON pg_stat_subscription TO public");
    deepStrictEqual(
      (await readOrigins(session, [name]))?.toSorted(),
      ids.map(({ oid }) => `pg_${oid}`).toSorted(),
    );
    strictEqual(await readOrigins(session, [name, "missing"]), undefined);
  } finally {
    for (const { url } of [database, other]) {
      await exec(url, `DROP SUBSCRIPTION IF EXISTS "${name}"`);
    }
  }
});
