/**
 * `init` that is interrupted and run again: finished work is kept, and nothing is missing or
 * duplicated.
 */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import denoJson from "../../../deno.json" with { type: "json" };
import { FileCheckpointStore, Ledger, type LedgerRun } from "../../../lib/checkpoint/internal.ts";
import {
  ignoreEvents,
  InterruptedError,
  ReplicatorError,
  type RunEvent,
} from "../../../lib/core/internal.ts";
import { readRuleFlags } from "../../../lib/rules/internal.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { compareDatabases } from "../../support/compare.ts";
import { dropDatabase, withDatabase } from "../../support/databases.ts";
import { endpointOf, type InitTestOptions, runInit } from "../../support/init.ts";
import { withRepeats } from "../../support/long.ts";
import { exec, query } from "../../support/sql.ts";

// autovacuum writes WAL, and the source must be idle
const source = await sharedCluster(16, { settings: { autovacuum: "off" } });
const target = await sharedCluster(17);

const shop = `
  CREATE TYPE mood AS ENUM ('sad', 'happy');
  CREATE TABLE customers (id int PRIMARY KEY, email text UNIQUE, mood mood);
  INSERT INTO customers SELECT i, 'c' || i, 'happy' FROM generate_series(1, 4000) i;
  CREATE TABLE orders (id bigserial PRIMARY KEY, customer int NOT NULL REFERENCES customers, note text);
  INSERT INTO orders (customer, note) SELECT 1 + i % 4000, repeat(md5(i::text), 8) FROM generate_series(1, 30000) i;
  CREATE INDEX ON orders (customer); CREATE INDEX ON orders (md5(note));
  CREATE TABLE wide AS SELECT i, repeat(md5(i::text), 20) AS t FROM generate_series(1, 20000) i;
  CREATE TABLE parts (id int, k int) PARTITION BY RANGE (k);
  CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (500);
  CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (500) TO (1000);
  INSERT INTO parts SELECT i, i % 1000 FROM generate_series(1, 5000) i;
  CREATE INDEX ON parts (k);
  CREATE MATERIALIZED VIEW top AS SELECT customer, count(*) FROM orders GROUP BY 1;
  CREATE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'trigger fired'; END $$;
  CREATE TRIGGER forbid BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION forbid();
  SELECT lo_from_bytea(i, decode(md5(i::text), 'hex')) FROM generate_series(70001, 70050) i;`;

interface Place {
  readonly name: string;
  readonly urls: { readonly source: string; readonly target: string };
  readonly options: InitTestOptions;
  readonly folder: string;
}

let count = 0;

async function withShop(use: (place: Place) => Promise<void>, sql = shop): Promise<void> {
  const name = `resume ${++count}`;
  const folder = await Deno.makeTempDir({ prefix: "psr-resume-" });
  await exec(source.url(), `CREATE DATABASE "${name}" TEMPLATE template0`);
  try {
    await exec(source.url({ database: name }), sql);
    await use({
      name,
      folder,
      urls: { source: source.url({ database: name }), target: target.url() },
      options: {
        include: [name],
        splitBytes: 2 * 1024 * 1024,
        checkpoint: (operation) => new FileCheckpointStore(operation, folder),
      },
    });
  } finally {
    await dropDatabase(source, name);
    await dropDatabase(target, name);
    await Deno.remove(folder, { recursive: true }).catch(() => {});
  }
}

/** Interrupts a run at the nth matching event. */
async function interrupt(
  { urls, options }: Place,
  wanted: (event: RunEvent) => boolean,
  nth = 1,
): Promise<boolean> {
  const abort = new AbortController();
  let seen = 0;
  try {
    await runInit(urls.source, urls.target, {
      ...options,
      signal: abort.signal,
      onEvent: (event) => {
        if (wanted(event) && ++seen === nth) abort.abort(new InterruptedError());
      },
    });
    return false;
  } catch (error) {
    if (!(error instanceof InterruptedError)) throw error;
    return true;
  }
}

async function finished({ name, urls, folder }: Place): Promise<void> {
  const url = target.url({ database: name });
  deepStrictEqual(await compareDatabases(urls.source, url), []);
  deepStrictEqual(await query(url, "SELECT FROM pg_namespace WHERE nspname = 'seren_ledger'"), []);
  await rejects(Deno.stat(folder), Deno.errors.NotFound);
}

const points = {
  "the schema": (event) => event.kind === "step-finished" && event.step === "schema",
  "the rows": (event) => event.kind === "work-finished" && event.work === "copy",
  "the indexes": (event) => event.kind === "work-finished" && event.work === "index",
  "the large objects": (event) => event.kind === "step-started" && event.step === "large-objects",
  "the foreign keys": (event) => event.kind === "step-started" && event.step === "foreign-keys",
  "a table": (event) => event.kind === "table-finished",
  "the end": (event) => event.kind === "step-started" && event.step === "analyze",
} satisfies Readonly<Record<string, (event: RunEvent) => boolean>>;

const names = withRepeats(
  ["the schema", "the rows", "the large objects", "the end"],
  ["the indexes", "the foreign keys", "a table"],
);

for (const name of names) {
  Deno.test(`a run interrupted at ${name} is resumed and copies everything`, async () => {
    await withShop(async (place) => {
      ok(await interrupt(place, points[name], name === "the rows" ? 4 : 1));
      const { report, plan, events } = await runInit(
        place.urls.source,
        place.urls.target,
        place.options,
      );
      strictEqual(plan.databases[0]?.action, "resume");
      const own = events.filter(({ kind }) => kind === "table-finished")
        .reduce((sum, event) => sum + (event.kind === "table-finished" ? event.bytes : 0), 0);
      strictEqual(report.bytes - (report.before?.bytes ?? 0), own);
      ok(own > 0 || name !== "the rows");
      const late = !["the schema", "the rows", "a table", "the indexes"].includes(name);
      // a part committed while the run was ending has no row count
      if (late) strictEqual(report.rows, 59_000);
      if (late) ok(report.databases[0]?.tables.every(({ earlier }) => earlier));
      await finished(place);
    });
  });
}

Deno.test("finished parts are not copied again if the source has been idle", async () => {
  await withShop(async (place) => {
    ok(await interrupt(place, points["the rows"], 5));
    const url = target.url({ database: place.name });
    const [before] = await query(
      url,
      "SELECT count(*)::int AS n FROM seren_ledger.part_done",
    );
    ok(Number(before?.["n"]) >= 4);
    const { events } = await runInit(place.urls.source, place.urls.target, place.options);
    const copied = events.filter((event) =>
      event.kind === "work-finished" && event.work === "copy"
    );
    const all = 4 + 5 + 7; // undivided tables, parts of orders, parts of wide
    ok(copied.length + Number(before?.["n"]) <= all + 2, `${copied.length} + ${before?.["n"]}`);
    await finished(place);
  });
});

Deno.test("the state file names the tool's version, without a caller giving one", async () => {
  await withShop(async (place) => {
    ok(await interrupt(place, points["a table"]));
    const [file] = [...Deno.readDirSync(place.folder)];
    const state = JSON.parse(await Deno.readTextFile(`${place.folder}/${file?.name}`));
    strictEqual(state.tool, denoJson.version);
  });
});

Deno.test("tables from two snapshots are refused, allowed on request, or copied from the start", async () => {
  await withShop(async (place) => {
    const { name, urls, options } = place;
    const url = target.url({ database: name });
    ok(await interrupt(place, points["a table"]));
    await exec(urls.source, "UPDATE orders SET note = note || '!' WHERE id % 3 = 0");
    const run = (more: Partial<InitTestOptions> = {}) =>
      runInit(urls.source, urls.target, { ...options, ...more });
    await rejects(run(), (error) => {
      ok(error instanceof ReplicatorError);
      match(error.message, /cannot be copied from the same snapshot/);
      match(error.remedy ?? "", /--allow-mixed-snapshots.*--no-resume/);
      return true;
    });
    const kept = await query(url, "SELECT FROM seren_ledger.part_done");
    ok(kept.length > 0); // the refused run has changed nothing
    const { report } = await run({ allowMixedSnapshots: true });
    ok(report.warnings.some(({ message }) => /2 snapshots of the source/.test(message)));
    const rows = "SELECT count(*)::int AS n, count(DISTINCT id)::int AS d FROM orders";
    deepStrictEqual(await query(url, rows), await query(urls.source, rows));
  });
  await withShop(async (place) => {
    const { urls, options } = place;
    ok(await interrupt(place, points["a table"]));
    await exec(urls.source, "UPDATE orders SET note = note || '!' WHERE id % 3 = 0");
    const { plan } = await runInit(urls.source, urls.target, { ...options, resume: false });
    strictEqual(plan.databases[0]?.action, "drop-and-create");
    match(plan.databases[0]?.willBeLost ?? "", /unfinished copy of .* started at/);
    await finished(place);
  });
});

Deno.test("a different scope or structure is refused with an explanation; a lost or damaged state file is not needed", async () => {
  await withShop(async (place) => {
    const { urls, options, folder, name } = place;
    ok(await interrupt(place, points["the indexes"]));
    const { rules } = readRuleFlags({
      includeTables: [],
      excludeTables: [`"${name}".wide`],
      schemaOnlyTables: [],
      tableFilters: [],
      timeFilters: [],
    });
    const other = { ...rules, now: "2026-01-01T00:00:00.000Z" };
    await rejects(
      runInit(urls.source, urls.target, { ...options, rules: other }),
      /public.wide was part of the first run/,
    );
    const [file] = [...Deno.readDirSync(folder)].map((entry) => `${folder}/${entry.name}`);
    strictEqual((await Deno.stat(file!)).mode! & 0o777, 0o600);
    const text = await Deno.readTextFile(file!);
    ok(!text.includes("postgresql://"));
    await Deno.writeTextFile(file!, text.slice(0, 50));
    await rejects(runInit(urls.source, urls.target, options), /the state file is damaged/);
    await Deno.remove(file!);
    await exec(urls.source, "ALTER TABLE customers ADD COLUMN late int");
    await rejects(
      runInit(urls.source, urls.target, options),
      (error) =>
        error instanceof ReplicatorError &&
        /structure of the source has changed/.test(error.message) &&
        error.details.some((detail) => /TABLE public.customers/.test(detail)),
    );
    await exec(urls.source, "ALTER TABLE customers DROP COLUMN late");
    await runInit(urls.source, urls.target, { ...options, allowMixedSnapshots: true });
    await finished(place);
  });
});

Deno.test("a ledger whose session was lost reports only commits that were actually lost", async () => {
  await withDatabase(target, undefined, async ({ url }) => {
    const endpoint = await endpointOf(url, "target");
    const events: RunEvent[] = [];
    const signal = new AbortController().signal;
    const run = { run: crypto.randomUUID() } as LedgerRun;
    await using ledger = await Ledger.open(endpoint, {
      signal,
      run,
      expects: undefined,
      events: (event) => events.push(event),
      earlier: undefined,
    });
    await query(target.url(), "SELECT pg_terminate_backend($1)", [ledger.processId]);
    const settled = ledger.settle();
    // committed after the ledger was checked
    const index = { type: "INDEX", sql: "CREATE INDEX ON orders (customer);" };
    ledger.statementRecord.onRecorded([index]);
    await settled;
    const [retried] = events.flatMap((event) => event.kind === "retry" ? [event] : []);
    strictEqual(retried?.what, "the session of the ledger");
    match(retried.reason ?? "", /terminating connection|ended unexpectedly|has ended/);
    await rejects(
      ledger.settle(),
      /the target has crashed and lost its last commits \(1 part or statement\)/,
    );
    await exec(url, ledger.statementRecord.statement([index]));
    await ledger.settle();
  });
});

Deno.test("two runs into one database exclude each other, and the lock of a killed run is released", async () => {
  await withShop(async (place) => {
    const { urls, options, name } = place;
    const endpoint = await endpointOf(target.url({ database: name }), "target");
    let second: Promise<unknown> | undefined;
    await runInit(urls.source, urls.target, {
      ...options,
      onEvent: (event) => {
        if (event.kind !== "step-finished" || event.step !== "schema") return;
        second = rejects(
          Ledger.open(endpoint, {
            signal: new AbortController().signal,
            run: {} as LedgerRun,
            expects: undefined,
            events: ignoreEvents,
            earlier: undefined,
          }),
          (error) =>
            error instanceof ReplicatorError &&
            /another run is copying.*session \d+/.test(error.message),
        );
      },
      whileSnapshotHeld: async () => await second as undefined,
    });
    ok(second !== undefined);
    await finished(place);
  });
});
