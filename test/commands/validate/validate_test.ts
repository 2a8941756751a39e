import { deepStrictEqual as equal, ok, rejects } from "node:assert/strict";
import type { Cluster, PgMajor } from "../../../lib/cluster/mod.ts";
import type { Check, ValidationReport } from "../../../lib/commands/shared/validation_report.ts";
import {
  completeValidateOptions,
  type ValidateChoices,
} from "../../../lib/commands/shared/complete_options.ts";
import { planDatabases } from "../../../lib/commands/shared/database_plan.ts";
import { openServerPair } from "../../../lib/commands/shared/server_pair.ts";
import { executeValidate } from "../../../lib/commands/validate/validate.ts";
import { checkTransactions } from "../../../lib/commands/validate/resource_checks.ts";
import type { RunEvent } from "../../../lib/core/internal.ts";
import { resolveEndpoint } from "../../../lib/postgres/internal.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { withRepeats } from "../../support/long.ts";
import { exec, query } from "../../support/sql.ts";

const majors: readonly PgMajor[] = [12, 15, 18];
const sources = new Map<PgMajor, Cluster>();
for (const major of majors) sources.set(major, await sharedCluster(major));
const target = await sharedCluster(18, { settings: { work_mem: "5MB" } });
/** Configured with minimal settings. */
const bare = await sharedCluster(15, {
  settings: {
    wal_level: "replica",
    max_replication_slots: "0",
    max_wal_senders: "0",
    max_connections: "12",
    superuser_reserved_connections: "2",
  },
});

const untouched = new AbortController().signal;

interface Wishes extends Partial<Omit<ValidateChoices, "source" | "target">> {
  readonly events?: (event: RunEvent) => void;
  readonly signal?: AbortSignal;
}

async function run(
  sourceUrl: string,
  targetUrl: string,
  { events = () => {}, signal = untouched, ...wishes }: Wishes = {},
): Promise<ValidationReport> {
  const [from, to] = await Promise.all([
    resolveEndpoint(sourceUrl, { side: "source" }),
    resolveEndpoint(targetUrl, { side: "target" }),
  ]);
  return await executeValidate(
    completeValidateOptions({
      source: from,
      target: to,
      databases: { include: [], exclude: [], map: {} },
      tools: { dump: "embedded", binDirectory: undefined, environment: {} },
      jobs: 2,
      ...wishes,
    }),
    { events, signal },
  );
}

function find(report: ValidationReport, id: string, about: Partial<Check> = {}): Check {
  const found = report.checks.find((check) =>
    check.id === id && (about.side === undefined || check.side === about.side) &&
    (about.database === undefined || check.database === about.database)
  );
  ok(found, `no check ${id} among ${report.checks.map((check) => check.id).join(", ")}`);
  return found;
}

function only(...names: readonly string[]): Pick<ValidateChoices, "databases"> {
  return { databases: { include: names.map(quote), exclude: [], map: {} } };
}

let made = 0;

/** Creates a database with a nasty name; {@linkcode drop} drops it. */
async function create(cluster: Cluster, script = "", name?: string): Promise<string> {
  const database = name ?? `v${++made} "Ünï".x`;
  await exec(cluster.url(), `CREATE DATABASE ${quote(database)}`);
  if (script !== "") await inDatabase(cluster, database, script);
  return database;
}

async function inDatabase(cluster: Cluster, database: string, script: string): Promise<void> {
  // the test's driver does not decode a URL's path
  const plain = `tmp_${crypto.randomUUID().slice(0, 8)}`;
  await exec(cluster.url(), `ALTER DATABASE ${quote(database)} RENAME TO ${plain}`);
  try {
    await exec(cluster.url({ database: plain }), script);
  } finally {
    await exec(cluster.url(), `ALTER DATABASE ${plain} RENAME TO ${quote(database)}`);
  }
}

async function drop(cluster: Cluster, database: string): Promise<void> {
  await exec(cluster.url(), `DROP DATABASE IF EXISTS ${quote(database)}`);
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

async function role(cluster: Cluster, name: string, attributes = "LOGIN"): Promise<void> {
  const [row] = await query(cluster.url(), "SELECT FROM pg_roles WHERE rolname = $1", [name]);
  await exec(cluster.url(), `${row === undefined ? "CREATE" : "ALTER"} ROLE ${name} ${attributes}`);
}

for (const major of withRepeats<PgMajor>([12, 18], [15])) {
  const source = sources.get(major)!;

  Deno.test(`validate() passes for a sound pair (${major} to 18)`, async () => {
    const name = await create(source, "CREATE TABLE t (id int PRIMARY KEY)");
    try {
      const events: RunEvent[] = [];
      const report = await run(source.url(), target.url(), {
        ...only(name),
        forSync: true,
        events: (event) => events.push(event),
      });
      equal(report.checks.filter(({ status }) => status === "fail"), []);
      equal(report.checks.filter(({ status, fix }) => status !== "pass" && !fix), []);
      equal(report.passed + report.warnings + report.failures, report.checks.length);
      equal(find(report, "target-empty").finding, "does not exist yet and will be created");
      equal(find(report, "same-database").status, "pass");
      equal(find(report, "replica-identity", { database: name }).status, "pass");
      ok(report.source.version.startsWith(`${major}.`));
      equal(
        events.filter(({ kind }) => kind.startsWith("step-f") || kind.startsWith("step-s"))
          .map((event) => "step" in event && `${event.kind} ${event.step}`),
        [
          "step-started connect",
          "step-finished connect",
          "step-started validate",
          "step-finished validate",
        ],
      );
    } finally {
      await drop(source, name);
    }
  });

  Deno.test(`validate() names tables without replica identity, a failure only for sync (${major})`, async () => {
    const name = await create(
      source,
      `CREATE TABLE good (id int PRIMARY KEY); CREATE SCHEMA s; CREATE TABLE s."No key" (id int);
       CREATE UNLOGGED TABLE quick (id int)`,
    );
    try {
      const plain = find(await run(source.url(), target.url(), only(name)), "replica-identity");
      equal(plain.status, "pass");
      ok(
        plain.finding.endsWith('only replication needs (validate --for-sync): s."No key"'),
        plain.finding,
      );
      const forSync = await run(source.url(), target.url(), { ...only(name), forSync: true });
      equal(find(forSync, "replica-identity").status, "fail");
      equal(find(forSync, "unlogged-tables").status, "warn");
    } finally {
      await drop(source, name);
    }
  });

  Deno.test(`validate() refuses to copy a database onto itself through another user, address or socket (${major})`, async () => {
    const name = await create(source);
    await role(source, "other_user", "LOGIN SUPERUSER");
    try {
      for (
        const url of [
          source.url({ user: "other_user" }),
          `postgresql://postgres@localhost:${source.port}/postgres`,
          `postgresql://other_user@${
            encodeURIComponent(source.socketDir)
          }:${source.port}/template1`,
        ]
      ) {
        const report = await run(source.url(), url, { ...only(name), dropExisting: true });
        equal(find(report, "same-database").status, "fail", url);
        equal(report.failures, 1, url); // reported once
        const renamed = await run(source.url(), url, {
          databases: { include: [quote(name)], exclude: [], map: { [name]: "copy" } },
        });
        equal(find(renamed, "same-database").status, "pass", url);
        equal(renamed.failures, 0);
      }
    } finally {
      await drop(source, name);
    }
  });

  Deno.test(`validate() reports what an ordinary role lacks on the source (${major})`, async () => {
    await role(source, "weak");
    const name = await create(
      source,
      `CREATE TABLE open (id int PRIMARY KEY); GRANT SELECT ON open TO weak;
       CREATE TABLE closed (id int PRIMARY KEY); CREATE SEQUENCE shut;
       CREATE SCHEMA hidden; CREATE TABLE hidden.t (id int PRIMARY KEY); GRANT SELECT ON hidden.t TO weak;
       CREATE TABLE guarded (id int PRIMARY KEY); GRANT SELECT ON guarded TO weak;
       ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON guarded USING (id > 1);
       SELECT lo_from_bytea(0, 'x')`,
    );
    try {
      const report = await run(source.url({ user: "weak" }), target.url(), {
        ...only(name),
        forSync: true,
      });
      equal(
        find(report, "source-readable").finding,
        "weak may not read hidden.t, closed, shut",
      );
      ok(find(report, "source-readable").fix?.includes('TO "weak"'));
      equal(
        find(report, "row-security").finding,
        "row security hides rows of guarded from weak",
      );
      for (
        const id of [
          "source-readable",
          "row-security",
          "large-objects-readable",
          "replication-privilege",
          "publishable",
        ]
      ) equal(find(report, id).status, "fail", id);
      equal(find(report, "passwords").status, "warn");

      await role(source, "weak", "BYPASSRLS REPLICATION");
      const better = await run(source.url({ user: "weak" }), target.url(), {
        ...only(name),
        forSync: true,
      });
      equal(find(better, "row-security").status, "pass");
      equal(find(better, "replication-privilege").status, "pass");
    } finally {
      await role(source, "weak", "NOBYPASSRLS NOREPLICATION");
      await drop(source, name);
      await exec(source.url(), "DROP ROLE weak");
    }
  });

  Deno.test(`validate() reports what an ordinary role lacks on the target (${major})`, async () => {
    await role(source, "plain");
    const name = await create(target, "", `t_${major}`);
    await inDatabase(
      target,
      name,
      "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    );
    const existing = await create(source, "", "fills");
    await exec(source.url(), "CREATE DATABASE fills_too");
    try {
      // the source is 18 here, because the older versions are tested as target
      const report = await run(target.url(), source.url({ user: "plain" }), {
        databases: { include: [name, "postgres"], exclude: [], map: { postgres: existing } },
        forSync: true,
      });
      equal(find(report, "create-database").status, "fail");
      equal(find(report, "create-database").fix?.startsWith('ALTER ROLE "plain" CREATEDB'), true);
      equal(find(report, "create-roles").status, "warn");
      equal(
        find(report, "apply-from").finding,
        "this tool applies the changes, so sync must keep running: plain may not create subscriptions",
      );
      equal(find(report, "target-privileges", { database: existing }).status, "fail");
      await exec(
        source.url(),
        `ALTER ROLE plain CREATEDB CREATEROLE; ALTER DATABASE fills OWNER TO plain`,
      );
      await inDatabase(source, existing, "GRANT CREATE ON SCHEMA public TO plain");
      const better = await run(target.url(), source.url({ user: "plain" }), {
        databases: { include: [name, "postgres"], exclude: [], map: { postgres: existing } },
      });
      equal(find(better, "create-database").status, "pass");
      equal(find(better, "target-privileges", { database: existing }).status, "pass");
      equal(find(better, "target-empty", { database: existing }).status, "pass");
      equal(find(better, "version").status, major === 18 ? "pass" : "warn");
    } finally {
      await drop(source, existing);
      await drop(source, "fills_too");
      await drop(target, name);
      await exec(source.url(), "DROP ROLE plain");
    }
  });

  Deno.test(`validate() refuses a non-empty target, reports what would be lost, and drops nothing (${major})`, async () => {
    const name = await create(source);
    await create(source, "", "second");
    const script = "CREATE TABLE precious AS SELECT 1 AS one; CREATE VIEW v AS SELECT 1 AS one";
    await create(target, script, name);
    try {
      const refused = find(await run(source.url(), target.url(), only(name)), "target-empty");
      equal(refused.status, "fail");
      ok(
        /not empty: it has 1 table \(8\.00 kB: precious\), 1 view/.test(refused.finding),
        refused.finding,
      );
      const dropped = find(
        await run(source.url(), target.url(), { ...only(name), dropExisting: true }),
        "target-empty",
      );
      equal(dropped.status, "warn");
      ok(dropped.finding.includes("This will be lost: 1 table"), dropped.finding);
      const mapped = await run(source.url(), target.url(), {
        databases: { include: [quote(name)], exclude: [], map: { [name]: "elsewhere" } },
      });
      equal(find(mapped, "target-empty").status, "pass");
      const [row] = await query(
        target.url(),
        "SELECT count(*)::int AS n FROM pg_database WHERE datname = $1",
        [name],
      );
      equal(row?.n, 1);
    } finally {
      await drop(source, name);
      await drop(source, "second");
      await drop(target, name);
    }
  });

  Deno.test(`planDatabases() decides for each database (${major})`, async () => {
    const fresh = await create(source);
    const empty = await create(source);
    const full = await create(source);
    await create(target, "CREATE EXTENSION hstore", empty);
    await create(target, "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", full);
    try {
      const [from, to] = await Promise.all([
        resolveEndpoint(source.url(), { side: "source" }),
        resolveEndpoint(target.url(), { side: "target" }),
      ]);
      const context = { events: () => {}, signal: untouched };
      await using sides = await openServerPair(
        { source: from, target: to, retryDelaysMs: [] },
        context,
      );
      for (const dropExisting of [false, true]) {
        const { databases } = await planDatabases({
          source: sides.source,
          target: sides.target,
          selection: { include: [fresh, empty, full].map(quote), exclude: [], map: {} },
          targetUrlDatabase: "postgres",
          dropExisting,
          resume: true,
          claim: () => Promise.resolve(),
          runGraceMs: 0,
          withSizes: true,
          signal: untouched,
        });
        equal(databases.map(({ action, willBeLost }) => [action, willBeLost]), [
          ["create", undefined],
          ["fill-empty", undefined],
          dropExisting ? ["drop-and-create", "1 function"] : ["refuse", undefined],
        ]);
      }
    } finally {
      for (const name of [fresh, empty, full]) {
        await drop(source, name);
        await drop(target, name);
      }
    }
  });

  Deno.test(`validate() reports objects that a copy handles specially (${major})`, async () => {
    const name = await create(
      source,
      `SELECT lo_from_bytea(0, 'x'); CREATE UNLOGGED TABLE quick (id int);
       CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw;
       CREATE USER MAPPING FOR postgres SERVER far; CREATE FOREIGN TABLE away (id int) SERVER far;
       CREATE PUBLICATION p`,
    );
    await create(
      target,
      `CREATE FUNCTION pg_temp.noop() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'`,
      name,
    );
    try {
      const report = await run(source.url(), target.url(), { ...only(name), forSync: true });
      equal(find(report, "large-objects").status, "warn");
      equal(find(report, "unlogged-tables").status, "warn");
      ok(find(report, "foreign-tables").finding.includes("1 foreign table and 1 user mapping"));
      equal(find(report, "publications").status, "warn");
      equal(find(report, "event-triggers").status, "pass");
      equal(find(report, "extensions").status, "pass");
      const plain = await run(source.url(), target.url(), only(name));
      equal(find(plain, "large-objects").finding, "1 large object");
      equal(find(plain, "unlogged-tables").status, "pass");
    } finally {
      await drop(source, name);
      await drop(target, name);
    }
  });

  Deno.test(`validate() reports extensions that the target lacks or has only in an older version (${major})`, async () => {
    const name = await create(
      source,
      `CREATE EXTENSION hstore; CREATE EXTENSION btree_gist; UPDATE pg_extension SET extname = 'hstores' WHERE extname = 'hstore';
       UPDATE pg_extension SET extversion = '99.1' WHERE extname = 'btree_gist'`,
    );
    try {
      const report = await run(source.url(), target.url(), only(name));
      const found = report.checks.filter(({ id }) => id === "extensions");
      equal(found.map(({ status }) => status), ["warn", "fail"]);
      ok(found[1]!.finding.includes("hstores") && found[1]!.finding.includes("it has hstore"));
    } finally {
      await drop(source, name);
    }
  });

  if (major === 18) {
    Deno.test("checkTransactions() treats an old prepared transaction as forgotten", () => {
      const prepared = (ageSeconds: number) => {
        const transaction = { gid: "g", pid: undefined, database: "d", role: "r", ageSeconds };
        const activity = {
          longTransactions: [],
          preparedTransactions: [transaction],
          seesAll: true,
        };
        const checks = checkTransactions({ activity } as never, { forSync: true });
        return find({ checks } as never, "prepared-transactions").status;
      };
      equal([prepared(59), prepared(61)], ["warn", "fail"]);
    });
  }

  Deno.test(`validate() reports prepared and long transactions (${major})`, async () => {
    const name = await create(source, "", `plain_${major}`);
    const url = source.url({ database: name });
    await exec(url, "CREATE TABLE t (id int PRIMARY KEY)");
    try {
      equal(
        find(await run(source.url(), target.url(), only(name)), "prepared-transactions").status,
        "pass",
      );
      await exec(url, "BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'half'");
      const plain = find(
        await run(source.url(), target.url(), only(name)),
        "prepared-transactions",
      );
      equal([plain.status, plain.fix?.startsWith("COMMIT PREPARED 'half';")], ["warn", true]);
      const forSync = await run(source.url(), target.url(), { ...only(name), forSync: true });
      // a recent one is work in progress, for which the creation of a slot waits
      equal(find(forSync, "prepared-transactions").status, "warn");
    } finally {
      await exec(url, "ROLLBACK PREPARED 'half'");
      await drop(source, name);
    }
  });
}

Deno.test("validate() reports a wal_level that is too low, and a lack of slots, senders and connections", async () => {
  const name = await create(bare);
  try {
    const plain = await run(bare.url(), target.url(), { ...only(name), jobs: 2 });
    const forSync = await run(bare.url(), target.url(), { ...only(name), jobs: 20, forSync: true });
    for (const id of ["wal-level", "replication-slots", "wal-senders"]) {
      equal([find(plain, id).status, find(forSync, id).status], ["warn", "fail"], id);
    }
    equal(
      find(forSync, "wal-level").fix,
      "ALTER SYSTEM SET wal_level = 'logical'; then restart the server",
    );
    equal(find(plain, "connections", { side: "source" }).status, "pass");
    equal(find(forSync, "connections", { side: "source" }).status, "warn");
    ok(find(forSync, "connections", { side: "source" }).fix?.startsWith("use --jobs "));
  } finally {
    await drop(bare, name);
  }
});

Deno.test("validate() reports encodings and locales that the target does not support", async () => {
  const source = sources.get(18)!;
  const old = sources.get(12)!;
  const icu = `CREATE DATABASE icu TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de'`;
  await exec(source.url(), icu);
  await exec(
    source.url(),
    "CREATE DATABASE builtin TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'",
  );
  await exec(source.url(), "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1'");
  await exec(source.url(), "CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII'");
  await exec(target.url(), "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN2'");
  try {
    const locale = async (name: string, url: string) =>
      find(await run(source.url(), url, only(name)), "locale").status;
    equal([await locale("icu", old.url()), await locale("icu", target.url())], ["fail", "pass"]);
    equal(
      [await locale("builtin", sources.get(15)!.url()), await locale("builtin", target.url())],
      [
        "fail",
        "pass",
      ],
    );
    const encoding = async (name: string, wishes: Wishes = {}) =>
      find(await run(source.url(), target.url(), { ...only(name), ...wishes }), "encoding").status;
    equal(await encoding("latin"), "fail");
    equal(await encoding("latin", { dropExisting: true }), "pass");
    equal(await encoding("ascii"), "pass"); // created on the target in SQL_ASCII, too
    await exec(target.url(), "CREATE DATABASE ascii TEMPLATE template0 ENCODING 'UTF8'");
    equal(await encoding("ascii"), "warn");
    equal(await encoding("icu"), "pass");
  } finally {
    for (const name of ["icu", "builtin", "latin", "ascii"]) await drop(source, name);
    for (const name of ["latin", "ascii"]) await drop(target, name);
  }
});

Deno.test("validate() reports all problems with a selection at once, with close matches", async () => {
  const source = sources.get(18)!;
  const name = await create(source, "", "shop");
  try {
    const report = await run(source.url(), target.url(), {
      databases: { include: ["shp", "postgrez", name], exclude: [], map: { shopp: "x" } },
    });
    equal(
      report.checks.filter(({ id, status }) => id === "database-selection" && status === "fail")
        .map(({ finding }) => finding),
      [
        "--include-databases: shp matches no database; did you mean shop?",
        "--include-databases: postgrez matches no database; did you mean postgres?",
        '--map: "shopp" is not a database of the source; did you mean shop?',
      ],
    );
  } finally {
    await drop(source, name);
  }
});

Deno.test("validate() takes the name of a target database that does not exist yet from its URL", async () => {
  const source = sources.get(18)!;
  const name = await create(source);
  try {
    const report = await run(source.url(), target.url({ database: "brand_new" }), only(name));
    equal(find(report, "target-empty").database, "brand_new");
    equal(report.failures, 0);
  } finally {
    await drop(source, name);
  }
});

Deno.test("validate() warns about an older target", async () => {
  const report = await run(target.url(), sources.get(15)!.url(), only("postgres"));
  equal(find(report, "version").status, "warn");
});

Deno.test("validate() reports that no pg_dump is available", async () => {
  const report = await run(sources.get(18)!.url(), target.url(), {
    ...only("postgres"),
    tools: { dump: "native", binDirectory: "/nowhere", environment: { PATH: "/nowhere" } },
  });
  const check = find(report, "dump-tool");
  ok(check.status === "pass" || check.fix !== undefined);
});

Deno.test("openServerPair() reports both servers if neither can be reached", async () => {
  const nowhere = (side: "source" | "target") =>
    resolveEndpoint("postgresql://nobody@127.0.0.1:1/x", { side });
  const endpoints = {
    source: await nowhere("source"),
    target: await nowhere("target"),
    retryDelaysMs: [],
  };
  const context = { events: () => {}, signal: untouched };
  await rejects(openServerPair(endpoints, context), (error: Error) => {
    equal(error.name, "ConnectionError");
    ok(/127\.0\.0\.1:1.*\ntarget, .*127\.0\.0\.1:1/.test(error.message), error.message);
    return true;
  });
});

Deno.test("openServerPair() does not wait for a server that never answered", async () => {
  for (const host of ["127.0.0.1:1", "no-such-host.invalid", "127.0.0.1:1,no-such-host.invalid"]) {
    const url = `postgresql://nobody@${host}/x`;
    const endpoints = {
      source: await resolveEndpoint(url, { side: "source" }),
      target: await resolveEndpoint(target.url(), { side: "target" }),
      retryDelaysMs: [3_600_000],
    };
    const retries: unknown[] = [];
    const events = (event: { readonly kind: string }) => {
      if (event.kind === "retry") retries.push(event);
    };
    const signal = AbortSignal.timeout(30_000);
    await rejects(openServerPair(endpoints, { events, signal }), {
      name: "ConnectionError",
      side: "source",
      transient: true,
      absent: true,
    });
    equal(retries, []);
  }
});

Deno.test("openServerPair() tries a server without a free connection again", async () => {
  await exec(target.url(), "CREATE ROLE limited LOGIN CONNECTION LIMIT 0");
  try {
    const url = new URL(target.url());
    url.username = "limited";
    const limited = await resolveEndpoint(url.href, { side: "target" });
    const source = await resolveEndpoint(target.url(), { side: "source" });
    const retried: string[] = [];
    await rejects(
      openServerPair({ source, target: limited, retryDelaysMs: [1, 1] }, {
        events: (event) => {
          if (event.kind === "retry") retried.push(event.kind);
        },
        signal: untouched,
      }),
      { name: "ConnectionError", sqlState: "53300", absent: false },
    );
    equal(retried.length, 2);
  } finally {
    await exec(target.url(), "DROP ROLE limited");
  }
});

Deno.test("openServerPair() leaves no session behind when one server cannot be reached", async () => {
  const endpoints = {
    source: await resolveEndpoint("postgresql://nobody@127.0.0.1:1/x", { side: "source" }),
    target: await resolveEndpoint(target.url(), { side: "target" }),
    retryDelaysMs: [],
  };
  await rejects(openServerPair(endpoints, { events: () => {}, signal: untouched }), {
    name: "ConnectionError",
    side: "source",
    exitCode: 4,
  });
  await rejects(
    openServerPair(
      {
        source: { ...endpoints.target, side: "source" },
        target: { ...endpoints.source, side: "target" },
        retryDelaysMs: [],
      },
      { events: () => {}, signal: untouched },
    ),
    { name: "ConnectionError", side: "target", exitCode: 5 },
  );
});

Deno.test({
  name: "validate() ends with the signal's reason",
  // Session.close() does not wait for the session's own cancel request
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    const stop = new AbortController();
    await rejects(
      run(sources.get(18)!.url(), target.url(), {
        signal: stop.signal,
        events: (event) => event.kind === "step-finished" && stop.abort(new Error("enough")),
      }),
      /enough/,
    );
  },
});

Deno.test("validate() reports what it could not check instead of omitting it", async () => {
  const source = sources.get(18)!;
  await role(source, "blind");
  const name = await create(source, "REVOKE SELECT ON pg_largeobject_metadata FROM PUBLIC");
  try {
    const report = await run(source.url({ user: "blind" }), target.url(), only(name));
    const check = find(report, "source-database");
    equal(check.status, "fail");
    ok(check.finding.startsWith("could not be checked: "), check.finding);
    ok(check.fix);
  } finally {
    await drop(source, name);
    await exec(source.url(), "DROP ROLE blind");
  }
});

Deno.test("validate() reports a database that cannot be opened", async () => {
  const source = sources.get(18)!;
  const name = await create(source);
  await role(source, "shut_out");
  await exec(source.url(), `REVOKE CONNECT ON DATABASE ${quote(name)} FROM PUBLIC`);
  try {
    const url = source.url({ user: "shut_out" });
    equal(find(await run(url, target.url(), only(name)), "database-selection").status, "fail");
    equal(
      find(await run(url, target.url()), "database-skipped", { database: name }).status,
      "warn",
    );
  } finally {
    await drop(source, name);
    await exec(source.url(), "DROP ROLE shut_out");
  }
});

Deno.test("validate() warns about event triggers in a database that is to be filled", async () => {
  const source = sources.get(18)!;
  const name = await create(source);
  await create(target, "", name);
  await role(target, "dashboard_user", "NOLOGIN SUPERUSER");
  await inDatabase(
    target,
    name,
    `SET ROLE dashboard_user;
     CREATE FUNCTION noop() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
     CREATE EVENT TRIGGER "It watches" ON ddl_command_end EXECUTE FUNCTION noop()`,
  );
  try {
    const report = await run(source.url(), target.url(), only(name));
    // a database that contains only provider objects is empty
    equal(find(report, "target-empty").status, "pass");
    // since 17 a superuser's sessions fire none
    equal(find(report, "event-triggers").status, target.major >= 17 ? "pass" : "warn");
    await role(target, "ordinary", "LOGIN CREATEDB");
    const ordinary = await run(source.url(), target.url({ user: "ordinary" }), only(name));
    equal(find(ordinary, "event-triggers").status, "warn");
    ok(find(ordinary, "event-triggers").finding.endsWith("It watches"));
    equal(find(ordinary, "own-event-triggers").status, "warn");
  } finally {
    await drop(source, name);
    await drop(target, name);
    await exec(target.url(), "DROP ROLE ordinary");
    await exec(target.url(), "DROP ROLE dashboard_user");
  }
});
