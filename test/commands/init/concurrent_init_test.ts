import { deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { ExitCode, ReplicatorError } from "../../../lib/core/internal.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { dropDatabase, withDatabase } from "../../support/databases.ts";
import { type InitTestOptions, runInit } from "../../support/init.ts";
import { exec, query } from "../../support/sql.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(16);
// runs that connect to different databases do not see each other's advisory locks
await exec(target.url(), "CREATE DATABASE elsewhere");

const rows = `CREATE TABLE public.t (id integer PRIMARY KEY, v text);
  INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 1000) i;`;

/** The error of a run that must be refused with the exit code for prerequisites. */
async function refusalOf(run: Promise<unknown>): Promise<ReplicatorError> {
  const error = await run.then(() => undefined, (reason) => reason);
  ok(error instanceof ReplicatorError, String(error));
  equal(error.exitCode, ExitCode.prerequisite, error.message);
  return error;
}

async function rowsOf(database: string): Promise<number> {
  return (await query(target.url({ database }), "SELECT FROM public.t")).length;
}

Deno.test("of three runs into one database, one copies; the others report its session and exit with 3", async () => {
  await withDatabase(source, undefined, async ({ name, url }) => {
    await exec(url, rows);
    const refused: unknown[] = [];
    const othersEnded = Promise.withResolvers<void>();
    const run = async () => {
      try {
        // the run that copies does not finish before the others have been refused
        await runInit(url, target.url(), {
          include: [name],
          whileSnapshotHeld: () => othersEnded.promise,
        });
      } catch (error) {
        if (refused.push(error) === 2) othersEnded.resolve();
      }
    };
    await Promise.all([run(), run(), run()]);
    equal(refused.length, 2);
    for (const error of refused) {
      ok(error instanceof ReplicatorError);
      equal(error.exitCode, ExitCode.prerequisite);
      match(
        error.message,
        /^another run is copying into this database: session \d+ of role \S+ from /,
      );
      equal(error.object, `database ${name}`);
    }
    equal(await rowsOf(name), 1000);
    await dropDatabase(target, name);
  });
});

/**
 * Starts a run, and completes another, connected to a different database, while the first waits for
 * confirmation.
 */
async function overtake(
  { name, url }: { readonly name: string; readonly url: string },
  options: InitTestOptions = {},
): Promise<ReplicatorError> {
  const slower = runInit(url, target.url({ database: "elsewhere" }), {
    include: [name],
    map: { [name]: name },
    ...options,
    confirm: async () => {
      await runInit(url, target.url(), { include: [name], ...options });
      return true;
    },
  });
  return await refusalOf(slower);
}

Deno.test("a run whose database was created and filled by another run does not change it", async () => {
  await withDatabase(source, undefined, async (database) => {
    await exec(database.url, rows);
    const error = await overtake(database);
    match(error.message, /^it was created after this run was planned/);
    equal(await rowsOf(database.name), 1000);
    await dropDatabase(target, database.name);
  });
});

Deno.test("a run whose empty database was filled by another run does not change it", async () => {
  await withDatabase(source, undefined, async (database) => {
    await exec(database.url, rows);
    await exec(target.url(), `CREATE DATABASE ${database.name}`);
    const error = await overtake(database);
    match(error.message, /^1 table .* appeared in this database after this run was planned/);
    equal(await rowsOf(database.name), 1000);
    const there = await query(
      target.url({ database: database.name }),
      `SELECT (SELECT count(*)::int FROM pg_namespace WHERE nspname ~ 'seren') AS ledgers,
              (SELECT shobj_description(oid, 'pg_database') FROM pg_database
                WHERE datname = current_database()) AS comment`,
    );
    deepEqual(there, [{ ledgers: 0, comment: null }]);
    await dropDatabase(target, database.name);
  });
});

Deno.test("a database that no longer matches the plan is not dropped", async () => {
  await withDatabase(source, undefined, async (database) => {
    await exec(database.url, rows);
    await exec(target.url(), `CREATE DATABASE ${database.name}`);
    await exec(target.url({ database: database.name }), "CREATE TABLE old (id integer)");
    const error = await overtake(database, { dropExisting: true });
    match(error.message, /^it has changed \(it had 1 table .*old.*, and now has 1 table .*\bt\b/);
    equal(await rowsOf(database.name), 1000);
    await dropDatabase(target, database.name);
  });
});
