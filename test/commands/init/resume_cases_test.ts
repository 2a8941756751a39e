/**
 * What can have changed when an interrupted `init` is run again: ledger, state file, role,
 * password, a crashed target.
 */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { type CheckpointStore, FileCheckpointStore } from "../../../lib/checkpoint/internal.ts";
import type { Cluster } from "../../../lib/cluster/mod.ts";
import { InterruptedError, type RunEvent } from "../../../lib/core/internal.ts";
import { readRuleFlags } from "../../../lib/rules/internal.ts";
import { TextLineStream } from "../../faults/lines.ts";
import { canMakeSmallDisk, smallDisk } from "../../faults/small_disk.ts";
import { cliCommand, denoEnvironment } from "../../support/cli.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { compareDatabases } from "../../support/compare.ts";
import { dropDatabase } from "../../support/databases.ts";
import { type InitTestOptions, runInit } from "../../support/init.ts";
import { withRepeats } from "../../support/long.ts";
import { startProxy } from "../../support/proxy.ts";
import { exec, query } from "../../support/sql.ts";
import { startTestCluster } from "../../support/test_cluster.ts";

// autovacuum writes WAL, and the source must be idle
const source = await sharedCluster(16, { settings: { autovacuum: "off" } });
const target = await sharedCluster(17);

const shop = `
  CREATE TABLE customers (id int PRIMARY KEY, name text);
  INSERT INTO customers SELECT i, 'c' || i FROM generate_series(1, 500) i;
  CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES customers, note text);
  INSERT INTO orders SELECT i, 1 + i % 500, repeat(md5(i::text), 8) FROM generate_series(1, 4000) i;
  CREATE INDEX ON orders (customer);
  CREATE SEQUENCE numbers; SELECT setval('numbers', 4711);
  ANALYZE;`;

interface Place {
  readonly names: readonly string[];
  readonly urls: { readonly source: string; readonly target: string };
  readonly options: InitTestOptions;
  readonly folder: string;
}

let count = 0;

async function withShops(
  use: (place: Place) => Promise<void>,
  { databases = 1, to = target }: { readonly databases?: number; readonly to?: Cluster } = {},
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "psr-cases-" });
  const names = Array.from({ length: databases }, () => `case_${++count}`);
  try {
    for (const name of names) {
      await exec(source.url(), `CREATE DATABASE ${name} TEMPLATE template0`);
      await exec(source.url({ database: name }), shop);
    }
    await use({
      names,
      folder,
      urls: { source: source.url(), target: to.url() },
      options: {
        include: names,
        jobs: 2,
        splitBytes: 128 * 1024,
        sessionRetryDelaysMs: [200, 500, 1_000, 2_000, 4_000],
        databaseRetryDelaysMs: [200, 500, 1_000, 2_000, 4_000],
        checkpoint: (operation) => new FileCheckpointStore(operation, folder),
      },
    });
  } finally {
    for (const name of names) {
      await dropDatabase(source, name);
      await dropDatabase(to, name);
    }
    await Deno.remove(folder, { recursive: true }).catch(() => {});
  }
}

const aPart = (event: RunEvent) => event.kind === "work-finished" && event.work === "copy";

/** Interrupts a run at the nth matching event. */
async function interrupt({ urls, options }: Place, wanted = aPart, nth = 3): Promise<void> {
  const abort = new AbortController();
  let seen = 0;
  const run = runInit(urls.source, urls.target, {
    ...options,
    signal: abort.signal,
    onEvent: (event) => {
      if (wanted(event) && ++seen === nth) abort.abort(new InterruptedError());
    },
  });
  await rejects(run, InterruptedError);
}

const again = ({ urls, options }: Place, more: Partial<InitTestOptions> = {}) =>
  runInit(urls.source, urls.target, { ...options, ...more });

async function isComplete({ names }: Place, to: Cluster = target): Promise<void> {
  for (const database of names) {
    const url = to.url({ database });
    deepStrictEqual(await compareDatabases(source.url({ database }), url), []);
    deepStrictEqual(
      await query(url, "SELECT FROM pg_namespace WHERE nspname = 'seren_ledger'"),
      [],
    );
  }
}

Deno.test("a ledger of a newer or older version is refused, and --no-resume starts over", async () => {
  await withShops(async (place) => {
    await interrupt(place);
    const url = target.url({ database: place.names[0]! });
    // only since format 2 are statement digests computed from dumps that quote every name
    await exec(url, "UPDATE seren_ledger.run SET format = 1");
    await rejects(again(place), /by an older version of this tool: its ledger has format 1/);
    await exec(url, "UPDATE seren_ledger.run SET format = 99");
    await rejects(again(place), /by a newer version of this tool: its ledger has format 99/);
    await again(place, { resume: false, dropExisting: true });
    await isComplete(place);
  });
});

Deno.test("a target without its ledger is refused if it has rows, and copied from the start once it is dropped", async () => {
  await withShops(async (place) => {
    await interrupt(place);
    const [database = ""] = place.names;
    await exec(target.url({ database }), "DROP SCHEMA seren_ledger CASCADE");
    await rejects(again(place), (error: Error & { readonly details?: readonly string[] }) => {
      match([error.message, ...error.details ?? []].join("\n"), /is not empty/);
      return true;
    });
    await dropDatabase(target, database);
    const { plan } = await again(place);
    strictEqual(plan.databases[0]?.action, "create");
    await isComplete(place);
  });
});

Deno.test("after a run that was killed when everything was copied, the next one only removes the ledgers", async () => {
  await withShops(async (place) => {
    class Killed extends Error {}
    const dying = (store: CheckpointStore): CheckpointStore => ({
      place: store.place,
      read: () => store.read(),
      remove: () => store.remove(),
      write: async (text) => {
        await store.write(text);
        if (text.includes('"finished": true')) throw new Killed();
      },
    });
    const checkpoint = (operation: string) =>
      dying(new FileCheckpointStore(operation, place.folder));
    await rejects(again(place, { checkpoint }), Killed);
    const left = "SELECT FROM pg_namespace WHERE nspname = 'seren_ledger'";
    strictEqual((await query(target.url({ database: place.names[0]! }), left)).length, 1);
    await runFinishing(place);
    await isComplete(place);
  });
});

/** Nothing is confirmed, so `runInit` would find no plan. */
async function runFinishing(place: Place): Promise<void> {
  await rejects(again(place), /init was declined/);
}

Deno.test("several databases copied as text are resumed, even without the state file", async () => {
  await withShops(async (place) => {
    const options = { ...place.options, copyFormat: "text" as const };
    const text = { ...place, options };
    await interrupt(
      text,
      (event) => aPart(event) && event.kind === "work-finished",
      12, // parts of the second database
    );
    await Deno.remove(place.folder, { recursive: true });
    const { plan } = await again(text);
    strictEqual(plan.databases[0]?.action, "resume");
    await isComplete(place);
  }, { databases: 2 });
});

Deno.test("filtered tables are resumed with their filters", async () => {
  await withShops(async (place) => {
    const flags = { includeTables: [], excludeTables: [], schemaOnlyTables: [], timeFilters: [] };
    const { rules } = readRuleFlags({ ...flags, tableFilters: ["orders:customer <= 250"] });
    const options = { ...place.options, rules: { ...rules, now: "2026-01-01T00:00:00.000Z" } };
    await interrupt({ ...place, options });
    await again({ ...place, options });
    const [database = ""] = place.names;
    const rows = "SELECT md5(string_agg(o::text, ',' ORDER BY id)) FROM orders AS o";
    deepStrictEqual(
      await query(target.url({ database }), rows),
      await query(source.url({ database }), `${rows} WHERE customer <= 250`),
    );
  });
});

Deno.test("a role that is not a superuser can resume", async () => {
  await withShops(async (place) => {
    const [database = ""] = place.names;
    await exec(source.url(), "CREATE ROLE mover LOGIN; GRANT pg_read_all_data TO mover");
    await exec(target.url(), "CREATE ROLE mover LOGIN CREATEDB CREATEROLE");
    const own = {
      ...place,
      urls: { source: source.url({ user: "mover" }), target: target.url({ user: "mover" }) },
    };
    try {
      await interrupt(own);
      const { plan } = await again(own);
      strictEqual(plan.databases[0]?.action, "resume");
      const rows = "SELECT md5(string_agg(o::text, ',' ORDER BY id)) FROM orders AS o";
      deepStrictEqual(
        await query(target.url({ database }), rows),
        await query(source.url({ database }), rows),
      );
    } finally {
      await dropDatabase(target, database);
      await exec(target.url(), "DROP OWNED BY mover; DROP ROLE mover");
      await exec(source.url(), "DROP OWNED BY mover; DROP ROLE mover");
    }
  });
});

Deno.test("a run is resumed from the same state file after a password change", async () => {
  await using guarded = await startTestCluster({ major: 17, password: "first" });
  await withShops(async (place) => {
    await interrupt(place);
    const files = () => [...Deno.readDirSync(place.folder)].map(({ name }) => name);
    const before = files();
    strictEqual(before.length, 1);
    await exec(place.urls.target, "ALTER ROLE CURRENT_USER PASSWORD 'second'");
    try {
      const urls = { ...place.urls, target: guarded.url({ password: "second" }) };
      const { plan } = await again({ ...place, urls });
      strictEqual(plan.databases[0]?.action, "resume");
      deepStrictEqual([...Deno.readDirSync(dirOf(place.folder))].map(({ name }) => name), []);
    } finally {
      await exec(
        guarded.url({ password: "second" }),
        "ALTER ROLE CURRENT_USER PASSWORD 'first'",
      );
    }
    await isComplete(place, guarded);
  }, { to: guarded });
});

/** Recreates the folder, which is removed with its last file. */
function dirOf(folder: string): string {
  try {
    Deno.statSync(folder);
  } catch {
    Deno.mkdirSync(folder);
  }
  return folder;
}

Deno.test("a target that crashes after parts were reported has all rows in the end", async () => {
  // WAL is flushed only by commits that wait for it, so a crash certainly loses the last other
  // commits
  await using crashing = await startTestCluster({
    major: 17,
    settings: { wal_writer_delay: "10s" },
  });
  await withShops(async (place) => {
    let parts = 0;
    let crash: Promise<void> | undefined;
    const { events } = await again(place, {
      onEvent: (event) => {
        if (!aPart(event) || ++parts !== 5) return;
        crash = crashing.kill("SIGKILL").then(() => crashing.start());
      },
    });
    await crash;
    ok(events.some(({ kind }) => kind === "retry"));
    await isComplete(place, crashing);
  }, { to: crashing });
});

for (const step of withRepeats(["sequences"], ["foreign-keys", "finish-schema"])) {
  Deno.test(`a target that crashes after ${step} still has them, although its commits are asynchronous`, async () => {
    await using crashing = await startTestCluster({
      major: 17,
      settings: { wal_writer_delay: "10s", synchronous_commit: "off" },
    });
    await withShops(async (place) => {
      let crash: Promise<void> | undefined;
      await again(place, {
        onEvent: (event) => {
          if (event.kind !== "step-finished" || event.step !== step) return;
          crash ??= crashing.kill("SIGKILL").then(() => crashing.start());
        },
      });
      await crash;
      await isComplete(place, crashing);
    }, { to: crashing });
  });
}

Deno.test({
  name: "a full disk under the state file is reported, and the run continues",
  ignore: !await canMakeSmallDisk(),
  fn: async () => {
    await withShops(async (place) => {
      await using disk = await smallDisk("16k");
      await disk.fill();
      const checkpoint = (operation: string) => new FileCheckpointStore(operation, disk.path);
      const options = { ...place.options, checkpoint };
      await interrupt({ ...place, options });
      const { plan, report } = await again({ ...place, options });
      strictEqual(plan.databases[0]?.action, "resume");
      ok(report.warnings.some(({ message }) => /state file/.test(message)));
      await isComplete(place);
    });
  },
});

Deno.test("a second Ctrl-C ends the run immediately, and finished work is kept", async () => {
  await withShops(async (place) => {
    // the target stops responding, so a clean end would take a while
    await using proxy = await startProxy(target, { bytesPerSecond: 400_000 });
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        ...cliCommand,
        "init",
        "--yes",
        "--log-format=json",
        "--log-level=debug",
        `--include-databases=${place.names[0]}`,
      ],
      cwd: place.folder,
      clearEnv: true,
      env: {
        ...denoEnvironment(),
        SOURCE_URL: place.urls.source,
        TARGET_URL: proxy.url(place.urls.target),
      },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const text: string[] = [];
    let interrupted = 0;
    for await (const line of child.stderr.pipeThrough(new TextLineStream())) {
      text.push(line);
      if (interrupted === 0 && line.includes('"table-finished"')) {
        interrupted++;
        proxy.stall();
        child.kill("SIGINT");
      } else if (interrupted === 1 && line.includes("Stopping cleanly")) {
        interrupted++;
        // repeated until it ends, since signals right after the first are ignored
        const again = setInterval(() => child.kill("SIGINT"), 200);
        child.status.then(() => clearInterval(again));
      }
    }
    strictEqual(interrupted, 2, text.slice(-5).join("\n"));
    strictEqual((await child.status).code, 130);
    ok(!text.some((line) => line.includes("Ended: interrupted")));
    await proxy.cut();
    const { plan } = await again(place);
    strictEqual(plan.databases[0]?.action, "resume");
    await isComplete(place);
  });
});

Deno.test("a run that repeats a failed copy and completes it does not call it incomplete", async () => {
  await withShops(async (place) => {
    const warnings: string[] = [];
    let ended: Promise<unknown> | undefined;
    // the copy must still run when the sessions end
    await using proxy = await startProxy(target, { bytesPerSecond: 400_000 });
    const urls = { ...place.urls, target: proxy.url(place.urls.target) };
    const { report } = await again({ ...place, urls }, {
      sessionRetryDelaysMs: [],
      onEvent: (event) => {
        if (event.kind === "warning") warnings.push(event.message);
        if (aPart(event)) {
          ended ??= query(
            source.url(),
            `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${
              place.names[0]
            }'`,
          );
        }
      },
    });
    await ended;
    ok(report.retries.length > 0);
    await isComplete(place);
    deepStrictEqual(warnings.filter((message) => /incomplete/.test(message)), []);
    strictEqual(
      new Set(report.warnings.map(({ message }) => message)).size,
      report.warnings.length,
    );
  });
});
