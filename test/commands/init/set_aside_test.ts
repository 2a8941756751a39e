/**
 * Objects that the target rejects are set aside: everything else is copied, and a rerun creates
 * them.
 */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { FileCheckpointStore } from "../../../lib/checkpoint/internal.ts";
import { setAsideObjects } from "../../../lib/commands/shared/init_report.ts";
import { statusLines } from "../../../lib/cli/print/status_lines.ts";
import { verifyLines } from "../../../lib/cli/print/verify_lines.ts";
import { InterruptedError, ReplicatorError } from "../../../lib/core/internal.ts";
import { withCase } from "../../support/case.ts";
import { cliCommand, denoEnvironment } from "../../support/cli.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { dropDatabase } from "../../support/databases.ts";
import { type InitOutcome, type InitTestOptions, runInit } from "../../support/init.ts";
import { withRepeats } from "../../support/long.ts";
import { exec, query } from "../../support/sql.ts";
import { runVerify } from "../../support/verify.ts";

const source = await sharedCluster(12);
const target = await sharedCluster(18);
/** Supports everything that a subscription needs. */
const recent = await sharedCluster(15, { programs: "embedded" });

interface Place {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly copy: (options?: InitTestOptions) => Promise<InitOutcome>;
}

let count = 0;

async function withCopy(sql: string, use: (place: Place) => Promise<void>): Promise<void> {
  const name = `set aside ${++count}`;
  const folder = await Deno.makeTempDir({ prefix: "psr-aside-" });
  await exec(source.url(), `CREATE DATABASE "${name}" TEMPLATE template0`);
  try {
    await exec(source.url({ database: name }), sql);
    await use({
      name,
      from: source.url({ database: name }),
      to: target.url({ database: name }),
      copy: (options = {}) =>
        runInit(source.url({ database: name }), target.url(), {
          include: [name],
          checkpoint: (operation) => new FileCheckpointStore(operation, folder),
          ...options,
        }),
    });
  } finally {
    await dropDatabase(source, name);
    await dropDatabase(target, name);
    await Deno.remove(folder, { recursive: true }).catch(() => {});
  }
}

function caseFile(name: string): string {
  return Deno.readTextFileSync(new URL(`../../cases/${name}.sql`, import.meta.url)).split(
    "-- STREAM",
  )[0]!;
}

function names({ report }: InitOutcome): readonly string[] {
  return setAsideObjects(report).map(({ object }) => object);
}

Deno.test("[03] a materialized view that cannot be filled does not end the copy", async () => {
  await withCopy(
    caseFile("03-matview-text-query") +
      "CREATE VIEW lib.over_it AS SELECT count(*) FROM public.word_stats; COMMENT ON VIEW lib.over_it IS 'x';",
    async ({ to, copy }) => {
      const first = await copy();
      deepStrictEqual(names(first), ["MATERIALIZED VIEW DATA public.word_stats"]);
      const [object] = setAsideObjects(first.report);
      match(object!.reason, /42P01/);
      match(object!.remedy, /search_path/);
      match(object!.statement, /^REFRESH MATERIALIZED VIEW "?public"?\."?word_stats/);
      deepStrictEqual(await query(to, "SELECT count(*)::int AS n FROM lib.docs"), [{ n: 20 }]);

      deepStrictEqual(names(await copy()), names(first));
    },
  );
});

Deno.test("[25] views, materialized views and functions that need each other are all filled", async () => {
  await withCopy(caseFile("25-matview-view-chain"), async ({ to, copy }) => {
    deepStrictEqual(names(await copy()), []);
    deepStrictEqual(
      await query(
        to,
        `SELECT (SELECT n::int FROM a_first) AS a, (SELECT n::int FROM b_over) AS b,
                (SELECT count(*)::int FROM d_item) AS d,
                (SELECT count(*)::int FROM pg_rewrite WHERE rulename = 'r') AS rules`,
      ),
      [{ a: 20, b: 20, d: 20, rules: 1 }],
    );
    deepStrictEqual(await query(to, "SELECT FROM pg_namespace WHERE nspname = 'seren_ledger'"), []);
  });
});

Deno.test("[87] a materialized view that would violate its unique index is left empty", async () => {
  await withCopy(caseFile("87-matview-refresh-fails"), async ({ from, to, copy }) => {
    const first = await copy();
    deepStrictEqual(names(first), ["MATERIALIZED VIEW DATA public.m"]);
    match(setAsideObjects(first.report)[0]!.remedy, /the source cannot refresh it either/);
    deepStrictEqual(
      await query(
        to,
        "SELECT (SELECT count(*)::int FROM pg_trigger WHERE tgname = 'later_trg') AS triggers, to_regclass('w') IS NOT NULL AS w",
      ),
      [{ triggers: 1, w: true }],
    );
    for (const url of [from, to]) await exec(url, "UPDATE t SET a = id");
    deepStrictEqual(names(await copy()), []);
    deepStrictEqual(await query(to, "SELECT a FROM m ORDER BY a"), [{ a: 1 }, { a: 2 }]);
    deepStrictEqual(await query(to, "SELECT FROM pg_namespace WHERE nspname = 'seren_ledger'"), []);
  });
});

/**
 * The columns no longer exist in 17. Objects that depend on the view are set aside with it; others
 * are unaffected.
 */
const chain = `
  CREATE ROLE aside_reader;
  CREATE TABLE t (id int PRIMARY KEY, a int, b text);
  INSERT INTO t SELECT i, i % 7, 'x' || i FROM generate_series(1, 500) AS i;
  CREATE VIEW a_checkpoints AS SELECT checkpoints_timed AS n FROM pg_stat_bgwriter;
  CREATE VIEW "B over" AS SELECT n + 1 AS n FROM a_checkpoints;
  CREATE VIEW c_over AS SELECT n FROM "B over";
  CREATE MATERIALIZED VIEW d_filled AS SELECT n FROM c_over;
  CREATE UNIQUE INDEX d_index ON d_filled (n);
  COMMENT ON VIEW a_checkpoints IS 'of the server';
  COMMENT ON INDEX d_index IS 'an index';
  GRANT SELECT ON "B over" TO aside_reader;
  ALTER VIEW c_over OWNER TO aside_reader;
  CREATE FUNCTION e_rows() RETURNS SETOF a_checkpoints LANGUAGE sql AS 'SELECT * FROM a_checkpoints';
  CREATE FUNCTION f_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
  CREATE TRIGGER g_trigger INSTEAD OF INSERT ON a_checkpoints FOR EACH ROW EXECUTE FUNCTION f_trigger();
  CREATE TRIGGER h_trigger BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f_trigger();
  CREATE RULE i_rule AS ON INSERT TO a_checkpoints DO INSTEAD NOTHING;
  CREATE VIEW j_good AS SELECT a, count(*) FROM t GROUP BY a;`;

Deno.test("objects that depend on a failed view are set aside with it, and name it as the cause", async () => {
  await exec(source.url(), "DROP ROLE IF EXISTS aside_reader");
  await withCopy(chain, async ({ from, to, copy }) => {
    const first = await copy();
    const objects = setAsideObjects(first.report);
    deepStrictEqual(objects.map(({ object }) => object).sort(), [
      "FUNCTION public.e_rows()",
      "INDEX public.d_index",
      "MATERIALIZED VIEW public.d_filled",
      "RULE public.a_checkpoints i_rule",
      "TRIGGER public.a_checkpoints g_trigger",
      "VIEW public.B over",
      "VIEW public.a_checkpoints",
      "VIEW public.c_over",
    ]);
    for (const { object, cause, reason } of objects) {
      if (object === "VIEW public.a_checkpoints") match(reason, /checkpoints_timed.*42703/);
      else strictEqual(cause, "VIEW public.a_checkpoints", object);
    }
    deepStrictEqual(
      await query(
        to,
        "SELECT count(*)::int AS n, (SELECT count(*)::int FROM j_good) AS good, (SELECT count(*)::int FROM pg_trigger WHERE NOT tgisinternal) AS triggers FROM t",
      ),
      [{ n: 500, good: 7, triggers: 1 }],
    );
    await exec(from, "CREATE OR REPLACE VIEW a_checkpoints AS SELECT 4711::bigint AS n");
    deepStrictEqual(names(await copy()), []);
    deepStrictEqual(
      await query(
        to,
        `SELECT (SELECT n::int FROM d_filled) AS n, obj_description('a_checkpoints'::regclass) AS comment,
                obj_description('d_index'::regclass) AS index,
                has_table_privilege('aside_reader', '"B over"', 'SELECT') AS granted,
                (SELECT relowner::regrole::text FROM pg_class WHERE relname = 'c_over') AS owner,
                (SELECT count(*)::int FROM pg_trigger WHERE NOT tgisinternal) AS triggers,
                (SELECT count(*)::int FROM pg_proc WHERE proname = 'e_rows') AS functions,
                (SELECT count(*)::int FROM pg_rewrite WHERE rulename = 'i_rule') AS rules`,
      ),
      [{
        n: 4712,
        comment: "of the server",
        index: "an index",
        granted: true,
        owner: "aside_reader",
        triggers: 2,
        functions: 1,
        rules: 1,
      }],
    );
    deepStrictEqual(await query(to, "SELECT FROM pg_namespace WHERE nspname = 'seren_ledger'"), []);
  });
});

/**
 * Comparing two codes calls a function by an unqualified name, so indexes and keys of codes cannot
 * be built.
 */
const codes = `
  CREATE TYPE code AS (v text);
  CREATE FUNCTION helper(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
  CREATE FUNCTION code_cmp(code, code) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
    'BEGIN RETURN CASE WHEN helper($1.v) < helper($2.v) THEN -1 WHEN helper($1.v) = helper($2.v) THEN 0 ELSE 1 END; END';
  CREATE FUNCTION code_lt(code, code) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT public.code_cmp($1, $2) < 0';
  CREATE FUNCTION code_le(code, code) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT public.code_cmp($1, $2) <= 0';
  CREATE FUNCTION code_eq(code, code) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT public.code_cmp($1, $2) = 0';
  CREATE FUNCTION code_ge(code, code) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT public.code_cmp($1, $2) >= 0';
  CREATE FUNCTION code_gt(code, code) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT public.code_cmp($1, $2) > 0';
  CREATE OPERATOR < (LEFTARG = code, RIGHTARG = code, FUNCTION = code_lt, COMMUTATOR = >);
  CREATE OPERATOR <= (LEFTARG = code, RIGHTARG = code, FUNCTION = code_le);
  CREATE OPERATOR = (LEFTARG = code, RIGHTARG = code, FUNCTION = code_eq, COMMUTATOR = =);
  CREATE OPERATOR >= (LEFTARG = code, RIGHTARG = code, FUNCTION = code_ge);
  CREATE OPERATOR > (LEFTARG = code, RIGHTARG = code, FUNCTION = code_gt, COMMUTATOR = <);
  CREATE OPERATOR CLASS code_ops DEFAULT FOR TYPE code USING btree AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 code_cmp(code, code);
  CREATE TABLE things (c code, n int, CONSTRAINT "Things Key" PRIMARY KEY (c));
  INSERT INTO things SELECT row('a' || i)::code, i FROM generate_series(1, 20) AS i;
  CREATE TABLE uses (id int PRIMARY KEY, c code CONSTRAINT "uses things" REFERENCES things);
  INSERT INTO uses SELECT i, row('a' || i)::code FROM generate_series(1, 20) AS i;
  COMMENT ON CONSTRAINT "Things Key" ON things IS 'key';
  COMMENT ON CONSTRAINT "uses things" ON uses IS 'foreign';
  CREATE VIEW by_key AS SELECT c, n FROM things GROUP BY c;
  ALTER TABLE things CLUSTER ON "Things Key";
  CREATE INDEX plain ON things (n);`;

Deno.test("keys that cannot be built are set aside with the foreign keys and views on them", async () => {
  await withCopy(codes, async ({ to, copy }) => {
    const objects = setAsideObjects((await copy()).report);
    const key = "CONSTRAINT public.things Things Key";
    deepStrictEqual(objects.map(({ object, cause }) => [object, cause]), [
      [key, undefined],
      ["FK CONSTRAINT public.uses uses things", key],
      ["VIEW public.by_key", key],
    ]);
    match(objects[0]!.reason, /helper.*42883/);
    await exec(to, "ALTER FUNCTION code_cmp(code, code) SET search_path = public");
    deepStrictEqual(names(await copy()), []);
    deepStrictEqual(
      await query(
        to,
        `SELECT con.conname AS name, con.convalidated AS valid, obj_description(con.oid, 'pg_constraint') AS comment,
                (SELECT indisclustered FROM pg_index WHERE indexrelid = con.conindid AND con.contype = 'p') AS clustered
           FROM pg_constraint AS con WHERE con.conrelid IN ('things'::regclass, 'uses'::regclass)
            AND con.contype IN ('p', 'f') ORDER BY con.conname COLLATE "C"`,
      ),
      [
        { name: "Things Key", valid: true, comment: "key", clustered: true },
        { name: "uses things", valid: true, comment: "foreign", clustered: null },
        { name: "uses_pkey", valid: true, comment: null, clustered: false },
      ],
    );
    deepStrictEqual(await query(to, "SELECT count(*)::int AS n FROM by_key"), [{ n: 20 }]);
  });
});

Deno.test("verify reports that each missing object was set aside, and why", async () => {
  await withCopy(codes, async ({ from, to, copy }) => {
    await copy();
    await exec(to, "DROP INDEX plain");
    const report = await runVerify(from, to);
    strictEqual(report.verdict, "different");
    const found = report.databases[0]!.sections.flatMap(({ differences }) => differences);
    deepStrictEqual(
      found.map(({ object, setAside }) => [object, setAside ?? false]).sort(),
      [
        ['foreign key "uses things" of uses', true],
        ["index plain of things", false],
        ['primary key "Things Key" of things', true],
        ["view by_key", true],
      ],
    );
    for (const { message, remedy, setAside } of found) {
      if (!setAside) continue;
      match(message, /; set aside by init: .*SQLSTATE 42/);
      match(remedy!, /run the same command again.*docs\/guides\/set-aside\.md/);
    }
    match(
      verifyLines(report, { columns: Infinity, color: false }).join("\n"),
      /3 differences were set aside by init/,
    );
  });
  await withCopy(caseFile("03-matview-text-query"), async ({ from, to, copy }) => {
    await copy();
    const report = await runVerify(from, to);
    const view = report.databases[0]!.tables.find(({ name }) => name === "word_stats");
    match(view!.reason!, /set aside by init: .*docs\/guides\/set-aside\.md/);
  });
});

Deno.test("a replicated table whose key was set aside causes a warning, and status counts missing objects", async () => {
  const rewrite = () =>
    `${codes.slice(0, codes.indexOf("CREATE TABLE uses"))}
     CREATE TABLE fine (id int PRIMARY KEY);\n-- STREAM\nUPDATE things SET n = n + 1 WHERE n = 3`;
  const servers = { source: recent, target };
  await withCase("03-matview-text-query.sql", { ...servers, rewrite }, async (it) => {
    const { report } = await it.initWithSync();
    const warned = report.warnings.filter(({ object }) => object?.startsWith("table "));
    deepStrictEqual(warned.map(({ object }) => object), ["table things"]);
    match(
      warned[0]!.message,
      /no replica identity on the target.*stops at the first UPDATE or DELETE/,
    );
    match(warned[0]!.remedy!, /same command again.*REPLICA IDENTITY FULL; on the source/);
    const look = await it.status();
    deepStrictEqual(look.databases.map(({ setAside }) => setAside), [[
      "CONSTRAINT public.things Things Key",
    ]]);
    const finding = look.findings.find(({ id }) => id === "objects-set-aside");
    match(finding!.message, /^1 object set aside by init, still to be created: CONSTRAINT/);
    match(
      statusLines(look, { columns: Infinity, color: false }).join("\n"),
      /1 object set aside by init/,
    );
    // the apply worker fails as the warning predicts, and the remedy suffices
    await it.stream();
    strictEqual(await it.drain(), "stuck");
    await it.ask(
      "target",
      "ALTER FUNCTION public.code_cmp(public.code, public.code) SET search_path = public",
    );
    deepStrictEqual(names(await it.initWithSync()), []);
    strictEqual(await it.drain(), "drained");
    deepStrictEqual(
      await it.ask("target", "SELECT count(*)::int AS n FROM public.things WHERE n = 4"),
      [{ n: 2 }],
    );
    const later = await it.status();
    deepStrictEqual(later.databases.map(({ setAside }) => setAside), [[]]);
  });
});

Deno.test("a table that cannot be created ends the run, and the error names the cause", async () => {
  await withCopy(
    `${chain.slice(chain.indexOf("CREATE TABLE"), chain.indexOf("COMMENT ON VIEW"))}
     CREATE TABLE holds (id int, r a_checkpoints);
     INSERT INTO holds VALUES (1);`,
    async ({ copy }) => {
      await rejects(copy(), (error: unknown) => {
        ok(error instanceof ReplicatorError);
        strictEqual(error.object, "VIEW public.a_checkpoints");
        strictEqual(error.exitCode, 8);
        match(error.details.join("\n"), /rows cannot be copied without it: TABLE public\.holds/);
        return true;
      });
    },
  );
});

for (const step of withRepeats(["indexes"], ["finish-schema", "analyze"])) {
  Deno.test(`a run interrupted at ${step} sets the same objects aside when it is run again`, async () => {
    await withCopy(codes, async ({ copy }) => {
      const abort = new AbortController();
      const onEvent: InitTestOptions["onEvent"] = (event) => {
        if (event.kind === "step-started" && event.step === step) {
          abort.abort(new InterruptedError());
        }
      };
      await rejects(copy({ signal: abort.signal, onEvent }), InterruptedError);
      strictEqual(names(await copy()).length, 3);
      // the same for a run that would create them
      const again = new AbortController();
      await rejects(
        copy({
          signal: again.signal,
          onEvent: (event) => {
            if (event.kind === "step-started" && event.step === "finish-schema") {
              again.abort(new InterruptedError());
            }
          },
        }),
        InterruptedError,
      );
      strictEqual(names(await copy()).length, 3);
    });
  });
}

Deno.test("a copy with objects set aside may be in use: it is dropped only with --drop-existing", async () => {
  await withCopy(caseFile("03-matview-text-query"), async ({ from, to, copy }) => {
    await copy();
    await rejects(copy({ resume: false }), (error: unknown) => {
      ok(error instanceof ReplicatorError);
      strictEqual(error.exitCode, 3);
      match(error.details.join("\n"), /complete except for objects that were set aside/);
      return true;
    });
    await exec(from, "DROP MATERIALIZED VIEW word_stats");
    deepStrictEqual(names(await copy()), []); // an object dropped on the source is not missing
    deepStrictEqual(await query(to, "SELECT count(*)::int AS n FROM lib.docs"), [{ n: 20 }]);
  });
});

Deno.test("replication is handed over even if objects were set aside, and a rerun leaves it alone", async () => {
  const rewrite = (script: string) =>
    `${script}\nSET search_path = public; ALTER TABLE lib.docs REPLICA IDENTITY FULL;\n-- STREAM\nINSERT INTO lib.docs VALUES (21, 'new'); UPDATE lib.docs SET body = 'other' WHERE id = 1;`;
  const servers = { source: recent, target };
  await withCase("03-matview-text-query.sql", { ...servers, rewrite }, async (it) => {
    const first = await it.initWithSync();
    deepStrictEqual(names(first), ["MATERIALIZED VIEW DATA public.word_stats"]);
    await it.stream();
    strictEqual(await it.drain(), "drained");
    await it.ask(
      "source",
      `DROP MATERIALIZED VIEW public.word_stats;
       CREATE MATERIALIZED VIEW public.word_stats AS SELECT pg_catalog.count(*) AS n, 'word'::text AS word FROM lib.docs;
       CREATE UNIQUE INDEX word_stats_word_idx ON public.word_stats (word);
       COMMENT ON MATERIALIZED VIEW public.word_stats IS 'counted'`,
    );
    deepStrictEqual(names(await it.initWithSync()), []);
    deepStrictEqual(
      await it.ask(
        "target",
        `SELECT n::int, obj_description('public.word_stats'::regclass) AS comment,
                to_regclass('public.word_stats_word_idx') IS NOT NULL AS indexed FROM public.word_stats`,
      ),
      [{ n: 21, comment: "counted", indexed: true }],
    );
    await it.ask("source", "INSERT INTO lib.docs VALUES (22, 'newer')");
    strictEqual(await it.drain(), "drained");
    deepStrictEqual(await it.ask("target", "SELECT count(*)::int AS n FROM lib.docs"), [{ n: 22 }]);
  });
});

Deno.test("a materialized view is recreated if a run was killed after dropping it to redefine it", async () => {
  await withCase("03-matview-text-query.sql", { source: recent, target }, async (it) => {
    deepStrictEqual(names(await it.init()), ["MATERIALIZED VIEW DATA public.word_stats"]);
    await it.ask(
      "source",
      `DROP MATERIALIZED VIEW public.word_stats;
       CREATE MATERIALIZED VIEW public.word_stats AS SELECT pg_catalog.count(*) AS n FROM lib.docs;
       CREATE UNIQUE INDEX word_stats_n_idx ON public.word_stats (n)`,
    );
    // the changes that such a run has committed
    await it.ask(
      "target",
      "DROP MATERIALIZED VIEW public.word_stats; DELETE FROM seren_ledger.statement_done",
    );
    deepStrictEqual(names(await it.init()), []);
    deepStrictEqual(
      await it.ask(
        "target",
        "SELECT n::int, to_regclass('public.word_stats_n_idx') IS NOT NULL AS indexed FROM public.word_stats",
      ),
      [{ n: 20, indexed: true }],
    );
  });
});

Deno.test("a rerun after a kill exits with 11 and lists the objects in --json; with 0 once they are fixed", async () => {
  await withCopy(codes, async ({ name, to }) => {
    const folder = await Deno.makeTempDir({ prefix: "psr-aside-killed-" });
    const report = `${folder}/report.html`;
    const command = () =>
      new Deno.Command(Deno.execPath(), {
        args: [
          ...cliCommand,
          ...["init", "--yes", "--json", "--log-format=json", "--dump-tool=embedded"],
          ...[`--include-databases="${name}"`, `--report=${report}`],
        ],
        clearEnv: true,
        env: { ...denoEnvironment(), SOURCE_URL: source.url(), TARGET_URL: target.url() },
        cwd: folder,
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      });
    try {
      const child = command().spawn();
      let text = "";
      const output = new Response(child.stdout).text();
      for await (const chunk of child.stderr.pipeThrough(new TextDecoderStream())) {
        text += chunk;
        if (/"event":"step-started","step":"finish-schema"/.test(text)) {
          child.kill("SIGKILL");
          break;
        }
      }
      strictEqual((await child.status).signal, "SIGKILL");
      await output;

      const incomplete = await command().output();
      const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      strictEqual(incomplete.code, 11, decode(incomplete.stderr));
      const { databases } = JSON.parse(decode(incomplete.stdout)) as InitOutcome["report"];
      deepStrictEqual(setAsideObjects({ databases }).map(({ sqlState }) => sqlState), [
        "42883",
        "42830",
        "42803",
      ]);
      match(await Deno.readTextFile(report), /Complete except for <a href="#set-aside">3 objects/);

      await exec(to, "ALTER FUNCTION code_cmp(code, code) SET search_path = public");
      const complete = await command().output();
      strictEqual(complete.code, 0, decode(complete.stderr));
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
});

Deno.test("a foreign key whose rows cannot be compared is set aside, and validated by a rerun", async () => {
  // an index of one row compares nothing
  const compared = `${codes.slice(0, codes.indexOf("CREATE TABLE things"))}
    CREATE TABLE things (c code PRIMARY KEY); INSERT INTO things VALUES (row('a')::code);
    CREATE TABLE plain (id int PRIMARY KEY); INSERT INTO plain VALUES (1);
    CREATE TABLE fine (id int REFERENCES plain); INSERT INTO fine VALUES (1);
    CREATE TABLE uses (id int PRIMARY KEY, c code CONSTRAINT key REFERENCES things);
    INSERT INTO uses VALUES (1, row('a')::code);`;
  await withCopy(compared, async ({ to, copy }) => {
    deepStrictEqual(names(await copy()), ["FK CONSTRAINT public.uses key"]);
    const state = () =>
      query(
        to,
        `SELECT conname AS name, convalidated AS valid FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace ORDER BY 1`,
      );
    deepStrictEqual(await state(), [
      { name: "fine_id_fkey", valid: true },
      { name: "key", valid: false },
    ]);
    await exec(to, "ALTER FUNCTION code_cmp(code, code) SET search_path = public");
    deepStrictEqual(names(await copy()), []);
    deepStrictEqual((await state())[1], { name: "key", valid: true });
  });
});
