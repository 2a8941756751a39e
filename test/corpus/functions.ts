import type { CorpusEntry } from "./entry.ts";

/**
 * Functions and procedures whose bodies confuse tools that split scripts or filter dumps as text.
 */
export const functions: CorpusEntry = {
  name: "functions",
  minMajor: 12,
  sql: String.raw`
CREATE SCHEMA functions;
CREATE TABLE functions.t (id integer, v text);
INSERT INTO functions.t VALUES (1, 'x');
CREATE FUNCTION functions.semicolons() RETURNS text LANGUAGE plpgsql AS $body$
-- A comment; with a semicolon and a 'quote
DECLARE
  x text := $inner$;;; $$ $x$ '$inner$;
BEGIN
  /* block; /* nested; */ comment */
  x := x || E'\'; DROP TABLE t; --' || "concat"('a;', U&'\0041');
  RETURN x;
END;
$body$;
CREATE FUNCTION functions.like_a_dump() RETURNS text LANGUAGE sql AS $_$ SELECT '
--
-- Name: t; Type: TABLE; Schema: functions; Owner: postgres
--

CREATE TABLE functions.t (id integer);

--
-- Data for Name: t; Type: TABLE DATA; Schema: functions; Owner: postgres
--

COPY functions.t (id, v) FROM stdin;
1	x
\.

-- Completed on 2024-01-01
-- PostgreSQL database dump complete
SET transaction_timeout = 0;
CREATE PUBLICATION p; ALTER ROLE x SUPERUSER;
\connect other
\restrict abc
'::text $_$;
CREATE FUNCTION functions.empty_lines() RETURNS text LANGUAGE sql AS $$
SELECT 'a


b' || E'\r\n	tab'
$$;
CREATE FUNCTION functions.backslashes(a text DEFAULT E'\\\'', b text DEFAULT '\', VARIADIC c integer[] DEFAULT '{}') RETURNS text LANGUAGE sql IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 7.5 AS 'SELECT $1 || ''\'' || $2';
CREATE FUNCTION functions.outs(INOUT a integer, OUT b text, OUT "C c" functions.t) LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = functions, "odd, schema" SET "custom.x" = 'it''s' SET work_mem TO '1MB' AS $$ BEGIN b := 'x'; END $$;
CREATE FUNCTION functions.many() RETURNS TABLE (n integer, "T t" text) LANGUAGE plpgsql ROWS 33 AS $$ BEGIN RETURN QUERY SELECT id, v FROM functions.t; END $$;
CREATE FUNCTION functions.rows_of() RETURNS SETOF functions.t LANGUAGE sql AS 'TABLE functions.t';
CREATE FUNCTION functions.overloaded(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION functions.overloaded(text) RETURNS integer LANGUAGE sql AS 'SELECT 2';
CREATE FUNCTION functions.overloaded(integer, integer DEFAULT 0) RETURNS integer LANGUAGE sql AS 'SELECT 3';
CREATE FUNCTION functions.any_type(anyelement, anyarray) RETURNS anyelement LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION functions.window_one() RETURNS bigint LANGUAGE internal WINDOW IMMUTABLE STRICT AS 'window_row_number';
CREATE FUNCTION functions.built_in(integer, integer) RETURNS integer LANGUAGE internal IMMUTABLE STRICT AS 'int4pl';
CREATE PROCEDURE functions.work(a integer, INOUT b text DEFAULT 'x') LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;
-- Its body does not hold today; the dump must not check it.
SET check_function_bodies = off;
CREATE FUNCTION functions.broken() RETURNS integer LANGUAGE sql AS 'SELECT no_such_column FROM no_such_table';
CREATE FUNCTION functions.before_its_table() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM functions.zz_later';
RESET check_function_bodies;
CREATE TABLE functions.zz_later (id integer DEFAULT functions.before_its_table());
COMMENT ON FUNCTION functions.overloaded(text) IS E'Two\nlines; ''quoted''';
COMMENT ON PROCEDURE functions.work(integer, text) IS 'Works';

CREATE AGGREGATE functions.joined(text, text) (SFUNC = string_agg_transfn, STYPE = internal, FINALFUNC = string_agg_finalfn, PARALLEL = SAFE);
CREATE AGGREGATE functions.summed(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '10', COMBINEFUNC = int4pl, MSFUNC = int4pl, MINVFUNC = int4mi, MSTYPE = integer, MINITCOND = '5', SORTOP = OPERATOR(pg_catalog.>));
CREATE AGGREGATE functions.ordered(double precision ORDER BY anyelement) (SFUNC = ordered_set_transition, STYPE = internal, FINALFUNC = percentile_disc_final, FINALFUNC_EXTRA, FINALFUNC_MODIFY = READ_WRITE);
COMMENT ON AGGREGATE functions.summed(integer) IS 'From ten';
`,
};

/** SQL-standard bodies, which depend on the objects they reference. */
export const functions14: CorpusEntry = {
  name: "functions of 14",
  minMajor: 14,
  sql: String.raw`
CREATE SCHEMA functions14;
CREATE TABLE functions14.z (id integer PRIMARY KEY, v text);
INSERT INTO functions14.z VALUES (1, 'x');
CREATE FUNCTION functions14.atomic(a integer) RETURNS bigint LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT count(*) FROM functions14.z WHERE z.id > a;
  SELECT 2::bigint;
END;
CREATE FUNCTION functions14.returns_one(a text) RETURNS text IMMUTABLE RETURN a || ';';
CREATE PROCEDURE functions14.atomic_work(v text, OUT done boolean)
BEGIN ATOMIC
  INSERT INTO functions14.z VALUES ((SELECT max(id) + 1 FROM functions14.z), v);
  SELECT true;
END;
-- Depends on the primary key.
CREATE FUNCTION functions14.by_key() RETURNS SETOF text BEGIN ATOMIC SELECT v FROM functions14.z GROUP BY id; END;
CREATE TABLE functions14.uses (v text DEFAULT functions14.returns_one('d'), g text GENERATED ALWAYS AS (functions14.returns_one(v)) STORED);
INSERT INTO functions14.uses DEFAULT VALUES;
`,
};

/** Operators, operator classes, casts, collations, conversions, text search. */
export const operators: CorpusEntry = {
  name: "operators",
  minMajor: 12,
  sql: String.raw`
CREATE SCHEMA operators;
CREATE TYPE operators.complex AS (r double precision, i double precision);
CREATE FUNCTION operators.size(operators.complex) RETURNS double precision LANGUAGE sql IMMUTABLE STRICT AS 'SELECT sqrt($1.r ^ 2 + $1.i ^ 2)';
CREATE FUNCTION operators.lt(operators.complex, operators.complex) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS 'SELECT operators.size($1) < operators.size($2)';
CREATE FUNCTION operators.le(operators.complex, operators.complex) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS 'SELECT operators.size($1) <= operators.size($2)';
CREATE FUNCTION operators.eq(operators.complex, operators.complex) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS 'SELECT operators.size($1) = operators.size($2)';
CREATE FUNCTION operators.ge(operators.complex, operators.complex) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS 'SELECT operators.size($1) >= operators.size($2)';
CREATE FUNCTION operators.gt(operators.complex, operators.complex) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS 'SELECT operators.size($1) > operators.size($2)';
CREATE FUNCTION operators.cmp(operators.complex, operators.complex) RETURNS integer LANGUAGE sql IMMUTABLE STRICT AS 'SELECT CASE WHEN operators.size($1) < operators.size($2) THEN -1 WHEN operators.size($1) > operators.size($2) THEN 1 ELSE 0 END';
CREATE OPERATOR operators.<< (LEFTARG = operators.complex, RIGHTARG = operators.complex, FUNCTION = operators.lt, COMMUTATOR = OPERATOR(operators.>>), NEGATOR = OPERATOR(operators.>>=), RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR operators.<<= (LEFTARG = operators.complex, RIGHTARG = operators.complex, FUNCTION = operators.le);
CREATE OPERATOR operators.== (LEFTARG = operators.complex, RIGHTARG = operators.complex, FUNCTION = operators.eq, COMMUTATOR = OPERATOR(operators.==), MERGES);
CREATE OPERATOR operators.>>= (LEFTARG = operators.complex, RIGHTARG = operators.complex, FUNCTION = operators.ge);
CREATE OPERATOR operators.>> (LEFTARG = operators.complex, RIGHTARG = operators.complex, FUNCTION = operators.gt);
CREATE OPERATOR operators.|/| (RIGHTARG = operators.complex, FUNCTION = operators.size);
CREATE OPERATOR FAMILY operators.sizes USING btree;
CREATE OPERATOR CLASS operators."by size" FOR TYPE operators.complex USING btree FAMILY operators.sizes AS
  OPERATOR 1 operators.<<, OPERATOR 2 operators.<<=, OPERATOR 3 operators.==, OPERATOR 4 operators.>>=, OPERATOR 5 operators.>>, FUNCTION 1 operators.cmp(operators.complex, operators.complex);
CREATE TABLE operators.numbers (id integer, c operators.complex);
INSERT INTO operators.numbers SELECT i, ROW(i, -i)::operators.complex FROM generate_series(1, 20) AS i;
CREATE INDEX ON operators.numbers (c operators."by size");

CREATE FUNCTION operators.to_complex(double precision) RETURNS operators.complex LANGUAGE sql IMMUTABLE AS 'SELECT ROW($1, 0)::operators.complex';
CREATE CAST (double precision AS operators.complex) WITH FUNCTION operators.to_complex(double precision) AS ASSIGNMENT;
CREATE CAST (operators.complex AS double precision) WITH FUNCTION operators.size(operators.complex);
CREATE CAST (operators.complex AS text) WITH INOUT AS IMPLICIT;
COMMENT ON CAST (operators.complex AS text) IS 'By its text';
COMMENT ON OPERATOR operators.== (operators.complex, operators.complex) IS 'Equal size';
COMMENT ON OPERATOR CLASS operators."by size" USING btree IS 'Sorted by size';

CREATE COLLATION operators."German phonebook" (PROVIDER = icu, LOCALE = 'de-u-co-phonebk');
CREATE COLLATION operators.case_insensitive (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false);
CREATE COLLATION operators.plain FROM "C";
CREATE TABLE operators.words (w text COLLATE operators."German phonebook", ci text COLLATE operators.case_insensitive UNIQUE, p text COLLATE operators.plain);
INSERT INTO operators.words VALUES ('Müller', 'ABC', 'x'), ('Mueller', 'abcd', 'y');
CREATE INDEX ON operators.words (w);
CREATE INDEX ON operators.words (p COLLATE operators."German phonebook" DESC);

CREATE DEFAULT CONVERSION operators.conversion FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE TEXT SEARCH DICTIONARY operators.no_stops (TEMPLATE = simple, ACCEPT = false);
CREATE TEXT SEARCH DICTIONARY operators.english_stem (TEMPLATE = snowball, LANGUAGE = english, STOPWORDS = english);
CREATE TEXT SEARCH CONFIGURATION operators."search it" (PARSER = "default");
ALTER TEXT SEARCH CONFIGURATION operators."search it" ADD MAPPING FOR asciiword, word WITH operators.no_stops, operators.english_stem;
ALTER TEXT SEARCH CONFIGURATION operators."search it" ADD MAPPING FOR int, email WITH simple;
CREATE TABLE operators.documents (t text, v tsvector GENERATED ALWAYS AS (to_tsvector('operators."search it"', t)) STORED);
INSERT INTO operators.documents VALUES ('The running dogs 42'), ('');
CREATE INDEX ON operators.documents USING gin (v);
COMMENT ON TEXT SEARCH CONFIGURATION operators."search it" IS 'Search';
CREATE ACCESS METHOD heap_again TYPE TABLE HANDLER heap_tableam_handler;
CREATE TABLE operators.other_method (id integer) USING heap_again;
INSERT INTO operators.other_method VALUES (1);
`,
};
