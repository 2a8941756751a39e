import { deepStrictEqual as equal, ok, rejects } from "node:assert/strict";
import { ReplicatorError } from "../../../lib/core/internal.ts";
import { openSession, resolveEndpoint, withDatabase } from "../../../lib/postgres/internal.ts";
import {
  applyStatements,
  createDatabase,
  createDatabaseStatements,
  type DatabaseProperties,
  databasePropertyStatements,
  databaseSettingStatements,
  readDatabaseProperties,
} from "../../../lib/schema/internal.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { exec } from "../../support/sql.ts";

const clusters = [await sharedCluster(12), await sharedCluster(15), await sharedCluster(18)];
const quoted = `"d;B ""x"" ü"`;
const name = `d;B "x" ü`;

for (const cluster of clusters) {
  await exec(
    cluster.url(),
    `CREATE ROLE "own;er"; CREATE ROLE granter; CREATE ROLE guest;`,
  );
  await exec(
    cluster.url(),
    `CREATE DATABASE ${quoted} TEMPLATE template0 OWNER "own;er" ENCODING 'UTF8' ` +
      (cluster.major >= 18
        ? "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LC_COLLATE 'C' LC_CTYPE 'C'"
        : "LC_COLLATE 'C' LC_CTYPE 'C'"),
  );
  await exec(
    cluster.url(),
    `COMMENT ON DATABASE ${quoted} IS 'it''s; \\ ';
     ALTER DATABASE ${quoted} SET search_path = "$user", 'x y';
     ALTER DATABASE ${quoted} SET work_mem = '9MB';
     ALTER ROLE guest IN DATABASE ${quoted} SET "my.x" = 'a''b';
     ALTER DATABASE ${quoted} CONNECTION LIMIT 7;
     REVOKE TEMP ON DATABASE ${quoted} FROM PUBLIC;
     GRANT CONNECT ON DATABASE ${quoted} TO granter WITH GRANT OPTION;
     SET ROLE granter; GRANT CONNECT ON DATABASE ${quoted} TO guest;`,
  );
}

for (const cluster of clusters) {
  Deno.test(`a database of ${cluster.major} is created with all its properties`, async () => {
    const endpoint = await resolveEndpoint(cluster.url(), { side: "target" });
    await using source = await openSession(withDatabase(endpoint, name));
    const properties = await readDatabaseProperties(source);
    equal(properties.owner, "own;er");
    equal(properties.localeProvider, cluster.major >= 18 ? "builtin" : "libc");
    await using admin = await openSession(endpoint);
    equal(await createDatabase(admin, properties, { name: "copy; 1" }), []);
    equal(
      await applyStatements(admin, [
        ...databaseSettingStatements(properties, { name: "copy; 1", late: false }),
        ...databasePropertyStatements(properties, { name: "copy; 1" }),
      ]),
      [],
    );
    await using copy = await openSession(withDatabase(endpoint, "copy; 1"));
    const sorted = ({ grants, ...rest }: DatabaseProperties) => ({
      ...rest,
      name: "",
      grants: grants?.map((grant) => JSON.stringify(grant)).sort(),
    });
    equal(sorted(await readDatabaseProperties(copy)), sorted(properties));
  });
}

Deno.test("createDatabase() explains that the target lacks a locale", async () => {
  const [cluster] = clusters;
  const endpoint = await resolveEndpoint(cluster?.url() ?? "", { side: "target" });
  await using session = await openSession(endpoint);
  const properties = {
    ...await readDatabaseProperties(session),
    collate: "xx_XX.UTF-8",
    ctype: "xx_XX.UTF-8",
  };
  await rejects(createDatabase(session, properties, { name: "elsewhere" }), (error) => {
    ok(error instanceof ReplicatorError);
    equal(error.exitCode, 3);
    ok(error.remedy?.includes("locale"));
    return true;
  });
});

Deno.test("createDatabaseStatements() reports what the target's version does not support", () => {
  const properties: DatabaseProperties = {
    name: "a",
    owner: "o",
    encoding: "UTF8",
    collate: "en_US.UTF-8",
    ctype: "en_US.UTF-8",
    localeProvider: "icu",
    locale: "de-DE",
    icuRules: "&a < b",
    collationVersion: undefined,
    tablespace: "fast",
    connectionLimit: -1,
    allowConnections: true,
    isTemplate: false,
    grants: undefined,
    comment: undefined,
    securityLabels: [],
    settings: [],
  };
  const plan = (targetMajor: number, tablespaces: string[] = []) =>
    createDatabaseStatements(properties, {
      name: "b",
      targetMajor,
      tablespaces: new Set(tablespaces),
    });
  equal(plan(18, ["fast"]), {
    statements: [
      `CREATE DATABASE "b" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = icu ICU_LOCALE = 'de-DE' LC_COLLATE = 'en_US.UTF-8' LC_CTYPE = 'en_US.UTF-8' ICU_RULES = '&a < b' TABLESPACE = "fast"`,
      `CREATE DATABASE "b" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = icu ICU_LOCALE = 'de-DE' LC_COLLATE = 'en_US.utf8' LC_CTYPE = 'en_US.utf8' ICU_RULES = '&a < b' TABLESPACE = "fast"`,
    ],
    notes: [],
  });
  const old = plan(14);
  equal(
    old.statements[0],
    `CREATE DATABASE "b" WITH TEMPLATE = template0 ENCODING = 'UTF8' LC_COLLATE = 'en_US.UTF-8' LC_CTYPE = 'en_US.UTF-8'`,
  );
  equal(old.notes.length, 3);
});
