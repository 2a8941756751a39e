import { deepStrictEqual as equal, match, ok } from "node:assert/strict";
import { openSession, resolveEndpoint } from "../../../lib/postgres/internal.ts";
import {
  applyGlobals,
  dumpGlobals,
  type DumpTool,
  findInstalledTools,
  type GlobalObject,
  previewGlobals,
  revokeTemporaryMemberships,
} from "../../../lib/schema/internal.ts";
import { parseGlobals } from "../../../lib/schema/globals/parse_globals.ts";
import type { Cluster } from "../../../lib/cluster/mod.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { exec, query } from "../../support/sql.ts";
import { startTestCluster } from "../../support/test_cluster.ts";

const embedded: DumpTool = { kind: "embedded", major: 18, description: "embedded pg_dump 18" };
const environment = Deno.env.toObject();
const [newest] = await findInstalledTools({ binDirectory: undefined, environment });

/** Roles with all properties, and names and values that break careless parsers. */
function roleScript(major: number): string {
  return String.raw`
    SET password_encryption = 'md5';
    CREATE ROLE "a""b c;d\e'f" LOGIN PASSWORD 'x''y\z:w' VALID UNTIL '2030-01-01 12:00:00+02' CONNECTION LIMIT 3;
    SET password_encryption = 'scram-sha-256';
    CREATE ROLE "NOSUPERUSER" SUPERUSER NOINHERIT CREATEROLE REPLICATION BYPASSRLS LOGIN PASSWORD 'p:a\b"c''d e';
    CREATE ROLE "WITH PASSWORD 'x'" CREATEDB VALID UNTIL 'infinity';
    CREATE ROLE app_owner;
    CREATE ROLE rds_superuser;
    CREATE ROLE rds_owner;
    CREATE ROLE "größe 日本";
    COMMENT ON ROLE "NOSUPERUSER" IS E'it''s; \\ multi\nCREATE ROLE evil;';
    GRANT "NOSUPERUSER" TO app_owner WITH ADMIN OPTION;
    GRANT pg_monitor TO app_owner;
    GRANT rds_superuser TO app_owner;
    GRANT app_owner TO "größe 日本", "a""b c;d\e'f";
    ALTER ROLE app_owner SET search_path = "$user", 'x y', "a""b,c";
    ALTER ROLE app_owner SET work_mem = '7MB';
    ALTER ROLE app_owner SET DateStyle = 'ISO, DMY';
    ALTER ROLE app_owner SET "my.set" = E'a''b\\c\n, "d"';
    ALTER ROLE ALL SET lock_timeout = '3s';
    ${
    major < 15 ? "" : String.raw`
    GRANT SET ON PARAMETER work_mem TO app_owner;
    GRANT SET, ALTER SYSTEM ON PARAMETER "my.set" TO "a""b c;d\e'f" WITH GRANT OPTION;
    GRANT SET ON PARAMETER maintenance_work_mem TO PUBLIC;`
  }
    ${
    major < 16 ? "" : String.raw`
    CREATE ROLE carol CREATEROLE;
    GRANT "NOSUPERUSER" TO carol WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;
    GRANT "NOSUPERUSER" TO "größe 日本" WITH SET FALSE GRANTED BY carol;`
  }`;
}

async function sourceWithRoles(major: 12 | 15 | 18): Promise<Cluster> {
  const cluster = await sharedCluster(major, {
    settings: { TimeZone: "Asia/Tokyo", "allow_in_place_tablespaces": "on" },
  }).catch(() => sharedCluster(major, { settings: { TimeZone: "Asia/Tokyo" } }));
  await exec(cluster.url(), roleScript(major));
  await exec(
    cluster.url(),
    `CREATE TABLE owned_by_provider (); ALTER TABLE owned_by_provider OWNER TO rds_owner`,
  );
  if (major >= 15) {
    await exec(cluster.url(), `CREATE TABLESPACE "fast; one" OWNER app_owner LOCATION ''`);
    await exec(
      cluster.url(),
      `ALTER TABLESPACE "fast; one" SET (random_page_cost = 1.5, seq_page_cost = 2);
       GRANT CREATE ON TABLESPACE "fast; one" TO "größe 日本" WITH GRANT OPTION;
       COMMENT ON TABLESPACE "fast; one" IS 'it''s fast'`,
    );
  }
  return cluster;
}

const sources = {
  12: await sourceWithRoles(12),
  15: await sourceWithRoles(15),
  18: await sourceWithRoles(18),
};

async function sessionOn(cluster: Cluster, side: "source" | "target", user?: string) {
  return await openSession(
    await resolveEndpoint(cluster.url(user === undefined ? {} : { user }), { side }),
  );
}

async function globalsOf(cluster: Cluster, tool = embedded) {
  await using session = await sessionOn(cluster, "source");
  return await dumpGlobals({ session, tool, databases: ["postgres"] });
}

/** Objects as plain text, with the passwords. */
function revealed(objects: readonly GlobalObject[]): unknown {
  return objects.map((object) =>
    object.kind === "role" ? { ...object, password: object.password?.reveal() } : { ...object }
  );
}

const names = (objects: readonly GlobalObject[]) =>
  objects.flatMap((object) => object.kind === "role" ? [object.name] : []);

for (const cluster of Object.values(sources)) {
  const tool: DumpTool | undefined = newest === undefined || newest.major < cluster.major
    ? undefined
    : { kind: "native", description: "", environment, ...newest };
  Deno.test({
    name:
      `dumpGlobals() reads the same from pg_dumpall and the catalogs of PostgreSQL ${cluster.major}`,
    ignore: tool === undefined,
    async fn() {
      if (tool === undefined) return;
      const [native, catalog] = [await globalsOf(cluster, tool), await globalsOf(cluster)];
      equal(revealed(native.objects), revealed(catalog.objects));
      equal(native.notes, catalog.notes);
    },
  });
}

Deno.test("dumpGlobals() omits predefined roles, and provider roles that own nothing", async () => {
  const { objects, notes } = await globalsOf(sources[15]);
  equal(names(objects), [
    "NOSUPERUSER",
    "WITH PASSWORD 'x'",
    `a"b c;d\\e'f`,
    "app_owner",
    "größe 日本",
    "postgres",
    "rds_owner",
  ]);
  equal(notes.map(({ object }) => object), ["role rds_superuser", "role app_owner"]);
});

Deno.test("dumpGlobals() reports that passwords cannot be read, and reads the rest", async () => {
  for (const cluster of [sources[12], sources[18]]) {
    await exec(cluster.url(), "CREATE ROLE reader LOGIN");
    await using session = await sessionOn(cluster, "source", "reader");
    const { objects, notes } = await dumpGlobals({ session, tool: embedded, databases: [] });
    ok(objects.every((object) => object.kind !== "role" || object.password === undefined));
    ok(notes.some(({ message }) => message.includes("passwords")));
    ok(names(objects).includes("app_owner"));
    await exec(cluster.url(), "DROP ROLE reader");
  }
});

Deno.test("parseGlobals() reads memberships as pg_dumpall 16 and later writes them", () => {
  const text = `
    CREATE ROLE a; CREATE ROLE "b c";
    GRANT a TO "b c" WITH ADMIN OPTION, INHERIT FALSE, SET FALSE GRANTED BY postgres;
    GRANT a TO d WITH INHERIT TRUE GRANTED BY "b c";`;
  equal(parseGlobals(text, "postgres").filter(({ kind }) => kind === "membership"), [
    {
      kind: "membership",
      role: "a",
      member: "b c",
      admin: true,
      inherit: false,
      set: false,
      grantor: undefined,
    },
    {
      kind: "membership",
      role: "a",
      member: "d",
      admin: false,
      inherit: true,
      set: true,
      grantor: "b c",
    },
  ]);
});

/** The server's roles, in plain SQL. */
async function facts(cluster: Cluster, modern: boolean) {
  const url = cluster.url();
  return {
    roles: await query(
      url,
      `SELECT to_jsonb(r) - 'oid' - 'rolvaliduntil' AS role, extract(epoch FROM nullif(rolvaliduntil, 'infinity'))::float8::text AS until,
              shobj_description(oid, 'pg_authid') AS comment,
              (SELECT array_to_string(setconfig, '|') FROM pg_db_role_setting WHERE setrole = r.oid AND setdatabase = 0) AS settings
         FROM pg_authid r WHERE rolname !~ '^pg_|^rds_super|^postgres' ORDER BY rolname COLLATE "C"`,
    ),
    memberships: await query(
      url,
      `SELECT roleid::regrole::text, member::regrole::text, admin_option
              ${modern ? ", inherit_option, set_option, grantor::regrole::text" : ""}
         FROM pg_auth_members WHERE roleid::regrole::text !~ '^pg_|^rds_super' ORDER BY 1, 2, 3`,
    ),
    common: await query(
      url,
      "SELECT setconfig::text FROM pg_db_role_setting WHERE setrole = 0 AND setdatabase = 0",
    ),
  };
}

for (const [from, to] of [[12, 18], [18, 12], [15, 15], [18, 18]] as const) {
  Deno.test(`applyGlobals() creates the roles of PostgreSQL ${from} on ${to}, and is idempotent`, async () => {
    const source = sources[from];
    await using cluster = await startTestCluster({
      major: to,
      settings: to >= 15 ? { allow_in_place_tablespaces: "on" } : {},
    });
    await exec(
      cluster.url(),
      `CREATE ROLE app_owner SUPERUSER CREATEDB CREATEROLE REPLICATION BYPASSRLS LOGIN PASSWORD 'target';
       ALTER ROLE app_owner SET work_mem = '9MB';
       CREATE ROLE "größe 日本" LOGIN VALID UNTIL '2001-01-01';
       CREATE ROLE "a""b c;d\\e'f" PASSWORD 'target'; CREATE ROLE "WITH PASSWORD 'x'" CONNECTION LIMIT 2;
       GRANT app_owner TO "größe 日本"`,
    );
    const globals = await globalsOf(source);
    await using session = await sessionOn(cluster, "target");
    const present = `SELECT to_jsonb(r) - 'oid' AS role, setconfig FROM pg_authid AS r
      LEFT JOIN pg_db_role_setting ON setrole = r.oid WHERE rolname = 'app_owner'`;
    const before = JSON.stringify(await query(cluster.url(), present));
    const password = `SELECT rolpassword FROM pg_authid WHERE rolname LIKE 'a_b%'`;
    const [verifier] = await query(cluster.url(), password);
    await using original = await sessionOn(source, "source");
    const preview = (await previewGlobals(original, session)).adapted;
    const first = await applyGlobals(session, globals);
    equal(
      first.adapted.filter((note) => /already exists/.test(note.message)),
      preview.filter((note) => /already exists/.test(note.message)),
    );
    // a role of the target loses nothing
    const after = JSON.stringify(await query(cluster.url(), present));
    match(after, /work_mem=9MB/);
    for (
      const attribute of ["super", "createdb", "createrole", "replication", "bypassrls", "canlogin"]
    ) {
      match(after, new RegExp(`"rol${attribute}":true`));
    }
    const stored = /"rolpassword":"[^"]+"/;
    equal(stored.exec(after)?.[0], stored.exec(before)?.[0]);
    equal(await query(cluster.url(), password), [verifier]);
    await exec(
      cluster.url(),
      `ALTER ROLE app_owner NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOLOGIN PASSWORD NULL;
       ALTER ROLE app_owner RESET ALL; ALTER ROLE "größe 日本" NOLOGIN; ALTER ROLE "a""b c;d\\e'f" PASSWORD NULL CONNECTION LIMIT 1 VALID UNTIL '2001-01-01'`,
    );
    // with nothing of their own, they become as on the source
    await applyGlobals(session, globals);
    equal(first.createdRoles.includes("app_owner"), false);
    ok(first.createdRoles.includes("NOSUPERUSER"));
    equal(first.temporaryMemberships, []);
    const reported = first.adapted.map(({ object, message }) => `${object}: ${message}`);
    ok(
      reported.some((line) =>
        /^role app_owner: it already exists on the target: it gains .*keeps SUPERUSER, CREATEROLE, CREATEDB, LOGIN, REPLICATION, BYPASSRLS, its setting work_mem, unlike/
          .test(line)
      ),
      reported.join("\n"),
    );
    ok(reported.some((line) => line.startsWith("role postgres: unchanged")));
    ok(!JSON.stringify(first).includes("SCRAM-SHA"), "a verifier in the report");
    const modern = from >= 16 && to >= 16;
    equal(await facts(cluster, modern), await facts(source, modern));

    const second = await applyGlobals(session, globals);
    equal(second.createdRoles, []);
    equal(await facts(cluster, modern), await facts(source, modern));
    if (from === 18 && to === 12) {
      ok(reported.some((line) => /privilege SET on parameter/.test(line)), reported.join("\n"));
      ok(reported.some((line) => /tablespace fast; one: tablespace refused/.test(line)));
    }
    if (from === to) {
      const spaces =
        `SELECT spcname, spcacl::text, spcoptions::text, shobj_description(oid, 'pg_tablespace') AS c
                        FROM pg_tablespace WHERE spcname !~ '^pg_'`;
      equal(await query(cluster.url(), spaces), await query(source.url(), spaces));
      const parameters = "SELECT parname, paracl::text FROM pg_parameter_acl ORDER BY 1";
      equal(await query(cluster.url(), parameters), await query(source.url(), parameters));
      // an existing tablespace is left as it is, and the plan says so
      await exec(
        cluster.url(),
        `ALTER TABLESPACE "fast; one" OWNER TO postgres;
         ALTER TABLESPACE "fast; one" SET (random_page_cost = 3)`,
      );
      const kept = await query(cluster.url(), spaces);
      const notes = (await previewGlobals(original, session)).adapted.filter(({ object }) =>
        object === "tablespace fast; one"
      );
      match(
        notes.map(({ message }) => message).join(),
        /^it already exists on the target: it keeps its owner, options, .*unlike on the source$/,
      );
      const third = await applyGlobals(session, globals);
      equal(third.adapted.filter(({ object }) => object === "tablespace fast; one"), notes);
      equal(await query(cluster.url(), spaces), kept);
    }
  });
}

for (const major of [12, 15, 18] as const) {
  Deno.test(`applyGlobals() with CREATEROLE only does what it may on ${major}, and reports the rest`, async () => {
    await using cluster = await startTestCluster({ major });
    await exec(
      cluster.url(),
      `CREATE ROLE migrator LOGIN CREATEROLE CREATEDB; CREATE ROLE "größe 日本" LOGIN`,
    );
    const globals = await globalsOf(sources[15]);
    await using session = await sessionOn(cluster, "target", "migrator");
    const result = await applyGlobals(session, globals);
    const reported = result.adapted.map(({ object, message }) => `${object}: ${message}`);
    const [superuser] = await query(
      cluster.url(),
      `SELECT rolsuper, rolcreaterole, rolcanlogin, rolpassword ~ '^SCRAM' AS password FROM pg_authid WHERE rolname = 'NOSUPERUSER'`,
    );
    equal(superuser, { rolsuper: false, rolcreaterole: true, rolcanlogin: true, password: true });
    ok(reported.some((line) => line.startsWith("role NOSUPERUSER: SUPERUSER refused")));
    ok(reported.some((line) => /membership in pg_monitor refused/.test(line)) === (major >= 16));
    ok(result.temporaryMemberships.some(({ role }) => role === "app_owner"));

    // objects can be assigned to their owners
    await session.execute("CREATE DATABASE mine OWNER app_owner");
    const revoked = await revokeTemporaryMemberships(session, result.temporaryMemberships);
    equal(revoked, []);
    const remaining = await query(
      cluster.url(),
      `SELECT 1 FROM pg_auth_members WHERE member = 'migrator'::regrole ${
        major >= 16 ? "AND (inherit_option OR set_option)" : ""
      }`,
    );
    equal(remaining, []);
  });
}
