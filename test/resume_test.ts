/** `init` that is interrupted and run again: what is done is kept, nothing is missing, nothing comes twice. */
import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { FileCheckpointStore } from "../lib/checkpoint/mod.ts";
import { InterruptedError, type RunEvent } from "../lib/core/mod.ts";
import { sharedCluster } from "./support/clusters.ts";
import { compareDatabases } from "./support/compare.ts";
import { dropDatabase } from "./support/databases.ts";
import { type InitTestOptions, runInit } from "./support/init.ts";
import { exec, query } from "./support/sql.ts";

const source = await sharedCluster(16, { settings: { autovacuum: "off" } }); // else it writes, and the source is not quiet
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

/** Interrupts a run at the n-th event that is wanted. */
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

const points: Readonly<Record<string, (event: RunEvent) => boolean>> = {
  "the schema": (event) => event.kind === "step-finished" && event.step === "schema",
  "the rows": (event) => event.kind === "work-finished" && event.work === "copy",
  "the indexes": (event) => event.kind === "work-finished" && event.work === "index",
  "the large objects": (event) => event.kind === "step-started" && event.step === "large-objects",
  "the foreign keys": (event) => event.kind === "step-started" && event.step === "foreign-keys",
  "the sequences": (event) => event.kind === "step-finished" && event.step === "sequences",
  "the end": (event) => event.kind === "step-started" && event.step === "analyze",
};

for (const [name, wanted] of Object.entries(points)) {
  Deno.test(`a run that is interrupted at ${name} goes on and ends with everything`, async () => {
    await withShop(async (place) => {
      ok(await interrupt(place, wanted, name === "the rows" ? 4 : 1));
      const { report, plan } = await runInit(place.urls.source, place.urls.target, place.options);
      strictEqual(plan.databases[0]?.action, "resume");
      const late = !["the schema", "the rows", "the indexes"].includes(name);
      // a part that was committed while the run was ending has no figures
      if (late) strictEqual(report.rows, 59_000);
      if (late) ok(report.databases[0]?.tables.every(({ earlier }) => earlier));
      await finished(place);
    });
  });
}

Deno.test("parts that are in are not copied again while the source is quiet", async () => {
  await withShop(async (place) => {
    ok(await interrupt(place, points["the rows"]!, 5));
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
    const all = 4 + 5 + 7; // tables in one piece, parts of orders, parts of wide
    ok(copied.length + Number(before?.["n"]) <= all + 2, `${copied.length} + ${before?.["n"]}`);
    await finished(place);
  });
});
