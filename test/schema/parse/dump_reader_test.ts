import { deepStrictEqual as equal, ok, throws } from "node:assert/strict";
import fc from "fast-check";
import { readDump } from "../../../lib/schema/parse/dump_reader.ts";
import { tokenize } from "../../../lib/core/internal.ts";

const statementsOf = (text: string) => readDump(text).map(({ sql }) => sql);

Deno.test("a statement ends at a semicolon outside quotes and comments", () => {
  const whole = [
    `SELECT 'a;''b';`,
    `SELECT E'a;\\';b';`,
    `SELECT U&'d\\0061;t\\+000061', U&"d;" UESCAPE '!';`,
    `SELECT N'x;', B'01', X'1F', "a"";b";`,
    `SELECT $$a;b$$, $tag_1$;$$;$tag$;$tag_1$;`,
    `SELECT a$b$c, $1;`,
    `SELECT 1 /* a ; /* b ; */ ; */ + 2 -- c ;\n;`,
    `CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO a VALUES (1); INSERT INTO b VALUES (2));`,
    `SELECT E'a' -- and on\n ';\\'';`,
    `SELECT '\\';`,
    `CREATE TABLE "größe;"."日本" ("ä;" text);`,
  ];
  equal(statementsOf(whole.join("\n")), whole);
});

Deno.test("SQL-standard bodies are not split, with nested CASE and blocks", () => {
  const whole = [
    `CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 ELSE 2 END; SELECT 3; END;`,
    `CREATE OR REPLACE PROCEDURE p() LANGUAGE sql BEGIN ATOMIC\n INSERT INTO "end" VALUES (1);\nEND;`,
    `CREATE FUNCTION "begin"() RETURNS int LANGUAGE sql AS $$ begin; $$;`,
    `CREATE TABLE begin_case (x int);`,
    `CREATE VIEW v AS SELECT CASE WHEN a THEN b END AS "begin" FROM t;`,
  ];
  equal(statementsOf(whole.join("\n\n")), whole);
});

Deno.test("BEGIN is an ordinary name except in BEGIN ATOMIC", () => {
  const whole = [
    `CREATE FUNCTION public.begin() RETURNS integer LANGUAGE plpgsql AS $$ begin return 1; end $$;`,
    `CREATE FUNCTION begin.atomic(begin begin.atomic, atomic int DEFAULT begin.end()) RETURNS begin.atomic LANGUAGE sql AS 'x;';`,
    `CREATE OR REPLACE PROCEDURE begin.begin() LANGUAGE sql AS 'x;';`,
    `CREATE FUNCTION f() RETURNS begin SET begin.end TO 'x' LANGUAGE sql AS 'x';`,
    `CREATE TABLE begin.begin (begin begin.begin);`,
    `CREATE VIEW begin.v AS SELECT begin.begin AS end FROM begin.begin;`,
    `CREATE PROCEDURE begin.p() LANGUAGE sql
       BEGIN /* ; */ ATOMIC SELECT begin.begin, x.end, 1 AS case, CASE WHEN begin THEN CASE atomic WHEN 1 THEN 2 END END AS end
       FROM begin.atomic begin; WITH begin AS (SELECT 1) SELECT begin.atomic FROM begin; END;`,
    `CREATE FUNCTION function(atomic int) RETURNS TABLE("begin" int) LANGUAGE sql BEGIN ATOMIC\nEND;`,
    `CREATE FUNCTION f(a int) RETURNS int RETURN CASE WHEN a > 1 THEN 2 END;`,
    `CREATE SCHEMA begin;`,
  ];
  equal(statementsOf(whole.join("\n")), whole);
});

Deno.test("a national character literal is read like a plain one", () => {
  const off = ["SET standard_conforming_strings = off;", "SELECT N'a\\';b';"];
  equal(statementsOf(off.join("\n")), off);
});

Deno.test("statements get the entry of the comment above them; session settings get none", () => {
  equal(
    readDump(`--
-- PostgreSQL database dump
--

\\restrict AbC'"(

SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);
--
-- Name: odd; Type: VIEW; Schema: x; Owner: y; Type: TABLE; Schema: public; Owner: bob; Tablespace: fast
--

CREATE TABLE public."odd; Type: VIEW; Schema: x; Owner: y" ();


ALTER TABLE public.t OWNER TO bob;

SET default_tablespace = '';

--
-- Name: app; Type: SCHEMA; Schema: -; Owner: o'w
--

CREATE SCHEMA app;

\\unrestrict AbC'"(
`),
    [
      { sql: "SET statement_timeout = 0;" },
      { sql: "SELECT pg_catalog.set_config('search_path', '', false);" },
      {
        sql: `CREATE TABLE public."odd; Type: VIEW; Schema: x; Owner: y" ();`,
        name: "odd; Type: VIEW; Schema: x; Owner: y",
        type: "TABLE",
        schema: "public",
        owner: "bob",
      },
      {
        sql: "ALTER TABLE public.t OWNER TO bob;",
        name: "odd; Type: VIEW; Schema: x; Owner: y",
        type: "TABLE",
        schema: "public",
        owner: "bob",
      },
      { sql: "SET default_tablespace = '';" },
      { sql: "CREATE SCHEMA app;", name: "app", type: "SCHEMA", owner: "o'w" },
    ],
  );
});

Deno.test("text in a statement that looks like a header or psql command is part of it", () => {
  const fake = "\n--\n-- Name: evil; Type: TABLE; Schema: s; Owner: o\n--\n\\connect evil\n";
  const text =
    `CREATE FUNCTION f() AS $_$${fake}$_$;\n/*${fake}*/\nCOMMENT ON TABLE t IS '${fake}';`;
  equal(readDump(text), [
    { sql: `CREATE FUNCTION f() AS $_$${fake}$_$;` },
    { sql: `COMMENT ON TABLE t IS '${fake}';` },
  ]);
});

Deno.test("backslashes escape in plain literals with standard_conforming_strings off", () => {
  const statements = ["SET standard_conforming_strings = off;", "SELECT 'a\\';b';"];
  equal(statementsOf(statements.join("\n")), statements);
});

Deno.test("a truncated dump is an error", () => {
  for (const text of ["SELECT 1", "SELECT 'a;", "SELECT $x$;", "CREATE TABLE t (a int;"]) {
    throws(() => readDump(`SELECT 0; ${text}`), /ends in the middle of a statement/);
  }
  equal(readDump("-- nothing\n\n"), []);
});

Deno.test("a literal of several megabytes is read", () => {
  const sql = `COMMENT ON TABLE t IS '${"it''s; ".repeat(1_000_000)}';`;
  equal(statementsOf(sql), [sql]);
  const escaped = `SELECT E'${"\\';".repeat(1_000_000)}';`;
  equal(statementsOf(escaped), [escaped]);
});

/** Text that would end a statement or open a quote or comment, if it were not inside one. */
const nasty = fc.array(
  fc.constantFrom(
    ..."';\"\\$-/*()a_\n\t é".split(""),
    "--",
    "/*",
    "*/",
    "$$",
    "$a$",
    "E'",
    "BEGIN",
    "END",
    "\n--\n-- Name: x; Type: TABLE; Schema: s; Owner: o\n--\n",
  ),
  { maxLength: 30 },
).map((parts) => parts.join(""));

const piece = fc.oneof(
  nasty.map((text) => `'${text.replaceAll("'", "''")}'`),
  // followed by an operator: a string on the next line, even after a comment, would continue this
  // one with its escapes
  nasty.map((text) => ` E'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}' +`),
  nasty.map((text) => `"${text.replaceAll('"', '""')}"`),
  nasty.map((text) => ` $q_1$${text.replaceAll("$", "")}$q_1$ `),
  nasty.map((text) => `/*${text.replaceAll(/[/*]/g, "")}*/`),
  nasty.map((text) => `--${text.replaceAll(/[\n\r]/g, "")}\n`),
  fc.constantFrom(" a ", "+", ",", "(b;)", "1.5e3 ", " x$y "),
);
const statement = fc.array(piece, { maxLength: 8 }).map((pieces) => `SELECT ${pieces.join(" ")} ;`);

Deno.test("any sequence of statements is read back", () => {
  fc.assert(fc.property(fc.array(statement), (statements) => {
    equal(statementsOf(statements.join("\n")), statements);
  }));
});

Deno.test("joined tokens are the text", () => {
  fc.assert(fc.property(fc.oneof(nasty, fc.string({ unit: "binary" })), (text) => {
    const tokens = [...tokenize(text)];
    equal(tokens.map(({ start, end }) => text.slice(start, end)).join(""), text);
    ok(tokens.every(({ start, end }) => end > start));
  }));
});
