/** Copy workers whose connections break continue, and no row is lost or duplicated. */
import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { listTables } from "../../lib/catalog/internal.ts";
import {
  type CopyPart,
  copyTables,
  exportLockedSnapshot,
  ignoreCopyProgress,
  type PartRecord,
  planCopy,
  runCopyWorker,
} from "../../lib/copy/internal.ts";
import { quoteLiteral } from "../../lib/core/internal.ts";
import { openSession, SnapshotLostError } from "../../lib/postgres/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withDatabase } from "../support/databases.ts";
import { endpointOf } from "../support/init.ts";
import { startProxy } from "../support/proxy.ts";
import { exec, query } from "../support/sql.ts";
import { planOptions, quietWorker } from "../support/copy.ts";
import { waitUntil } from "../support/wait.ts";

const source = await sharedCluster(16);
const target = await sharedCluster(17);

const tables = Array.from({ length: 30 }, (_, index) => `t${index}`);
const make = [...tables, "big"].map((name) => `CREATE TABLE ${name} (i int, t text)`).join("; ");
const fill = [
  ...tables.map((name, index) =>
    `INSERT INTO ${name} SELECT i, repeat('x', ${index * 7}) FROM generate_series(1, ${
      index * 40
    }) i`
  ),
  "INSERT INTO big SELECT i, repeat('y', 400) FROM generate_series(1, 60000) i",
].join("; ");
const facts =
  [...tables, "big"].map((name) =>
    `SELECT '${name}' AS name, count(*)::int AS n, coalesce(sum(i), 0)::text AS s, count(DISTINCT i)::int AS d FROM ${name}`
  ).join(" UNION ALL ") + " ORDER BY 1";

const record: PartRecord = {
  statement: ({ name }: CopyPart) => `INSERT INTO ledger VALUES (${quoteLiteral(name)})`,
  isRecorded: ({ name }: CopyPart) => `SELECT FROM ledger WHERE name = ${quoteLiteral(name)}`,
  constraint: "ledger_pkey",
};

interface Setting {
  readonly urls: { readonly source: string; readonly target: string };
  readonly disturb: (moved: number) => void;
  readonly whileHeld?: (pid: number) => Promise<void>;
}

async function copy({ urls, disturb, whileHeld }: Setting): Promise<void> {
  const signal = new AbortController().signal;
  const from = await endpointOf(urls.source, "source");
  const to = await endpointOf(urls.target, "target");
  const locked = await exportLockedSnapshot(from, { signal, select: undefined });
  await using _held = locked.snapshot;
  await whileHeld?.(locked.snapshot.session.processId);
  const movedOf = new Map<string, number>();
  const plan = planOptions({ splitBytes: 4 * 1024 * 1024, jobs: 3 });
  await copyTables({
    source: from,
    target: { ...to, options: "-c search_path=public" },
    targetSettings: {},
    snapshot: locked.snapshot,
    parts: planCopy(locked.tables, plan),
    encoding: plan.encoding,
    settings: plan.settings,
    pace: undefined,
    progress: ignoreCopyProgress,
    signal,
    events: (event) => {
      if (event.kind !== "table-progress") return;
      movedOf.set(event.table, event.bytes);
      disturb(movedOf.values().reduce((sum, bytes) => sum + bytes, 0));
    },
    record: {
      ...record,
      statement: (part) => record.statement(part).replace("ledger", "public.ledger"),
      isRecorded: (part) => record.isRecorded(part).replace("ledger", "public.ledger"),
    },
  });
}

Deno.test("connections to the target that break repeatedly lose no row and no worker", async () => {
  await withDatabase(source, undefined, async (from) => {
    await withDatabase(target, undefined, async (to) => {
      await exec(from.url, `${make}; ${fill}`);
      await exec(to.url, `${make}; CREATE TABLE ledger (name text PRIMARY KEY)`);
      await using proxy = await startProxy(target);
      const cuts: Promise<void>[] = [];
      await copy({
        urls: { source: from.url, target: proxy.url(to.url) },
        disturb: (moved) => {
          if (cuts.length < 3 && moved > 6_000_000 * (cuts.length + 1)) cuts.push(proxy.cut());
        },
      });
      await Promise.all(cuts);
      strictEqual(cuts.length, 3);
      deepStrictEqual(await query(to.url, facts), await query(from.url, facts));
    });
  });
});

Deno.test("terminated backends on both servers lose no row", async () => {
  await withDatabase(source, undefined, async (from) => {
    await withDatabase(target, undefined, async (to) => {
      await exec(from.url, `${make}; ${fill}`);
      await exec(to.url, `${make}; CREATE TABLE ledger (name text PRIMARY KEY)`);
      let holder = 0;
      let ended = 0;
      const endings: Promise<unknown>[] = [];
      await copy({
        urls: { source: from.url, target: to.url },
        whileHeld: (pid) => Promise.resolve(void (holder = pid)),
        disturb: (moved) => {
          if (ended > 4 || moved < 3_000_000 * (ended + 1)) return;
          ended++;
          const url = ended % 2 ? from.url : to.url;
          endings.push(query(
            url,
            `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE application_name = 'postgres-seren-replicator' AND datname = current_database()
                AND pid <> $1 ORDER BY backend_start LIMIT 1`,
            [holder],
          ));
        },
      });
      await Promise.all(endings);
      ok(ended > 2);
      deepStrictEqual(await query(to.url, facts), await query(from.url, facts));
    });
  });
});

Deno.test("a lost snapshot is reported as such", async () => {
  await withDatabase(source, undefined, async (from) => {
    await withDatabase(target, undefined, async (to) => {
      await exec(from.url, `${make}; ${fill}`);
      await exec(to.url, `${make}; CREATE TABLE ledger (name text PRIMARY KEY)`);
      await rejects(
        copy({
          urls: { source: from.url, target: to.url },
          whileHeld: async (pid) => {
            await query(from.url, "SELECT pg_terminate_backend($1, 5000)", [pid]);
          },
          disturb: () => {},
        }),
        SnapshotLostError,
      );
      await using session = await openSession(await endpointOf(from.url, "source"));
      ok((await listTables(session)).length > 0);
    });
  });
});

for (const [what, sqlState] of [["a deadlock", "40P01"], ["a lock timeout", "55P03"]] as const) {
  Deno.test(`a part that the target rejects because of ${what} is copied again, and the others continue`, async () => {
    await withDatabase(source, undefined, async (from) => {
      await withDatabase(target, undefined, async (to) => {
        await exec(from.url, `${make}; ${fill}`);
        // a sequence is not reset by a rollback
        await exec(
          to.url,
          `${make}; CREATE TABLE ledger (name text PRIMARY KEY); CREATE SEQUENCE refusals;
           CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF nextval('public.refusals') <= 2 THEN RAISE SQLSTATE '${sqlState}'; END IF; RETURN new; END $$;
           CREATE TRIGGER refuse BEFORE INSERT ON big FOR EACH ROW WHEN (new.i = 30000) EXECUTE FUNCTION refuse()`,
        );
        await copy({ urls: { source: from.url, target: to.url }, disturb: () => {} });
        deepStrictEqual(await query(to.url, facts), await query(from.url, facts));
        const [row] = await query(to.url, "SELECT last_value::int AS n FROM refusals");
        strictEqual(row?.["n"], 3);
      });
    });
  });
}

Deno.test("a session whose connection broke while idle is recognized as such, and its worker resumes", async () => {
  await withDatabase(source, undefined, async (from) => {
    await withDatabase(target, undefined, async (to) => {
      await using proxy = await startProxy(target);
      const endpoint = await endpointOf(proxy.url(to.url), "target");
      await using idle = await openSession(endpoint);
      await proxy.cut();
      await waitUntil("the session knows", () => !idle.isOpen);
      await rejects(idle.exchange(new Uint8Array()), { name: "ConnectionError", transient: true });

      await exec(from.url, `${make}; ${fill}`);
      await exec(to.url, `${make}; CREATE TABLE ledger (name text PRIMARY KEY)`);
      const signal = new AbortController().signal;
      const locked = await exportLockedSnapshot(await endpointOf(from.url, "source"), {
        signal,
        select: undefined,
      });
      await using _held = locked.snapshot;
      let cuts = 0;
      const job = {
        name: "big",
        copyOut: "COPY public.big TO STDOUT",
        copyIn: "COPY public.big FROM STDIN; INSERT INTO public.ledger VALUES ('big')",
        isRecorded: "SELECT FROM public.ledger",
        expectedBytes: 1,
      };
      const jobs = [job];
      await runCopyWorker({
        source: await endpointOf(from.url, "source"),
        target: endpoint,
        snapshot: locked.snapshot.identifier,
        signal,
        ...quietWorker,
        retryDelaysMs: [1, 1, 1],
        // the target's session is open by then, and idle
        onSnapshot: async () => {
          if (cuts++ >= 2) return;
          await proxy.cut();
          await query(from.url, "SELECT pg_sleep(0.05)");
        },
        next: () => jobs.shift(),
        onFinished: () => {},
      });
      strictEqual(cuts, 3);
      deepStrictEqual(await query(to.url, "SELECT count(*)::int AS n FROM big"), [{ n: 60_000 }]);
    });
  });
});
