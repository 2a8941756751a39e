/** What a database's users can put in the way of a cutover, and what it does with their rights. */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { executeCleanup } from "../../lib/commands/cleanup/cleanup.ts";
import { executeFinish } from "../../lib/commands/cutover/finish.ts";
import { executeCutoverStatus } from "../../lib/commands/cutover/status.ts";
import { executeStatus } from "../../lib/commands/status/status.ts";
import { acknowledgedSchema } from "../support/acknowledged_load.ts";
import { sharedCluster } from "../support/clusters.ts";
import {
  type CutoverPair,
  prepareCutover,
  quietRun,
  switchCutover,
  withCutoverPair,
} from "../support/cutover_pair.ts";
import { createDatabase, dropDatabase, withDatabase } from "../support/databases.ts";
import { endpointOf, runInit } from "../support/init.ts";
import { compareRows, drain } from "../support/replicated.ts";
import { until } from "../support/replication.ts";
import { exec, query, withSession } from "../support/sql.ts";
import { runSync, syncSettings } from "../support/sync.ts";
import { accepts } from "./open_probe.ts";
import { startTestCluster } from "../support/test_cluster.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);

const trap = `
  CREATE FUNCTION public.trap() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO public.sprung VALUES (TG_NAME, current_user); RETURN NULL; END$$;
  CREATE FUNCTION public.trap_row() RETURNS boolean LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO public.sprung VALUES ('view', current_user); RETURN true; END$$;`;

/** Schemas with the tool's name. Each runs code when it is read or written. */
const forged: readonly (readonly [string, string, RegExp])[] = [
  ["another role's schema", "", /belongs to role/],
  [
    "a view",
    `CREATE VIEW seren_cutover.side AS SELECT public.trap_row() AS only_row;
     ALTER VIEW seren_cutover.side OWNER TO postgres; ALTER SCHEMA seren_cutover OWNER TO postgres`,
    /not an ordinary table/,
  ],
  [
    "a table with a trigger",
    `CREATE TABLE seren_cutover.side (only_row boolean PRIMARY KEY, id uuid, is_open boolean,
       generation int, changed_at timestamptz, details jsonb);
     CREATE TRIGGER trap AFTER INSERT OR UPDATE ON seren_cutover.side
       FOR EACH STATEMENT EXECUTE FUNCTION public.trap();
     ALTER TABLE seren_cutover.side OWNER TO postgres; ALTER SCHEMA seren_cutover OWNER TO postgres`,
    /has the trigger trap/,
  ],
  [
    "a function",
    `CREATE FUNCTION seren_cutover.refuse_write() RETURNS trigger LANGUAGE plpgsql AS
       $$BEGIN RETURN NULL; END$$;
     ALTER FUNCTION seren_cutover.refuse_write() OWNER TO visitor;
     ALTER SCHEMA seren_cutover OWNER TO postgres`,
    /refuse_write.* belongs to role visitor/,
  ],
];

Deno.test("a schema of the tool's name that another role has filled is refused, and runs nothing", async () => {
  await withCutoverPair({ source, target, schema: ownedByVisitor }, async (pair) => {
    for (const url of [pair.url, pair.targetUrl]) {
      await exec(url, `CREATE TABLE sprung (what text, role text); ${trap}`);
      for (const [what, script, reason] of forged) {
        await exec(
          url,
          `CREATE SCHEMA seren_cutover AUTHORIZATION visitor; SET ROLE postgres; ${script}`,
        );
        const error = await prepareCutover(pair).then(() => undefined, (problem) => problem);
        match(`${what}: ${error} ${error?.details}`, reason);
        strictEqual(error.exitCode, 3);
        await exec(url, "DROP SCHEMA seren_cutover CASCADE");
      }
      deepStrictEqual(await query(url, "SELECT * FROM sprung"), []);
      // what the tool creates is not granted to others by default
      await exec(
        url,
        ["TABLES", "SEQUENCES", "SCHEMAS"].map((kind) =>
          `ALTER DEFAULT PRIVILEGES GRANT ALL ON ${kind} TO visitor, PUBLIC`
        ).join(";"),
      );
    }
    await prepareCutover(pair);
    const write = "SET ROLE visitor; UPDATE seren_cutover.side SET is_open = true";
    for (const url of [pair.url, pair.targetUrl]) {
      await rejects(exec(url, write), /permission denied/);
      await rejects(
        exec(url, "SET ROLE visitor; CREATE TABLE seren_cutover.more ()"),
        /permission denied/,
      );
    }
    await exec(pair.targetUrl, "GRANT UPDATE ON seren_cutover.side TO visitor");
    const revokes = "REVOKE UPDATE ON TABLE seren_cutover.side FROM visitor CASCADE;";
    const refused = await prepareCutover(pair).then(() => undefined, (problem) => problem);
    match(
      `${refused?.details}`,
      /side grants UPDATE to visitor: REVOKE UPDATE ON TABLE seren_cutover\.side FROM visitor/,
    );
    strictEqual(refused.remedy, `run as its owner or as a superuser: ${revokes}`);
    // the source is closed: none of the commands overlooks that
    await exec(pair.targetUrl, revokes);
    await switchCutover("run", pair);
    await exec(pair.url, "BEGIN READ WRITE; GRANT UPDATE ON seren_cutover.side TO visitor; COMMIT");
    const status = await executeStatus(
      { ...pair.servers, sampleMs: 100, now: () => new Date() },
      quietRun,
    );
    const [finding] = status.findings.filter(({ id }) => id === "schema-hidden");
    deepStrictEqual([finding?.side, finding?.severity, finding?.remedy], [
      "source",
      "problem",
      refused.remedy,
    ]);
    match(finding!.message, /other roles may write .*: its record of the cutover is not read/);
    strictEqual(status.databases[0]?.cutover?.phase, "switched");
    for (
      const command of [
        () => executeCutoverStatus(pair.servers, quietRun),
        () =>
          executeCleanup({
            ...pair.servers,
            databases: { include: [pair.name], exclude: [] },
            checkpoints: undefined,
            confirm: () => Promise.reject(new Error("cleanup has a plan")),
          }, quietRun),
        () => switchCutover("rollback", pair),
        () => runSync(pair.url, pair.targetUrl, { include: [pair.name] }),
      ]
    ) {
      await rejects(command(), { remedy: refused.remedy, exitCode: 3 });
    }
    await exec(pair.url, `BEGIN READ WRITE; ${revokes} COMMIT`);
    await switchCutover("rollback", pair);
  });
});

Deno.test("a switch is refused while another subscription writes into the side that it closes", async () => {
  const table = `CREATE TABLE balance (id int PRIMARY KEY, amount int);
    CREATE TABLE late (id int PRIMARY KEY);`;
  await using feeder = await createDatabase(
    target,
    `${table} CREATE PUBLICATION feed FOR TABLE late`,
  );
  const schema = `CREATE TABLE balance (id int PRIMARY KEY, amount int);
    CREATE TABLE aside (id int PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE part PARTITION OF aside DEFAULT;`;
  await withCutoverPair({ source, target, schema }, async (pair) => {
    await prepareCutover(pair);
    // of which the cutover knows only the parent
    await exec(pair.url, "CREATE TABLE late PARTITION OF aside FOR VALUES FROM (1) TO (2)");
    const subscription = `feed_${pair.name}`;
    await exec(
      pair.url,
      `CREATE SUBSCRIPTION ${subscription} CONNECTION '${feeder.url}' PUBLICATION feed WITH (copy_data = false)`,
    );
    const refused = await switchCutover("run", pair).then(() => undefined, (problem) => problem);
    match(`${refused?.details}`, new RegExp(`the subscription ${subscription} writes into`));
    strictEqual(refused.exitCode, 3);
    strictEqual(await accepts(pair.url, "INSERT INTO balance VALUES (-1, 0)"), true);
    await exec(pair.url, `ALTER SUBSCRIPTION ${subscription} DISABLE`);
    await exec(pair.url, "DROP TABLE late");
    await switchCutover("run", pair);
    await switchCutover("rollback", pair);
    await exec(pair.url, `ALTER SUBSCRIPTION ${subscription} SET (slot_name = NONE)`);
    await exec(pair.url, `DROP SUBSCRIPTION ${subscription}`);
    await until(
      feeder.url,
      `SELECT bool_and(NOT active) AS ok FROM pg_replication_slots WHERE slot_name = '${subscription}'`,
    );
    await exec(feeder.url, `SELECT pg_drop_replication_slot('${subscription}')`);
  });
});

const ownedByVisitor = `
  DO $$ BEGIN CREATE ROLE visitor; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
  CREATE TABLE balance (id int PRIMARY KEY, amount int);`;

const long = "ü".repeat(31) + "x"; // 63 bytes
const names: readonly string[] = [
  `"we""ird %s 'q' \\"."t%I""x'é \\"`,
  `"we""ird %s 'q' \\"."${long}"`,
  `"%L"."%1$s"`,
  `"%L"."seren_fence"`,
  `"%L"."select"`,
];

const oddSchema = `
  CREATE SCHEMA "we""ird %s 'q' \\"; CREATE SCHEMA "%L";
  ${names.map((name) => `CREATE TABLE ${name} ("id %" int PRIMARY KEY, "v'" text)`).join(";\n")};
  CREATE SEQUENCE "%L"."s%s'""\\" INCREMENT -2;
  CREATE TABLE balance (id int PRIMARY KEY, amount int);`;

Deno.test("names with quotes, percent signs, backslashes and 63 bytes are closed, named and opened", async () => {
  await withCutoverPair({ source, target, schema: oddSchema }, async (pair) => {
    await prepareCutover(pair);
    for (const direction of ["run", "rollback", "run"] as const) {
      const [open, closed] = direction === "run"
        ? [pair.targetUrl, pair.url]
        : [pair.url, pair.targetUrl];
      await switchCutover(direction, pair);
      for (const name of names) {
        const writing = (key: string) =>
          `BEGIN READ WRITE; INSERT INTO ${name} VALUES (${key}, 'x'); COMMIT`;
        await exec(open, writing(`(SELECT count(*) FROM ${name})`));
        const [, schema, table] = /^("(?:[^"]|"")*")\.("(?:[^"]|"")*")$/.exec(name)!;
        await rejects(exec(closed, writing("-1")), (error: Error) => {
          const plain = (quoted: string) => /^"[a-z_]+"$/.test(quoted) && quoted !== '"select"';
          const shown = [schema!, table!].map((part) => plain(part) ? part.slice(1, -1) : part);
          ok(error.message.includes(`cannot write to ${shown.join(".")}: this`), error.message);
          return true;
        });
        await rejects(
          exec(closed, `BEGIN READ WRITE; TRUNCATE ${name}; COMMIT`),
          /closed by a cutover/,
        );
      }
    }
    await drain(pair.targetUrl);
    strictEqual(await compareRows(pair.url, pair.targetUrl), names.length * 3);
  });
});

/** Event triggers that write, and that fail, for every kind of command; one fires in replicas. */
const eventTriggers = `
  CREATE UNLOGGED TABLE sprung (what text, role text);
  CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql SECURITY INVOKER AS
    $$BEGIN INSERT INTO public.sprung VALUES (TG_EVENT || ' ' || TG_TAG, current_user); END$$;
  CREATE FUNCTION fail() RETURNS event_trigger LANGUAGE plpgsql AS
    $$BEGIN RAISE EXCEPTION 'no % here', TG_TAG; END$$;
  CREATE EVENT TRIGGER note_start ON ddl_command_start EXECUTE FUNCTION note();
  CREATE EVENT TRIGGER note_end ON ddl_command_end EXECUTE FUNCTION note();
  CREATE EVENT TRIGGER note_drop ON sql_drop EXECUTE FUNCTION note();
  CREATE EVENT TRIGGER fail_start ON ddl_command_start EXECUTE FUNCTION fail();`;

async function finish({ servers }: CutoverPair, openOldSide: boolean): Promise<void> {
  await executeFinish(
    { ...servers, openOldSide, confirm: () => Promise.resolve(true) },
    quietRun,
  );
}

Deno.test("event triggers of the users neither fire nor stop any part of a cutover", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    const sides = [pair.url, pair.targetUrl];
    for (const url of sides) await exec(url, eventTriggers);
    await prepareCutover(pair);
    for (const direction of ["run", "rollback", "run"] as const) {
      await switchCutover(direction, pair);
    }
    await finish(pair, true);
    for (const url of sides) {
      deepStrictEqual(await query(url, "SELECT * FROM sprung"), []);
      await exec(url, noEventTriggers);
    }
  });
});

Deno.test("event triggers that also fire in replicas are announced; one that fails abandons the switch, and nothing has changed", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await exec(pair.url, eventTriggers);
    await prepareCutover(pair);
    await exec(pair.url, "ALTER EVENT TRIGGER fail_start ENABLE ALWAYS");
    await rejects(switchCutover("run", pair), /no ALTER TABLE here/);
    strictEqual(await accepts(pair.url, "INSERT INTO balance VALUES (-1, 0)"), true);
    strictEqual(await accepts(pair.targetUrl, "INSERT INTO balance VALUES (-1, 0)"), false);
    await exec(pair.url, "ALTER EVENT TRIGGER fail_start DISABLE");
    await exec(pair.url, "ALTER EVENT TRIGGER note_end ENABLE ALWAYS");
    const report = await switchCutover("run", pair);
    match(
      report!.warnings.join("\n"),
      /event triggers fire for ALTER TABLE while writers wait: note_end/,
    );
    strictEqual(await accepts(pair.url, "INSERT INTO balance VALUES (-1, 0)"), false);
    strictEqual(await accepts(pair.targetUrl, "INSERT INTO balance VALUES (-1, 0)"), true);
    await exec(pair.url, noEventTriggers);
  });
});

const noEventTriggers = `BEGIN READ WRITE; DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT evtname FROM pg_event_trigger LOOP
      EXECUTE format('DROP EVENT TRIGGER %I', name);
    END LOOP;
  END $$; COMMIT`;

Deno.test("statement triggers of the users fire for their writes only", async () => {
  await withCutoverPair({
    source,
    target,
    schema: `${acknowledgedSchema}
      CREATE TABLE sprung (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text, role text);
      CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN INSERT INTO public.sprung (what, role) VALUES (TG_NAME, current_user); RETURN NULL; END$$;
      CREATE TRIGGER a_first BEFORE INSERT OR UPDATE OR DELETE ON balance EXECUTE FUNCTION trap();
      CREATE TRIGGER z_last AFTER INSERT OR UPDATE OR DELETE ON balance EXECUTE FUNCTION trap();
      ALTER TABLE balance ENABLE ALWAYS TRIGGER a_first;`,
  }, async (pair) => {
    await prepareCutover(pair);
    const sprung = async (url: string) =>
      (await query<{ n: number }>(url, "SELECT count(*)::int AS n FROM sprung"))[0]!.n;
    strictEqual(await sprung(pair.url), 0);
    await switchCutover("run", pair);
    await exec(pair.targetUrl, "INSERT INTO balance VALUES (77, 0)");
    await rejects(
      exec(pair.url, "BEGIN READ WRITE; INSERT INTO balance VALUES (78, 0); COMMIT"),
      /closed by a cutover/,
    );
    await switchCutover("rollback", pair);
    for (const url of [pair.url, pair.targetUrl]) strictEqual(await sprung(url), 2);
  });
});

Deno.test("a switch is refused to a server that would stay read-only, and with a fence that is not this version's", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    const refusal = async (direction: "run" | "rollback") => {
      const error = await switchCutover(direction, pair).then(
        () => undefined,
        (problem) => problem,
      );
      strictEqual(error?.exitCode, 3, String(error));
      return error.details.join("\n");
    };
    const [body] = await query<{ body: string }>(
      pair.url,
      "SELECT prosrc AS body FROM pg_proc WHERE oid = to_regproc('seren_cutover.refuse_write')::oid",
    );
    const replace = (text: string) =>
      `SET default_transaction_read_only = off; COMMIT;
       CREATE OR REPLACE FUNCTION seren_cutover.refuse_write() RETURNS trigger LANGUAGE plpgsql
         SET search_path = '' AS $body$${text}$body$`;
    await exec(pair.url, replace("BEGIN RETURN NULL; END"));
    const everywhere = async (statement: string, isOn: boolean) => {
      await withSession(target.url(), async (session) => {
        await session.unsafe("SET default_transaction_read_only = off");
        await session.unsafe(statement);
        await session.unsafe("RESET default_transaction_read_only; SELECT pg_reload_conf()")
          .simple();
      });
      if (statement.startsWith("ALTER ROLE")) return; // concerns new sessions only
      await until(
        target.url(),
        `SELECT ${isOn ? "" : "NOT "}current_setting('default_transaction_read_only')::bool AS ok`,
      );
    };
    for (const who of ["SYSTEM", "ROLE ALL"]) {
      await everywhere(`ALTER ${who} SET default_transaction_read_only = on`, true);
      const refused = await refusal("run");
      match(refused, /target: new sessions of the server are read-only by default, also once/);
      match(refused, /source: the function of the fence was created by another version/);
      await everywhere(`ALTER ${who} RESET default_transaction_read_only`, false);
    }
    await prepareCutover(pair);
    // a default of the database itself does not stay
    await exec(
      pair.targetUrl,
      `ALTER DATABASE ${pair.name} SET default_transaction_read_only = on`,
    );
    deepStrictEqual((await switchCutover("run", pair))!.warnings, []);
    await exec(pair.targetUrl, "INSERT INTO balance VALUES (77, 0)");
    await exec(pair.targetUrl, replace(body!.body.replace("BEGIN", "BEGIN  ")));
    const report = await switchCutover("rollback", pair);
    match(report!.warnings.join("\n"), /function of the fence was created by another version/);
    await rejects(exec(pair.targetUrl, "INSERT INTO balance VALUES (78, 0)"), /read-only/);
  });
});

Deno.test("a role that owns the database, without superuser, prepares, switches, goes back and finishes", async () => {
  await using from = await startTestCluster({ major: 16, password: "secret" });
  await using to = await startTestCluster({ major: 18, password: "secret" });
  const name = "owned";
  const role = { user: "mover", password: "moving" };
  for (const cluster of [from, to]) {
    await exec(
      cluster.url(),
      `CREATE ROLE mover LOGIN REPLICATION CREATEDB PASSWORD 'moving';
       GRANT pg_create_subscription TO mover;
       GRANT pg_signal_backend TO mover`,
    );
  }
  await exec(from.url(role), `CREATE DATABASE ${name} TEMPLATE template0`);
  const url = from.url({ ...role, database: name });
  const targetUrl = to.url({ ...role, database: name });
  await exec(url, acknowledgedSchema);
  await runInit(url, targetUrl, { include: [name], sync: syncSettings });
  const pair: CutoverPair = {
    name,
    url,
    targetUrl,
    servers: {
      source: await endpointOf(url, "source"),
      target: await endpointOf(targetUrl, "target"),
      databases: { include: [name], exclude: [], map: {} },
    },
  };
  const sides = [from.url({ database: name }), to.url({ database: name })];
  const refusal = async (work: Promise<unknown>) => {
    const error = await work.then(() => undefined, (problem) => problem);
    strictEqual(error?.exitCode, 3, String(error));
    return error.details.join("\n");
  };
  // rows and values that the role cannot see, and a default that it may not change
  await exec(
    sides[0]!,
    `ALTER TABLE ack ENABLE ROW LEVEL SECURITY; ALTER TABLE ack FORCE ROW LEVEL SECURITY;
     CREATE POLICY own ON ack USING (writer > 0);
     CREATE SEQUENCE other_value; SELECT setval('other_value', 4711)`,
  );
  await exec(
    sides[1]!,
    `CREATE SEQUENCE other_value; ALTER DATABASE ${name} SET default_transaction_read_only = on`,
  );
  const hidden = await refusal(prepareCutover(pair));
  match(hidden, /source: row-level security applies .*: ack\n/);
  match(hidden, /source: the role may not read and set 1 sequence: other_value\n/);
  match(hidden, /target: the role may not read and set 1 sequence: other_value\n/);
  await exec(sides[0]!, "ALTER TABLE ack DISABLE ROW LEVEL SECURITY; DROP SEQUENCE other_value");
  await exec(sides[1]!, "BEGIN READ WRITE; DROP SEQUENCE other_value; COMMIT");
  await prepareCutover(pair);
  await exec(to.url(), `ALTER DATABASE ${name} OWNER TO postgres`);
  match(
    await refusal(switchCutover("run", pair)),
    /read-only by default, and the role may not change this default\n.*ALTER DATABASE "owned" RESET/,
  );
  await exec(to.url(), `ALTER DATABASE ${name} OWNER TO mover`);
  const write = "INSERT INTO balance VALUES (-1, 0)";
  for (const direction of ["run", "rollback", "run"] as const) {
    await switchCutover(direction, pair);
    strictEqual(await accepts(sides[0]!, write), direction === "rollback");
    strictEqual(await accepts(sides[1]!, write), direction === "run");
    const open = direction === "run" ? targetUrl : url;
    await exec(open, "INSERT INTO ack (writer, n) SELECT 50, 1 + count(*) FROM ack");
  }
  await drain(sides[1]!);
  strictEqual((await query(url, "SELECT FROM ack")).length, 3);
  await finish(pair, true);
  for (const side of sides) strictEqual(await accepts(side, write), true);
  deepStrictEqual(
    await query(sides[0]!, "SELECT rolsuper FROM pg_roles WHERE rolname = 'mover'"),
    [{ rolsuper: false }],
  );
});

Deno.test("the same for a stream whose changes the tool applies", async () => {
  const table = "CREATE TABLE balance (id int PRIMARY KEY, amount int)";
  await withDatabase(target, undefined, async ({ name, url }) => {
    await exec(url, table);
    const stop = new AbortController();
    let syncing: Promise<unknown> = Promise.resolve();
    const [middle, end] = [source.url({ database: name }), `${name}_end`];
    try {
      await runInit(url, middle, { include: [name], sync: { ...syncSettings, applyFrom: "here" } });
      const map = { [name]: end };
      await runInit(middle, target.url(), { include: [name], map, sync: syncSettings });
      const pair: CutoverPair = {
        name,
        url: middle,
        targetUrl: target.url({ database: end }),
        servers: {
          source: await endpointOf(middle, "source"),
          target: await endpointOf(target.url({ database: end }), "target"),
          databases: { include: [name], exclude: [], map },
        },
      };
      await prepareCutover(pair);
      syncing = runSync(url, middle, { include: [name], signal: stop.signal });
      syncing.catch(() => {});
      await until(
        url,
        `SELECT count(*) > 0 AS ok FROM pg_replication_slots WHERE active AND database = '${name}'`,
      );
      const refused = await switchCutover("run", pair).then(() => undefined, (problem) => problem);
      match(`${refused?.details}`, /seren_\w+ writes into replicated tables/);
    } finally {
      stop.abort();
      await syncing.catch(() => {});
      await dropDatabase(target, end);
      await dropDatabase(source, name);
    }
  });
});
