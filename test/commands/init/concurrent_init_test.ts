import { deepEqual, doesNotMatch, match, ok, strictEqual as equal } from "node:assert/strict";
import {
  ExitCode,
  InterruptedError,
  ReplicatorError,
  type RunEvent,
} from "../../../lib/core/internal.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { dropDatabase, withDatabase } from "../../support/databases.ts";
import { type InitTestOptions, runInit } from "../../support/init.ts";
import { exec, query, withSession } from "../../support/sql.ts";

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

Deno.test("while a run copies, plans and runs that connect to another database name its session, and wait for none of its locks", async () => {
  await withDatabase(source, undefined, async ({ name, url }) => {
    await exec(url, rows);
    const refusals: ReplicatorError[] = [];
    await runInit(url, target.url(), {
      include: [name],
      whileSnapshotHeld: async () => {
        await withSession(target.url({ database: name }), async (session) => {
          // as the copy does while it fills a table that it has just created
          await session.unsafe("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").simple();
          const elsewhere = target.url({ database: "elsewhere" });
          const inside = target.url({ database: name });
          for (
            const [to, dryRun] of [[elsewhere, false], [elsewhere, true], [inside, true]] as const
          ) {
            const other = runInit(url, to, { include: [name], map: { [name]: name }, dryRun });
            refusals.push(await refusalOf(other));
          }
          await session.unsafe("ROLLBACK").simple();
        });
      },
    });
    for (const error of refusals) {
      match(
        error.details.join("\n"),
        /another run is copying into this database: session \d+ of role.*\n.*let it finish, or stop it/,
      );
      doesNotMatch(error.details.join("\n"), /--drop-existing|NEW_NAME/);
    }
    equal(refusals.length, 3);
    equal(await rowsOf(name), 1000);
    await dropDatabase(target, name);
  });
});

Deno.test("a check does not wait for a transaction that has locked a table of the target", async () => {
  await withDatabase(source, undefined, async ({ name, url }) => {
    await exec(url, rows);
    await exec(target.url(), `CREATE DATABASE ${name}`);
    const database = target.url({ database: name });
    await exec(database, "CREATE TABLE busy (id integer)");
    await withSession(database, async (session) => {
      await session.unsafe("BEGIN; LOCK TABLE busy IN ACCESS EXCLUSIVE MODE").simple();
      const error = await refusalOf(runInit(url, target.url(), { include: [name] }));
      match(error.message, /^another session has held a lock on one of its tables for 10 s/);
      equal(error.object, `database ${name}`);
      await session.unsafe("ROLLBACK").simple();
    });
    await dropDatabase(target, name);
  });
});

Deno.test("a run that was overtaken by another does not call its complete copy incomplete", async () => {
  await withDatabase(source, undefined, async (database) => {
    await exec(database.url, rows);
    const interrupted = new AbortController();
    await runInit(database.url, target.url(), {
      include: [database.name],
      signal: interrupted.signal,
      whileSnapshotHeld: () => {
        interrupted.abort(new InterruptedError());
        return Promise.resolve();
      },
    }).catch((error) => ok(error instanceof InterruptedError, String(error)));
    const events: RunEvent[] = [];
    const error = await overtake(database, {
      allowMixedSnapshots: true,
      onEvent: (event) => events.push(event),
    });
    match(error.message, /^another run has finished the copy in this database/);
    deepEqual(
      events.filter((event) => event.kind === "warning" && /incomplete/.test(event.message)),
      [],
    );
    await dropDatabase(target, database.name);
  });
});
