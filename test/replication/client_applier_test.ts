import { deepStrictEqual, match, notStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { parseLsn } from "../../lib/core/internal.ts";
import { listTables } from "../../lib/catalog/internal.ts";
import { openSession, type Session } from "../../lib/postgres/internal.ts";
import {
  type Applier,
  listAppliers,
  openApplier,
  readAppliedTables,
  readApplierProgress,
  readAppliers,
  readSlots,
  type ScopeComment,
} from "../../lib/replication/internal.ts";
import { stopStreams } from "../../lib/cutover/turn_streams.ts";
import { applyLockKey } from "../../lib/replication/client/apply_lock.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withDatabase } from "../support/databases.ts";
import { endpointOf } from "../support/init.ts";
import { replicationName } from "../support/replication.ts";
import { exec, query, withSession } from "../support/sql.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(17);

const schema = `
  CREATE TABLE orders (id int PRIMARY KEY, v text);
  CREATE TABLE "odd name" (id int PRIMARY KEY);
  CREATE TABLE events (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
  CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');`;

/** Takes the stream's lock as the process that applies changes does. */
async function tryApplyLock(session: Session, name: string): Promise<boolean> {
  const { granted } = await session.queryOne<{ readonly granted: boolean }>(
    "SELECT pg_try_advisory_lock($1, $2) AS granted",
    [...applyLockKey(name)],
  );
  return granted;
}

interface Place {
  readonly name: string;
  readonly sourceUrl: string;
  readonly targetUrl: string;
  readonly from: Session;
  readonly to: Session;
  readonly scopeComment: ScopeComment;
  /** Creates the applier for all tables of the source. */
  readonly create: () => Promise<Applier>;
}

/** Two databases with the same tables, and a slot and a publication of the first. */
async function withStream(work: (place: Place) => Promise<void>): Promise<void> {
  await withDatabase(source, undefined, async ({ url: sourceUrl }) => {
    await withDatabase(target, undefined, async ({ url: targetUrl }) => {
      const name = replicationName();
      await exec(sourceUrl, schema);
      await exec(targetUrl, schema);
      await query(sourceUrl, `CREATE PUBLICATION ${name} FOR ALL TABLES`);
      await query(sourceUrl, "SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [name]);
      try {
        await using from = await openSession(await endpointOf(sourceUrl, "source"));
        await using to = await openSession(await endpointOf(targetUrl, "target"));
        const scopeComment: ScopeComment = {
          version: 1,
          tool: "postgres-seren-replicator",
          hash: name.slice("seren_".length),
          epoch: 1,
          source: { system: "1", database: "a" },
          target: { system: "2", database: "b" },
          rules: "",
          words: [],
          rulesNow: "2026-01-01T00:00:00Z",
          createdAt: "2026-01-01T00:00:00Z",
          copiedAt: "2026-01-01T00:00:00Z",
          changedIdentities: [{ schema: "public", name: "odd name", before: "d" }],
        };
        const create = async () => {
          const applier = await openApplier(to, { name, kind: "client" });
          await applier.create({
            source: from,
            names: { slot: name, publication: name, subscription: name },
            published: await listTables(from),
            predicateOf: () => undefined,
            scopeComment,
            access: { sourceFromTarget: from.endpoint, passfile: undefined },
            origin: "any",
          });
          return applier;
        };
        await work({ name, sourceUrl, targetUrl, from, to, scopeComment, create });
      } finally {
        await query(sourceUrl, "SELECT pg_drop_replication_slot($1)", [name]);
      }
    });
  });
}

Deno.test("the record of a new client starts at the slot's position, stopped", async () => {
  await withStream(async ({ name, from, to, targetUrl, scopeComment, create }) => {
    const applier = await create();
    strictEqual(applier.kind, "client");
    strictEqual(await applier.state(), "stopped");
    const [slot] = await readSlots(from, [name]);
    const [row] = await query(
      targetUrl,
      "SELECT name, enabled, slot_name, end_lsn::text, comment::json AS comment, transactions::int, errors::int, error, conflicts FROM seren_apply.stream",
    );
    deepStrictEqual({ ...row, end_lsn: parseLsn(String(row!["end_lsn"])) }, {
      ...{ name, enabled: false, slot_name: name, end_lsn: slot!.confirmedFlushLsn },
      ...{ comment: { ...scopeComment }, transactions: 0, errors: 0, error: null, conflicts: {} },
    });
    const tables = await query(
      targetUrl,
      "SELECT schema_name, table_name FROM seren_apply.stream_table ORDER BY 2",
    );
    deepStrictEqual(tables.map((each) => each["table_name"]), [
      "events_2026",
      "odd name",
      "orders",
    ]);
    // again: an existing record is left as it is
    await exec(targetUrl, "UPDATE seren_apply.stream SET transactions = 7, end_lsn = '1/0'");
    await create();
    const [again] = await query(
      targetUrl,
      "SELECT transactions::int, end_lsn::text FROM seren_apply.stream",
    );
    deepStrictEqual({ ...again }, { transactions: 7, end_lsn: "1/0" });
    deepStrictEqual(
      await listAppliers(to).then((all) => all.filter((each) => each.name === name)),
      [
        {
          ...{ name, kind: "client", parts: { hash: scopeComment.hash, epoch: 1 } },
          ...{ database: to.endpoint.database, slotName: name },
        },
      ],
    );
  });
});

Deno.test("a client is found by readers, with its tables, errors, conflicts and the session that applies", async () => {
  await withStream(async ({ name, to, targetUrl, scopeComment, create }) => {
    await (await create()).start();
    const error = { message: "duplicate key", table: { schema: "public", name: "orders" } };
    await query(
      targetUrl,
      `UPDATE seren_apply.stream SET end_lsn = '16/B374D848', errors = 3, error = $1::text::jsonb,
              conflicts = '{"insert_exists": 2}', seen_at = clock_timestamp() - interval '1 minute'`,
      [JSON.stringify(error)],
    );
    await using other = await openSession(to.endpoint);
    strictEqual(await tryApplyLock(other, name), true);
    strictEqual(await tryApplyLock(to, name), false);
    const [reading] = await readAppliers(to);
    const { silenceMs, tables, ...rest } = reading!;
    deepStrictEqual(rest, {
      ...{ name, kind: "client", oid: undefined, enabled: true, slotName: name },
      ...{ publications: [name], workerPid: other.processId, receivedLsn: undefined },
      ...{ latestEndLsn: parseLsn("16/B374D848"), applyErrors: 3, error, scopeComment },
      ...{ syncErrors: undefined, conflicts: { insert_exists: 2 }, blockers: [] },
      applied: { transactions: 0, changes: 0, sinceMs: undefined },
    });
    strictEqual(Math.round(silenceMs! / 10_000), 6);
    deepStrictEqual(tables.map((table) => table.name), ["events_2026", "odd name", "orders"]);
    const [progress] = await readApplierProgress(to, [name]);
    strictEqual(progress!.workerPid, other.processId);
    deepStrictEqual(await readApplierProgress(to, ["seren_other"]), []);
    const applied = await readAppliedTables(to, [progress!]);
    deepStrictEqual(applied.map((table) => table.name).sort(), [
      "events_2026",
      "odd name",
      "orders",
    ]);
    await other.close();
    const [idle] = await readApplierProgress(to, [name]);
    strictEqual(idle!.workerPid, undefined);
  });
});

Deno.test("the session that blocks a client's session is named", async () => {
  await withStream(async ({ name, to, targetUrl, create }) => {
    await (await create()).start();
    await using other = await openSession(to.endpoint);
    await tryApplyLock(other, name);
    await withSession(targetUrl, async (session) => {
      await session.unsafe("BEGIN; LOCK TABLE orders").simple();
      const [row] = await session.unsafe("SELECT pg_backend_pid() AS pid");
      const waiting = other.query("INSERT INTO public.orders VALUES (1)");
      for (;;) {
        const [reading] = await readAppliers(to);
        if (reading!.blockers.length === 0) continue;
        deepStrictEqual(reading!.blockers.map((each) => each.pid), [row!["pid"]]);
        break;
      }
      await session.unsafe("ROLLBACK");
      await waiting;
    });
  });
});

Deno.test("stopping a client ends the session that applies, also during a transaction; starting forgets the error", async () => {
  await withStream(async ({ name, to, targetUrl, create }) => {
    const applier = await create();
    await applier.start();
    strictEqual(await applier.state(), "running");
    const applying = await openSession(to.endpoint);
    await tryApplyLock(applying, name);
    await applying.execute(
      "BEGIN; INSERT INTO public.orders VALUES (1); UPDATE seren_apply.stream SET end_lsn = '1/0'",
    );
    await applier.stop();
    strictEqual(await applier.state(), "stopped");
    await rejects(applying.query("SELECT 1"));
    const [row] = await query(
      targetUrl,
      "SELECT enabled, end_lsn <> '1/0' AS before, (SELECT count(*)::int FROM orders) AS rows FROM seren_apply.stream",
    );
    deepStrictEqual({ ...row }, { enabled: false, before: true, rows: 0 });
    await exec(targetUrl, `UPDATE seren_apply.stream SET error = '{"message": "x"}'`);
    await applier.start();
    const [reading] = await readApplierProgress(to, [name]);
    deepStrictEqual([reading!.enabled, reading!.error], [true, undefined]);
  });
});

Deno.test("a switch stops every client, although a transaction that is being applied locks the record of one", async () => {
  await withStream(async ({ name, from, to, targetUrl, create }) => {
    const applier = await create();
    await applier.start();
    const other = `${name}_b`;
    await query(
      targetUrl,
      "INSERT INTO seren_apply.stream (name, enabled, comment, slot_name, end_lsn) SELECT $1, true, comment, $1, end_lsn FROM seren_apply.stream",
      [other],
    );
    const applying = await openSession(to.endpoint);
    await tryApplyLock(applying, name);
    await applying.execute(
      `BEGIN; UPDATE seren_apply.stream SET end_lsn = '1/0' WHERE name = '${name}'`,
    );
    const { signal } = new AbortController();
    await stopStreams(to, { streams: [other, name], sender: from, signal });
    deepStrictEqual(
      await query(targetUrl, "SELECT name FROM seren_apply.stream WHERE enabled"),
      [],
    );
    await rejects(applying.query("SELECT 1"));
  });
});

Deno.test("a client skips a transaction, resumes no earlier than its advanced slot, and follows changed tables", async () => {
  await withStream(async ({ to, targetUrl, create }) => {
    const applier = await create();
    const stopped = (lsn: string, enabled: boolean) =>
      exec(
        targetUrl,
        `UPDATE seren_apply.stream SET enabled = ${enabled}, end_lsn = '0/5',
                error = '{"message": "x", "finishLsn": "${lsn}"}'`,
      );
    for (const [lsn, enabled] of [["0/B", false], ["0/A", true]] as const) {
      await stopped(lsn, enabled);
      await rejects(
        applier.skip(parseLsn("0/A")),
        /the transaction that ends at 0\/A does not stop the stream/,
      );
    }
    await stopped("0/A", false);
    await applier.skip(parseLsn("0/A"));
    await applier.advance(parseLsn("0/7"));
    await applier.advance(parseLsn("0/6"));
    const [row] = await query(
      targetUrl,
      "SELECT enabled, error, skip_lsn::text, end_lsn::text FROM seren_apply.stream",
    );
    deepStrictEqual({ ...row }, { enabled: true, error: null, skip_lsn: "0/A", end_lsn: "0/7" });
    await applier.addTables([{ schema: "seren_cutover", name: "token_x" }]);
    await applier.keepTables([{ schema: "public", name: "orders" }]);
    const [{ tables }] = await query<{ tables: string[] }>(
      targetUrl,
      "SELECT array_agg(table_name ORDER BY table_name) AS tables FROM seren_apply.stream_table",
    ) as [{ tables: string[] }];
    deepStrictEqual(String(tables).replace(/[{}]/g, "").split(","), ["orders", "token_x"]);
    // the tables of a cutover are not shown
    const [reading] = await readAppliers(to);
    deepStrictEqual(reading!.tables.map(({ name }) => name), ["orders"]);
  });
});

Deno.test("removing the last client restores identities and removes the schema", async () => {
  await withStream(async ({ targetUrl, create }) => {
    const applier = await create();
    await exec(
      targetUrl,
      `ALTER TABLE "odd name" REPLICA IDENTITY FULL;
       INSERT INTO seren_apply.stream (name, enabled, comment, end_lsn, conflicts) VALUES ('seren_0123456789abcdef', false, '', '0/1', '{}')`,
    );
    deepStrictEqual(await applier.remove({ restoreIdentities: true }), []);
    const left = () =>
      query(
        targetUrl,
        `SELECT to_regnamespace('seren_apply') IS NOT NULL AS schema,
                (SELECT relreplident::text FROM pg_class WHERE relname = 'odd name') AS identity`,
      );
    deepStrictEqual({ ...(await left())[0] }, { schema: true, identity: "d" });
    strictEqual(await applier.state(), "absent");
    deepStrictEqual(await applier.remove({ restoreIdentities: true }), []);
    await using session = await openSession(await endpointOf(targetUrl, "target"));
    const other = await openApplier(session, { name: "seren_0123456789abcdef" });
    strictEqual(other.kind, "client");
    await other.remove({ restoreIdentities: true });
    deepStrictEqual({ ...(await left())[0] }, { schema: false, identity: "d" });
  });
});

Deno.test("a schema that the tool did not create is not written, and not read", async () => {
  await withStream(async ({ to, targetUrl, create }) => {
    await exec(
      targetUrl,
      "CREATE SCHEMA seren_apply; CREATE VIEW seren_apply.stream AS SELECT 1 AS name",
    );
    await rejects(create(), (error: Error & { details?: readonly string[] }) => {
      match(error.message, /seren_apply was not created/);
      match(error.details!.join(), /stream is not an ordinary table/);
      return true;
    });
    deepStrictEqual(await readAppliers(to), []);
  });
});

Deno.test("streams have different locks", () => {
  const names = ["seren_0123456789abcdef", "seren_0123456789abcdef_e2", "seren_0123456789abcdee"];
  const keys = names.map((name) => applyLockKey(name));
  strictEqual(new Set(keys.map(String)).size, 3);
  strictEqual(new Set(keys.map(([first]) => first)).size, 1);
  notStrictEqual(keys[0]![1], keys[1]![1]);
});
