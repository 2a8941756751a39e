/**
 * `verify --report` from the command line: the report says what was compared, what differs and what
 * was not checked.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { parse } from "npm:parse5@8.1.1";
import { runCli } from "../../support/cli.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { dropDatabase, withDatabase } from "../../support/databases.ts";
import { exec } from "../../support/sql.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(16);

const shop = (state: string) => `
  CREATE TABLE "<b>orders</b>" (id int PRIMARY KEY, total numeric NOT NULL, note text DEFAULT 'a & b');
  INSERT INTO "<b>orders</b>" SELECT i, i, 'n' || i FROM generate_series(1, 500) i;
  CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TRIGGER t BEFORE UPDATE ON "<b>orders</b>" FOR EACH ROW EXECUTE FUNCTION f();
  ALTER TABLE "<b>orders</b>" ${state} TRIGGER t;`;

async function verified(
  state: string,
  report: string,
  flags: readonly string[] = [],
): Promise<{ code: number; stdout: string; stderr: string; text: string }> {
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "psr-evidence-" });
  try {
    return await withDatabase(source, undefined, async ({ name, url }) => {
      await exec(url, shop("ENABLE"));
      await exec(target.url(), `CREATE DATABASE ${name} TEMPLATE template0`);
      try {
        await exec(target.url({ database: name }), shop(state));
        const path = `${folder}/${report}`;
        const run = await runCli([
          ...["verify", "--source", url, "--target", target.url({ database: name })],
          ...["--include-databases", name, "--report", path, ...flags],
        ]);
        const text = await Deno.readTextFile(path).catch(() => "");
        return { ...run, text };
      } finally {
        await dropDatabase(target, name);
      }
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const digestOf = (text: string) => createHash("sha256").update(text).digest("hex");

Deno.test("verify --report FILE.html writes a page and prints its digest; exits with 0 if both sides are equal", async () => {
  const { code, stdout, text } = await verified("ENABLE", "evidence of today.html");
  strictEqual(code, 0, stdout);
  ok(stdout.includes(digestOf(text)));
  match(stdout, /sha256sum '.*evidence of today\.html'/);
  parse(text, { onParseError: ({ code, startLine }) => ok(false, `${code} in ${startLine}`) });
  match(text, /✓ Source and target are equal/);
  match(text, /&lt;b&gt;orders&lt;\/b&gt;/);
  match(text, /publications, subscriptions, replication slots/);
  ok(!text.includes("<b>orders</b>"));
});

Deno.test("a trigger disabled on the target appears in the page, and verify exits with 6", async () => {
  const { code, stdout, text } = await verified("DISABLE", "evidence.html");
  strictEqual(code, 6);
  match(
    stdout,
    /✗ trigger t of "<b>orders<\/b>": state enabled on the source, state disabled on the target/,
  );
  match(text, /state enabled on the source, state disabled on the target/);
  match(text, /id="differences"/);
});

Deno.test("verify --report FILE.json --json writes the document of stdout, and the digest to stderr", async () => {
  const { code, stdout, stderr, text } = await verified("DISABLE", "evidence.json", ["--json"]);
  strictEqual(code, 6);
  ok(stderr.includes(digestOf(text)));
  const { tool, ...report } = JSON.parse(text);
  match(tool, /^postgres-seren-replicator \d/);
  deepStrictEqual(report, JSON.parse(stdout));
  const [database] = report.databases;
  const triggers = database.sections.find(({ section }: { section: string }) =>
    section === "triggers"
  );
  strictEqual(triggers.verdict, "different");
  strictEqual(triggers.differences[0].property, "state");
});

Deno.test("a report file with an unknown extension is rejected before anything is read", async () => {
  const { code, stderr } = await verified("ENABLE", "evidence.pdf");
  strictEqual(code, 2);
  match(stderr, /--report: ".*evidence\.pdf" must end in \.html or \.json/);
});

Deno.test("verify exits with 9 if a table must not be read", async () => {
  await exec(
    target.url(),
    "DROP ROLE IF EXISTS visitor; CREATE ROLE visitor LOGIN",
  );
  await withDatabase(source, undefined, async ({ name, url }) => {
    await withDatabase(target, undefined, async (to) => {
      const schema = "CREATE TABLE open (id int); CREATE TABLE shut (id int);";
      await exec(url, schema);
      await exec(to.url, `${schema} GRANT SELECT ON open TO visitor`);
      // on the source too, so that privileges do not differ
      await exec(
        url,
        "DROP ROLE IF EXISTS visitor; CREATE ROLE visitor; GRANT SELECT ON open TO visitor",
      );
      const { code, stdout } = await runCli([
        ...["verify", "--source", url, "--target", to.urlFor({ user: "visitor" })],
        ...["--include-databases", name],
      ]);
      await exec(url, "DROP OWNED BY visitor; DROP ROLE visitor");
      await exec(to.url, "DROP OWNED BY visitor; DROP ROLE visitor");
      strictEqual(code, 9, stdout);
      match(stdout, /shut +\? not fully checked/);
      match(stdout, /target: permission denied for table shut/);
      match(stdout, /\? No difference was found, but not everything could be compared/);
    });
  });
});

Deno.test("the verdict distinguishes differing rows from differing table definitions", async () => {
  await withDatabase(source, undefined, async ({ name, url }) => {
    await exec(url, "CREATE TABLE t AS SELECT 1 AS a");
    await withDatabase(target, undefined, async (to) => {
      await exec(to.url, "CREATE TABLE t WITH (fillfactor = 50) AS SELECT 2 AS a");
      const { code, stdout } = await runCli([
        ...["verify", "--source", url, "--target", to.url, "--include-databases", name],
      ]);
      strictEqual(code, 6, stdout);
      match(stdout, /Source and target differ in the rows of 1 table and table definitions;/);
    });
  });
});
