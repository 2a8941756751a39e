/** A database's owner cannot make another role's session run any code. */
import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { openSession, resolveEndpoint } from "../../lib/postgres/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import { type TestDatabase, withDatabase } from "../support/databases.ts";
import { exec, query } from "../support/sql.ts";

const servers = [await sharedCluster(12), await sharedCluster(18)];

/**
 * Functions, operators and types that match the names in the first statement better than the
 * built-in ones.
 */
const traps = `
  CREATE TABLE public.sprung (name text);
  GRANT INSERT ON public.sprung TO PUBLIC;
  CREATE FUNCTION public.lower(name) RETURNS text LANGUAGE plpgsql AS
    $b$BEGIN INSERT INTO public.sprung VALUES ('lower'); RETURN pg_catalog.lower($1::text); END$b$;
  CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE plpgsql AS
    $b$BEGIN INSERT INTO public.sprung VALUES ('lower'); RETURN pg_catalog.lower($1); END$b$;
  CREATE FUNCTION public.pg_backend_pid() RETURNS int LANGUAGE plpgsql AS
    $b$BEGIN INSERT INTO public.sprung VALUES ('pg_backend_pid'); RETURN 1; END$b$;
  CREATE FUNCTION public.version() RETURNS text LANGUAGE plpgsql AS
    $b$BEGIN INSERT INTO public.sprung VALUES ('version'); RETURN 'linux'; END$b$;
  CREATE FUNCTION public.equal(text, text) RETURNS boolean LANGUAGE plpgsql AS
    $b$BEGIN INSERT INTO public.sprung VALUES ('='); RETURN true; END$b$;
  CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = public.equal);
  CREATE OPERATOR public.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = public.equal);
  CREATE OPERATOR public.~ (LEFTARG = text, RIGHTARG = text, FUNCTION = public.equal);
  CREATE DOMAIN public.int4 AS pg_catalog.int4;`;

async function asSuperuserIn(database: TestDatabase): Promise<void> {
  await using session = await openSession(
    await resolveEndpoint(database.url, { side: "source" }),
  );
  await session.query("SELECT 1");
  await using walsender = await openSession(
    await resolveEndpoint(database.url, { side: "source" }),
    { replication: true },
  );
  await walsender.query("SELECT 1");
}

for (const server of servers) {
  Deno.test(`the first statement of a session calls no function of the database, ${server.major}`, async () => {
    await withDatabase(server, undefined, async (database) => {
      await exec(
        server.url(),
        `ALTER DATABASE ${database.name} SET search_path = public, pg_catalog`,
      );
      await exec(database.url, traps);
      await asSuperuserIn(database);
      deepStrictEqual(await query(database.url, "TABLE public.sprung"), []);
    });
  });

  Deno.test(`an owner's function does not become superuser by pin.sql, ${server.major}`, async () => {
    await withDatabase(server, undefined, async (database) => {
      await exec(
        database.url,
        await Deno.readTextFile(new URL("../cases/security/pin.sql", import.meta.url)),
      );
      await asSuperuserIn(database);
      const roles = await query(
        server.url(),
        "SELECT FROM pg_roles WHERE rolname = 'pwned_by_pin'",
      );
      strictEqual(roles.length, 0);
    });
  });
}

Deno.test("a query that fails after its first rows does not affect the next result", async () => {
  await using session = await openSession(
    await resolveEndpoint(servers[0]!.url(), { side: "source" }),
  );
  const failing = "SELECT 1 / (3 - i) FROM generate_series(1, 3) AS i";
  await rejects(session.query(failing));
  deepStrictEqual(await session.query("SELECT 1 AS n"), [{ n: 1 }]);
  await rejects(session.query(failing));
  deepStrictEqual(await session.queryAll("SELECT 1 AS n; SELECT 2 AS n"), [[{ n: 1 }], [{ n: 2 }]]);
});
