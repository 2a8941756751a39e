import { deepStrictEqual, match, rejects, strictEqual } from "node:assert/strict";
import { ExitCode, parseLsn, ReplicatorError, type RunEvent } from "../../../lib/core/internal.ts";
import { executeCleanup } from "../../../lib/commands/cleanup/cleanup.ts";
import { openSession } from "../../../lib/postgres/internal.ts";
import { applyLockKey } from "../../../lib/replication/internal.ts";
import type { SyncReport } from "../../../lib/commands/shared/sync_report.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { dropDatabase, withDatabase } from "../../support/databases.ts";
import { readRuleFlags, type TableRules } from "../../../lib/rules/internal.ts";
import { endpointOf, runInit } from "../../support/init.ts";
import { compareRows } from "../../support/replicated.ts";
import { exec, query } from "../../support/sql.ts";
import { runSync, syncSettings } from "../../support/sync.ts";
import { runVerify } from "../../support/verify.ts";
import { waitUntil } from "../../support/wait.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(17);
const old = await sharedCluster(12);

const here = { ...syncSettings, applyFrom: "here" as const };

const schema = `
  CREATE TABLE orders (id int PRIMARY KEY, v text);
  INSERT INTO orders SELECT n, 'v' || n FROM generate_series(1, 100) AS n;`;

interface Place {
  readonly name: string;
  readonly sourceUrl: string;
  readonly targetUrl: string;
}

/** A database that init has copied, whose changes this tool applies. */
async function withCopy(
  work: (place: Place) => Promise<void>,
  { more = "", user, from = source, rulesOf }: {
    readonly more?: string;
    readonly user?: string;
    readonly from?: typeof source;
    readonly rulesOf?: (database: string) => TableRules;
  } = {},
): Promise<void> {
  await withDatabase(from, undefined, async ({ name, url }) => {
    const role = user === undefined ? {} : { user };
    const owning = user === undefined
      ? ""
      : `ALTER DATABASE ${name} OWNER TO ${user}; SET ROLE ${user};`;
    await exec(url, owning + schema + more);
    const targetUrl = target.url({ database: name, ...role });
    try {
      const { plan, report } = await runInit(url, target.url(role), {
        include: [name],
        sync: here,
        ...(rulesOf === undefined ? {} : { rules: rulesOf(name) }),
      });
      deepStrictEqual(plan.applier, { kind: "client", reasons: [] });
      match(report.warnings.map(({ remedy }) => remedy).join(), /run sync .* keep it running/);
      await work({ name, sourceUrl: url, targetUrl });
    } finally {
      await query(
        url,
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()",
      );
      await dropDatabase(target, name);
    }
  });
}

/** `sync` in the background. */
class RunningSync implements AsyncDisposable {
  readonly #abort = new AbortController();
  readonly events: RunEvent[] = [];
  readonly done: Promise<SyncReport>;

  constructor({ sourceUrl, targetUrl, name }: Place, options: Parameters<typeof runSync>[2] = {}) {
    this.done = runSync(sourceUrl, targetUrl, {
      include: [name],
      signal: this.#abort.signal,
      sync: here,
      onEvent: (event) => this.events.push(event),
      ...options,
    }).then(({ report }) => report);
    this.done.catch(() => {});
  }

  /** Resolves once it applies changes. */
  async applies(): Promise<void> {
    while (!this.events.some((event) => event.kind === "apply-progress")) {
      await Promise.race([new Promise((resolve) => setTimeout(resolve, 100)), this.done]);
    }
  }

  async stop(): Promise<SyncReport> {
    this.#abort.abort();
    return await this.done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.done.catch(() => {});
  }
}

async function untilEqual({ sourceUrl, targetUrl }: Place): Promise<void> {
  const digest = async (url: string) => {
    const [row] = await query(
      url,
      "SELECT count(*)::int AS rows, md5(string_agg(o::text, ',' ORDER BY id)) AS sum FROM orders AS o",
    );
    return JSON.stringify(row);
  };
  const deadline = Date.now() + 30_000;
  while (await digest(sourceUrl) !== await digest(targetUrl)) {
    if (Date.now() > deadline) throw new Error("the databases do not become equal");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

Deno.test("init hands over to this tool, and sync applies changes until it is stopped, and again", async () => {
  await withCopy(async (place) => {
    const { sourceUrl, targetUrl } = place;
    {
      await using sync = new RunningSync(place);
      await exec(
        sourceUrl,
        "UPDATE orders SET v = 'new' WHERE id < 10; DELETE FROM orders WHERE id = 50",
      );
      await untilEqual(place);
      await using second = new RunningSync(place);
      await second.done;
      match(
        second.events.map((event) => "message" in event ? event.message : "").join("\n"),
        /another process applies the changes of seren_\w+ \(session \d+ of the target.*waits until both sides are equal/,
      );
      const report = await sync.stop();
      const [stream] = report.databases[0]!.streams;
      strictEqual(stream!.applied!.changes, 10);
    }
    await exec(sourceUrl, "INSERT INTO orders VALUES (1000, 'while stopped')");
    await using sync = new RunningSync(place);
    await untilEqual(place);
    await sync.stop();
    strictEqual(await compareRows(sourceUrl, targetUrl), 100);
  });
});

Deno.test("a change that cannot be applied ends sync; --retry applies it once the cause is removed", async () => {
  await withCopy(async (place) => {
    const { sourceUrl, targetUrl } = place;
    await exec(targetUrl, "INSERT INTO orders VALUES (1000, 'in the way')");
    await exec(sourceUrl, "INSERT INTO orders VALUES (1000, 'new')");
    const isRefusal = (error: unknown) => {
      if (!(error instanceof ReplicatorError)) return false;
      strictEqual(error.exitCode, ExitCode.unhealthy);
      match(`${error.message} ${error.details.join()}`, /duplicate key/);
      match(String(error.remedy), /--retry.*--skip-lsn/s);
      return true;
    };
    await rejects(new RunningSync(place).done, isRefusal);
    // without a decision, the stream is not started again
    await rejects(new RunningSync(place).done, (error: unknown) => {
      match((error as ReplicatorError).details.join("\n"), /stopped by a change.*duplicate key/s);
      return true;
    });
    const [row] = await query(
      targetUrl,
      "SELECT enabled, errors::int, error IS NOT NULL AS error FROM seren_apply.stream",
    );
    deepStrictEqual({ ...row }, { enabled: false, errors: 1, error: true });
    await rejects(
      runVerify(sourceUrl, targetUrl, { repair: "follow" }),
      (error: unknown) => {
        if (!(error instanceof ReplicatorError)) return false;
        match(error.message, /1 stream is stopped, and the changes that wait would fail at rows/);
        match(error.details.join(), /duplicate key/);
        strictEqual(error.exitCode, ExitCode.prerequisite);
        return true;
      },
    );
    await exec(targetUrl, "DELETE FROM orders WHERE id = 1000");
    await using sync = new RunningSync(place, { action: { kind: "retry" } });
    await untilEqual(place);
    await sync.stop();
  });
});

Deno.test("--skip-lsn skips the transaction that was refused, and never another one", async () => {
  await withCopy(async (place) => {
    const { sourceUrl, targetUrl } = place;
    await exec(sourceUrl, "CREATE TABLE unpublished (id int)");
    for (
      const statement of [
        "INSERT INTO orders VALUES (101, 'before')",
        "INSERT INTO unpublished VALUES (1)",
        "ALTER TABLE orders ADD COLUMN w int; INSERT INTO orders VALUES (102, 'refused')",
        "ALTER TABLE orders DROP COLUMN w",
        "INSERT INTO orders VALUES (103, 'after')",
      ]
    ) await exec(sourceUrl, statement);
    const before = await query(sourceUrl, "SELECT pg_current_wal_lsn()::text AS lsn");
    let advised = "";
    await rejects(new RunningSync(place).done, (error: unknown) => {
      if (!(error instanceof ReplicatorError)) return false;
      match(error.message, /the source sends w/);
      advised = /--skip-lsn (\S+),/.exec(String(error.remedy))?.[1] ?? "";
      return true;
    });
    const skip = (lsn: string) =>
      new RunningSync(place, { action: { kind: "skip", lsn: parseLsn(lsn) } });
    for (const lsn of [String(before[0]!["lsn"]), "0/10"]) {
      await rejects(skip(lsn).done, (error: unknown) => {
        if (!(error instanceof ReplicatorError)) return false;
        match(error.message, /nothing was skipped/);
        strictEqual(
          /--skip-lsn (\S+)/.exec(error.details.join("\n"))?.[1],
          advised,
        );
        return true;
      });
    }
    await using sync = skip(advised);
    await sync.applies();
    await waitUntil(
      "the transaction after it is applied",
      async () => (await query(targetUrl, "SELECT id FROM orders WHERE id > 102")).length === 1,
      { during: sync.done },
    );
    deepStrictEqual(
      await query(targetUrl, "SELECT id FROM orders WHERE id > 100 ORDER BY id"),
      [{ id: 101 }, { id: 103 }],
    );
    await sync.stop();
  }, { from: old });
});

Deno.test("a change that one database refuses does not stop another, whose changes a later sync applies as well", async () => {
  await withCopy(async (bad) => {
    await withCopy(async (good) => {
      const both = { include: [bad.name, good.name] };
      const refuseOne = async (id: number) => {
        await exec(bad.targetUrl, `INSERT INTO orders VALUES (${id}, 'in the way')`);
        await exec(bad.sourceUrl, `INSERT INTO orders VALUES (${id}, 'new')`);
      };
      const applyOne = async (id: number) => {
        await exec(good.sourceUrl, `INSERT INTO orders VALUES (${id}, 'good')`);
        await untilEqual(good);
      };
      const isReported = ({ events }: RunningSync, id: number) =>
        events.some((event) =>
          event.kind === "warning" &&
          new RegExp(`duplicate key.*${id}.*other streams continue`, "s").test(event.message)
        );
      const isError = (exitCode: ExitCode) => (error: unknown) => {
        if (!(error instanceof ReplicatorError)) return false;
        strictEqual(error.exitCode, exitCode);
        match([error.message, ...error.details].join("\n"), /duplicate key/);
        return true;
      };
      {
        await using sync = new RunningSync(bad, both);
        await refuseOne(1000);
        await waitUntil("the refusal", () => isReported(sync, 1000), { during: sync.done });
        await applyOne(1000);
        // another command decides; the one that runs resumes the stream
        await exec(bad.targetUrl, "DELETE FROM orders WHERE id = 1000");
        await using retry = new RunningSync(bad, { action: { kind: "retry" } });
        let hasEnded = false;
        retry.done.finally(() => hasEnded = true).catch(() => {});
        await waitUntil("the retry ends", () => hasEnded);
        await retry.done;
        await untilEqual(bad);
        await refuseOne(1001);
        await waitUntil("the refusal", () => isReported(sync, 1001), { during: sync.done });
        await applyOne(1001);
        await rejects(sync.stop(), isError(ExitCode.unhealthy));
      }
      await using sync = new RunningSync(bad, both);
      await waitUntil("the refusal", () => isReported(sync, 1001), { during: sync.done });
      await applyOne(1002);
      await rejects(sync.stop(), isError(ExitCode.prerequisite));
    });
  });
});

Deno.test("sync applies changes once the backend of a process that has ended is gone", async () => {
  await withCopy(async (place) => {
    const { sourceUrl, targetUrl } = place;
    const [record] = await query(targetUrl, "SELECT name FROM seren_apply.stream");
    const session = await openSession(await endpointOf(targetUrl, "target"));
    await using sync = await (async () => {
      await using _held = session;
      await session.query("SELECT pg_advisory_lock($1, $2)", [
        ...applyLockKey(String(record!["name"])),
      ]);
      const waiting = new RunningSync(place);
      await waitUntil(
        "the holder is named",
        () =>
          waiting.events.some((event) =>
            event.kind === "info" && /another process applies/.test(event.message)
          ),
        { during: waiting.done },
      );
      return waiting;
    })();
    await exec(sourceUrl, "INSERT INTO orders VALUES (1000, 'new')");
    await Promise.race([untilEqual(place), sync.done]);
    await untilEqual(place);
    await sync.stop();
  });
});

Deno.test("an existing stream keeps what applies its changes", async () => {
  await withCopy(async (place) => {
    await rejects(
      new RunningSync(place, { sync: { ...syncSettings, applyFrom: "target" } }).done,
      /--apply-from target: the changes of the stream seren_\w+ are applied by this tool/,
    );
  });
});

Deno.test("tables are copied again under a stream of their own, which this tool applies as well", async () => {
  await withCopy(async (place) => {
    const { sourceUrl, targetUrl } = place;
    await exec(targetUrl, "DELETE FROM orders WHERE id < 10");
    await using sync = new RunningSync(place, {
      action: { kind: "copy", tables: ["public.orders"], areNew: false },
    });
    await sync.applies();
    await exec(sourceUrl, "UPDATE orders SET v = 'x' WHERE id = 5");
    await untilEqual(place);
    await sync.stop();
    const streams = await query(targetUrl, "SELECT name FROM seren_apply.stream");
    strictEqual(streams.length, 1);
    match(String(streams[0]!["name"]), /_e2$/);
  });
});

Deno.test("a table that was renamed on both sides is copied again, and loses no change", async () => {
  await withCopy(async (place) => {
    const { sourceUrl, targetUrl } = place;
    await exec(sourceUrl, "ALTER TABLE goods RENAME TO wares; INSERT INTO wares VALUES (2)");
    await exec(targetUrl, "ALTER TABLE goods RENAME TO wares");
    await exec(sourceUrl, "INSERT INTO orders VALUES (101, 'new')");
    await rejects(new RunningSync(place).done, (error: unknown) => {
      match(
        (error as ReplicatorError).details.join("\n"),
        /sync --resnapshot wares, then run sync --retry/,
      );
      return true;
    });
    {
      await using _copy = new RunningSync(place, {
        action: { kind: "copy", tables: ["public.wares"], areNew: false },
      });
      await waitUntil("the table has a stream of its own", async () =>
        (await query(
          targetUrl,
          "SELECT name FROM seren_apply.stream WHERE enabled AND name LIKE '%_e2'",
        )).length === 1);
    }
    await exec(sourceUrl, "INSERT INTO wares VALUES (3)");
    await using sync = new RunningSync(place, { action: { kind: "retry" } });
    await untilEqual(place);
    await waitUntil(
      "all rows have arrived",
      async () => (await query(targetUrl, "SELECT id FROM wares")).length === 3,
      { during: sync.done },
    );
    await sync.stop();
  }, { more: "CREATE TABLE goods (id int PRIMARY KEY); INSERT INTO goods VALUES (1)" });
});

Deno.test("a role without privileges on the target is enough, and cleanup restores triggers and keys", async () => {
  const user = `plain_${crypto.randomUUID().slice(0, 8)}`;
  for (const cluster of [source, target]) {
    await exec(cluster.url(), `CREATE ROLE ${user} LOGIN CREATEDB`);
  }
  try {
    await withCopy(async (place) => {
      const { sourceUrl, targetUrl, name } = place;
      const objects = `SELECT json_agg(o ORDER BY o) AS objects FROM (
        SELECT format('%s %s %s', conname, pg_get_constraintdef(oid), convalidated) AS o
          FROM pg_constraint WHERE contype = 'f'
        UNION ALL SELECT format('%s %s', tgname, tgenabled) FROM pg_trigger WHERE NOT tgisinternal) AS s`;
      await using sync = new RunningSync(place);
      await exec(
        sourceUrl,
        "INSERT INTO orders VALUES (1000, 'n'); INSERT INTO line VALUES (3, 1000); DELETE FROM orders WHERE id = 1",
      );
      await untilEqual(place);
      await sync.stop();
      await compareRows(sourceUrl, targetUrl);
      deepStrictEqual((await query(targetUrl, objects))[0]!["objects"], ["note D"]);
      // one of two tables that a key connects, then all, with rows that the key would refuse
      await exec(targetUrl, "DELETE FROM orders WHERE id < 50; UPDATE log SET o = 0");
      const logged = await query(targetUrl, "SELECT count(*)::int AS rows FROM log");
      for (const tables of [["public.orders"], ["public.line", "public.orders"]]) {
        await using copying = new RunningSync(place, {
          action: { kind: "copy", tables, areNew: false },
        });
        await waitUntil(
          "the copied tables are followed",
          () => copying.events.some((event) => event.kind === "apply-progress"),
          { during: copying.done },
        );
        await exec(
          sourceUrl,
          "INSERT INTO orders SELECT max(id) + 1, 'again' FROM orders; INSERT INTO line SELECT max(o.id), max(o.id) FROM orders AS o",
        );
        await untilEqual(place);
        await copying.stop();
        deepStrictEqual((await query(targetUrl, objects))[0]!["objects"], ["note D"]);
      }
      deepStrictEqual(await query(targetUrl, "SELECT count(*)::int - 2 AS rows FROM log"), logged);
      const cleaned = await executeCleanup({
        source: await endpointOf(sourceUrl, "source"),
        target: await endpointOf(targetUrl, "target"),
        databases: { include: [name], exclude: [] },
        checkpoints: undefined,
        confirm: () => Promise.resolve(true),
      }, { events: () => {}, signal: new AbortController().signal });
      strictEqual(cleaned.kind, "removed");
      deepStrictEqual(await query(targetUrl, objects), await query(sourceUrl, objects));
    }, {
      user,
      more: `CREATE TABLE line (id int PRIMARY KEY, o int REFERENCES orders ON DELETE CASCADE);
        INSERT INTO line VALUES (1, 1), (2, 2); CREATE TABLE log (id serial PRIMARY KEY, o int);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN INSERT INTO public.log (o) VALUES (NEW.id); RETURN NEW; END $$;
        CREATE TRIGGER note AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION note();`,
    });
  } finally {
    for (const cluster of [source, target]) {
      await exec(cluster.url(), `DROP OWNED BY ${user}; DROP ROLE ${user}`);
    }
  }
});

Deno.test("rows that a source before 15 cannot filter are filtered here, also of tables that are copied again", async () => {
  const rulesOf = (database: string) => {
    const { rules, problems } = readRuleFlags({
      includeTables: [],
      excludeTables: [],
      schemaOnlyTables: [],
      tableFilters: [`${database}.public.orders:id % 2 = 0`],
      timeFilters: [],
    });
    deepStrictEqual(problems, []);
    return { ...rules, now: "2026-01-01T00:00:00.000Z" };
  };
  await withCopy(async (place) => {
    const { sourceUrl, targetUrl, name } = place;
    const rules = rulesOf(name);
    const changes = async (by: number) => {
      await exec(
        sourceUrl,
        `INSERT INTO orders VALUES (${1000 + by}, 'n'), (${1001 + by}, 'n');
         UPDATE orders SET v = v || 'x' WHERE id < 20; UPDATE orders SET id = id + ${
          2001 + by
        } WHERE id BETWEEN ${by} AND ${by} + 5`,
      );
      const read = (url: string) =>
        query(url, "SELECT json_agg(o ORDER BY id) AS rows FROM orders AS o WHERE id % 2 = 0");
      const deadline = Date.now() + 30_000;
      while (JSON.stringify(await read(sourceUrl)) !== JSON.stringify(await read(targetUrl))) {
        if (Date.now() > deadline) throw new Error("the databases do not become equal");
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      deepStrictEqual(await query(targetUrl, "SELECT id FROM orders WHERE id % 2 = 1"), []);
    };
    {
      await using sync = new RunningSync(place, { rules });
      await Promise.race([changes(10), sync.done]);
      await sync.stop();
    }
    await exec(targetUrl, "DELETE FROM orders WHERE id < 10");
    await using sync = new RunningSync(place, {
      rules,
      action: { kind: "copy", tables: ["public.orders"], areNew: false },
    });
    await sync.applies();
    await Promise.race([changes(30), sync.done]);
    await sync.stop();
  }, { from: old, rulesOf });
});
