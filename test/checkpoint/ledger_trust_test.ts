/**
 * A ledger that another role has created in the target is neither read nor written: its code would
 * run as the tool's role.
 */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import {
  Ledger,
  readKnownLedgerRun,
  readLedgerRun,
  refuseForeignLedger,
  workLock,
} from "../../lib/checkpoint/internal.ts";
import { createLedgerStatements } from "../../lib/checkpoint/ledger_sql.ts";
import { executeCleanup } from "../../lib/commands/cleanup/cleanup.ts";
import { ignoreEvents, ReplicatorError } from "../../lib/core/internal.ts";
import { ConnectionError, openSession } from "../../lib/postgres/internal.ts";
import {
  applySchemaStatements,
  refuseForeignApplySchema,
} from "../../lib/replication/client/apply_schema.ts";
import { sharedCluster } from "../support/clusters.ts";
import { dropDatabase, withDatabase } from "../support/databases.ts";
import { endpointOf, runInit } from "../support/init.ts";
import { until } from "../support/replication.ts";
import { exec, query, withSession } from "../support/sql.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);

const roles = `
  DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mallory') THEN CREATE ROLE mallory LOGIN; END IF;
  END $$;`;

/** Creates a superuser when a superuser calls it. */
const boom = `
  CREATE SCHEMA m;
  CREATE FUNCTION m.boom() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
    IF current_setting('is_superuser') = 'on' THEN CREATE ROLE pwned_by_ledger SUPERUSER; END IF;
    RETURN true;
  END $$;
  CREATE FUNCTION m.fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM m.boom(); RETURN NEW; END $$;`;

const asOurs =
  `COMMENT ON SCHEMA seren_ledger IS 'postgres-seren-replicator: what an unfinished copy has done; removed when it is finished';`;

/** Hostile ledgers created by mallory, who owns the database. */
const ofMallory: Readonly<Record<string, string>> = {
  "an empty schema": "CREATE SCHEMA seren_ledger;",
  "a perfect copy": createLedgerStatements,
  "a view in place of the table":
    `CREATE SCHEMA seren_ledger; ${asOurs} CREATE VIEW seren_ledger.run AS
     SELECT true AS only_row, 1 AS format, 'x' AS holder, '{}' AS document, now() AS started_at, m.boom() AS complete;`,
  "a trigger": `${createLedgerStatements}
     CREATE TRIGGER t BEFORE INSERT OR UPDATE ON seren_ledger.run FOR EACH ROW EXECUTE FUNCTION m.fire();`,
};

/** Hostile changes to a ledger of a superuser, as from a restored dump. */
const ofSuperuser: Readonly<Record<string, readonly [sql: string, reason: RegExp]>> = {
  "a view in place of a table": [
    "DROP TABLE seren_ledger.structure; CREATE VIEW seren_ledger.structure AS SELECT 'a' AS digest, 'b' AS object WHERE m.boom()",
    /seren_ledger\.structure is not an ordinary table/,
  ],
  "a table of another owner": [
    "ALTER TABLE seren_ledger.part_done OWNER TO mallory",
    /seren_ledger\.part_done belongs to role mallory/,
  ],
  "a trigger": [
    "CREATE TRIGGER t AFTER INSERT ON seren_ledger.part_done FOR EACH ROW EXECUTE FUNCTION m.fire()",
    /seren_ledger\.part_done has the trigger t/,
  ],
  "a rule": [
    "CREATE RULE r AS ON INSERT TO seren_ledger.statement_done DO ALSO SELECT m.boom()",
    /seren_ledger\.statement_done has the rule r/,
  ],
  "row-level security": [
    "ALTER TABLE seren_ledger.run ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON seren_ledger.run USING (m.boom())",
    /seren_ledger\.run has row-level security/,
  ],
  "a column whose domain has a check": [
    `CREATE DOMAIN m.d AS text CHECK (m.boom());
     DROP TABLE seren_ledger.structure; CREATE TABLE seren_ledger.structure (digest text PRIMARY KEY, object m.d NOT NULL)`,
    /seren_ledger\.structure has column object of a type that is not built in/,
  ],
  "a default": [
    "ALTER TABLE seren_ledger.run ADD COLUMN more boolean DEFAULT m.boom()",
    /seren_ledger\.run has the expression m\.boom\(\) in column more/,
  ],
  "a check": [
    "ALTER TABLE seren_ledger.run ADD CONSTRAINT c CHECK (m.boom()) NOT VALID",
    /seren_ledger\.run has the constraint c/,
  ],
  "an index over an expression": [
    `CREATE FUNCTION m.im(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1; END $$;
     CREATE INDEX i ON seren_ledger.structure (m.im(object))`,
    /seren_ledger\.structure has the index i/,
  ],
  "a child table": [
    "CREATE TABLE m.child () INHERITS (seren_ledger.part_done)",
    /seren_ledger\.part_done is not an ordinary table/,
  ],
  "an unlogged table": [
    "ALTER TABLE seren_ledger.part_done SET UNLOGGED",
    /seren_ledger\.part_done is not an ordinary table/,
  ],
  "a role that may write": [
    "GRANT INSERT, SELECT ON seren_ledger.run TO mallory",
    /seren_ledger\.run grants INSERT to mallory: REVOKE INSERT ON TABLE seren_ledger\.run FROM mallory/,
  ],
  "a role that may write a column": [
    "GRANT UPDATE (document) ON seren_ledger.set_aside TO PUBLIC",
    /seren_ledger\.set_aside grants UPDATE to PUBLIC: REVOKE UPDATE ON TABLE/,
  ],
  "a role that may create objects": [
    "GRANT CREATE ON SCHEMA seren_ledger TO mallory",
    /schema seren_ledger grants CREATE to mallory: REVOKE CREATE ON SCHEMA seren_ledger FROM mallory/,
  ],
  "a sequence": [
    "CREATE SEQUENCE seren_ledger.s",
    /seren_ledger\.s is not an ordinary table/,
  ],
};

async function nothingHappened(): Promise<void> {
  deepStrictEqual(
    await query(target.url(), "SELECT rolname FROM pg_roles WHERE rolname ~ '^pwned'"),
    [],
  );
}

function refused(reason: RegExp) {
  return (error: unknown) => {
    ok(error instanceof ReplicatorError, String(error));
    strictEqual(error.exitCode, 3);
    strictEqual(error.side, "target");
    match(error.details.join("\n") + error.message, reason);
    // only privileges are wrong: to drop it would lose what it records
    const isGrant = reason.source.includes("REVOKE");
    match(
      error.remedy ?? "",
      isGrant
        ? /^run as its owner or .*: REVOKE .* CASCADE;$/
        : /DROP SCHEMA seren_ledger|--no-resume/,
    );
    return true;
  };
}

for (const [what, sql] of Object.entries(ofMallory)) {
  Deno.test(`init refuses ${what} created by the database's owner in place of a ledger`, async () => {
    await exec(target.url(), roles);
    await withDatabase(source, undefined, async ({ name, url }) => {
      await exec(url, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
      await exec(target.url(), `CREATE DATABASE "${name}" TEMPLATE template0 OWNER mallory`);
      try {
        await exec(target.url({ database: name, user: "mallory" }), boom + sql);
        const init = runInit(url, target.url(), {
          include: [name],
          sessionRetryDelaysMs: [],
          databaseRetryDelaysMs: [],
        });
        await rejects(init, refused(/schema seren_ledger belongs to role "mallory"/));
        await nothingHappened();
        const endpoint = await endpointOf(target.url({ database: name }), "target");
        const cleaned = await executeCleanup({
          source: await endpointOf(url, "source"),
          target: endpoint,
          databases: { include: [name], exclude: [] },
          checkpoints: undefined,
          confirm: () => Promise.resolve(true),
        }, { events: () => {}, signal: new AbortController().signal });
        deepStrictEqual(cleaned.kind === "removed" ? cleaned.report.failed : cleaned, []);
        await nothingHappened();
        // the database is dropped and copied
        const { report } = await runInit(url, target.url(), {
          include: [name],
          resume: false,
          dropExisting: true,
        });
        strictEqual(report.rows, 1);
        await nothingHappened();
      } finally {
        await dropDatabase(target, name);
      }
    });
  });
}

Deno.test("a ledger with objects that could run code or hide rows is refused", async (t) => {
  await exec(target.url(), roles);
  for (const [what, [sql, reason]] of Object.entries(ofSuperuser)) {
    await t.step(what, async () => {
      await withDatabase(target, undefined, async ({ url }) => {
        await exec(
          url,
          `${boom}; GRANT CREATE, USAGE ON SCHEMA m TO mallory; ${createLedgerStatements}`,
        );
        await using session = await openSession(await endpointOf(url, "target"));
        strictEqual(await refuseForeignLedger(session), true);
        await exec(url, sql);
        await rejects(() => readLedgerRun(session), refused(reason));
        await nothingHappened();
      });
    });
  }
});

Deno.test("a schema with the ledger's name that contains no ledger is refused", async () => {
  await withDatabase(target, undefined, async ({ url }) => {
    await exec(url, "CREATE SCHEMA seren_ledger");
    await using session = await openSession(await endpointOf(url, "target"));
    await rejects(() => readLedgerRun(session), refused(/is not a ledger of this tool/));
  });
});

Deno.test("a superuser's ledger is trusted by every role, an ordinary role's only by itself", async () => {
  await exec(target.url(), roles);
  await exec(target.url(), "CREATE DATABASE ledger_of_mallory OWNER mallory TEMPLATE template0");
  try {
    const url = target.url({ database: "ledger_of_mallory", user: "mallory" });
    await exec(url, createLedgerStatements);
    await using own = await openSession(await endpointOf(url, "target"));
    strictEqual(await readLedgerRun(own), undefined);
    await exec(
      target.url({ database: "ledger_of_mallory" }),
      "ALTER SCHEMA seren_ledger OWNER TO postgres",
    );
    await rejects(
      async () => {
        await using other = await openSession(
          await endpointOf(target.url({ database: "ledger_of_mallory" }), "target"),
        );
        await readLedgerRun(other);
      },
      refused(/seren_ledger\.run belongs to role mallory/),
    );
  } finally {
    await dropDatabase(target, "ledger_of_mallory");
  }
});

Deno.test("another session that holds the run lock is reported with pid, role and remedy", async () => {
  await exec(target.url(), roles);
  await withDatabase(target, undefined, async ({ url, urlFor }) => {
    await withSession(urlFor({ user: "mallory" }), async (stranger) => {
      const [row] = await stranger.unsafe<{ pid: number }[]>(
        "SELECT pg_backend_pid() AS pid, pg_advisory_lock(1397051982, 1)",
      );
      const opening = Ledger.open(await endpointOf(url, "target"), {
        signal: new AbortController().signal,
        expects: undefined,
        events: ignoreEvents,
        earlier: undefined,
        run: {} as never,
      });
      await rejects(opening, (error) => {
        ok(error instanceof ReplicatorError, String(error));
        strictEqual(error.exitCode, 3);
        match(error.message, new RegExp(`session ${row?.pid} of role mallory`));
        match(error.remedy ?? "", new RegExp(`pg_terminate_backend\\(${row?.pid}\\)`));
        return true;
      });
    });
  });
});

Deno.test("another session that holds the work lock is reported instead of waited for", async () => {
  await exec(target.url(), roles);
  await withDatabase(target, undefined, async ({ url, urlFor }) => {
    await withSession(urlFor({ user: "mallory" }), async (stranger) => {
      const [row] = await stranger.unsafe<{ pid: number }[]>(
        `SELECT pg_backend_pid() AS pid, pg_advisory_lock(${workLock.join(", ")})`,
      );
      const endpoint = { ...await endpointOf(url, "target"), sharedLock: workLock };
      await rejects(openSession(endpoint), (error) => {
        ok(error instanceof ReplicatorError, String(error));
        strictEqual(error.exitCode, 3);
        match(error.message, new RegExp(`^session ${row?.pid} of role mallory`));
        match(error.remedy ?? "", new RegExp(`pg_terminate_backend\\(${row?.pid}\\)`));
        return true;
      });
    });
    const endpoint = { ...await endpointOf(url, "target"), sharedLock: workLock };
    await using session = await openSession(endpoint);
    deepStrictEqual(await session.query("SELECT current_setting('lock_timeout') AS t"), [{
      t: "0",
    }]);
  });
});

Deno.test("readKnownLedgerRun() ignores an unreadable ledger, but not a lost connection", async () => {
  await withDatabase(target, undefined, async (database) => {
    const endpoint = await endpointOf(database.url, "target");
    await using session = await openSession(endpoint);
    strictEqual(await readKnownLedgerRun(session), undefined);
    for (
      const [script, reason] of [
        ["CREATE SCHEMA seren_ledger", /has no table run/],
        ["CREATE TABLE seren_ledger.run (moment date)", /its table run has different columns/],
        [
          `DROP SCHEMA seren_ledger CASCADE; ${createLedgerStatements};
           INSERT INTO seren_ledger.run (format, holder, document) VALUES (0, 'x', '{}')`,
          /an older version/,
        ],
      ] as const
    ) {
      await exec(database.url, script);
      await rejects(readLedgerRun(session), reason);
      strictEqual(await readKnownLedgerRun(session), undefined);
    }
    await withSession(database.url, async (other) => {
      await other.unsafe("BEGIN; LOCK TABLE seren_ledger.run").simple();
      const reading = readKnownLedgerRun(session);
      reading.catch(() => {});
      const waits = `pid = ${session.processId} AND wait_event_type = 'Lock'`;
      await until(
        database.url,
        `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE ${waits}) AS ok`,
      );
      await query(database.url, "SELECT pg_terminate_backend($1)", [session.processId]);
      await rejects(reading, ConnectionError);
    });
  });
});

Deno.test("a ledger that the role may not read is reported", async () => {
  await exec(target.url(), roles);
  await withDatabase(target, undefined, async (database) => {
    await exec(database.url, `${createLedgerStatements}`);
    await using session = await openSession(
      await endpointOf(database.urlFor({ user: "mallory" }), "target"),
    );
    await rejects(readLedgerRun(session), /is not readable by this role/);
    strictEqual(await readKnownLedgerRun(session), undefined);
  });
});

Deno.test("records of applied streams that other roles may write are refused with the REVOKE, not with DROP SCHEMA", async () => {
  await exec(target.url(), roles);
  await withDatabase(target, undefined, async ({ url }) => {
    await exec(
      url,
      `BEGIN; ${applySchemaStatements.join(";")};
       GRANT INSERT ON seren_apply.stream TO mallory; COMMIT`,
    );
    await using session = await openSession(await endpointOf(url, "target"));
    await rejects(() => refuseForeignApplySchema(session), {
      message: /other roles may write in the schema seren_apply/,
      remedy:
        "run as its owner or as a superuser: REVOKE INSERT ON TABLE seren_apply.stream FROM mallory CASCADE;",
    });
  });
});
