import type { CorpusEntry } from "./entry.ts";

/** User-defined types: domains, composites, enums, ranges and all others. */
export const types: CorpusEntry = {
  name: "types",
  minMajor: 12,
  sql: String.raw`
CREATE SCHEMA types;
CREATE DOMAIN types.positive AS integer DEFAULT 1 NOT NULL CONSTRAINT above_zero CHECK (VALUE > 0);
CREATE DOMAIN types.even AS types.positive CHECK (VALUE % 2 = 0) CONSTRAINT small CHECK (VALUE < 1000);
CREATE DOMAIN types.tags AS text[] CHECK (array_length(VALUE, 1) <= 3 OR VALUE = '{}');
CREATE DOMAIN types.matrix AS integer[][] NOT NULL DEFAULT '{{1,2},{3,4}}';
CREATE DOMAIN types.word AS varchar(20) COLLATE "C" CHECK (VALUE ~ '^\w*\\?$');
CREATE DOMAIN types.not_valid AS integer;
CREATE TABLE types.of_not_valid (v types.not_valid);
INSERT INTO types.of_not_valid VALUES (-1);
ALTER DOMAIN types.not_valid ADD CONSTRAINT later CHECK (VALUE > 0) NOT VALID;

CREATE TYPE types.color AS ENUM ('red', 'blue');
ALTER TYPE types.color ADD VALUE 'green' BEFORE 'blue';
ALTER TYPE types.color ADD VALUE 'it''s \ "odd", {label}' AFTER 'red';
ALTER TYPE types.color ADD VALUE 'first' BEFORE 'red';
ALTER TYPE types.color RENAME VALUE 'blue' TO 'Blue ';
CREATE TYPE types.no_labels AS ENUM ();
CREATE TYPE types.inner_part AS (a integer, "B b" text COLLATE "C", c types.color);
CREATE TYPE types.outer_part AS (i types.inner_part, list types.inner_part[], w types.word, e types.even);
ALTER TYPE types.inner_part ADD ATTRIBUTE gone integer, ADD ATTRIBUTE last numeric(5, 1);
ALTER TYPE types.inner_part DROP ATTRIBUTE gone;
CREATE TYPE types.nothing AS ();
CREATE DOMAIN types.checked_part AS types.inner_part CHECK ((VALUE).a > 0);

CREATE FUNCTION types.span(double precision, double precision) RETURNS double precision LANGUAGE sql IMMUTABLE AS 'SELECT $1 - $2';
CREATE TYPE types.float_range AS RANGE (SUBTYPE = double precision, SUBTYPE_DIFF = types.span);
CREATE TYPE types.word_range AS RANGE (SUBTYPE = text, COLLATION = "C", SUBTYPE_OPCLASS = text_pattern_ops);
CREATE TYPE types.color_range AS RANGE (SUBTYPE = types.color);
CREATE TYPE types.row_range AS RANGE (SUBTYPE = inet);
CREATE DOMAIN types.some_range AS types.float_range CHECK (NOT isempty(VALUE));
CREATE TYPE types.shell;

CREATE TABLE types.uses (
  id integer PRIMARY KEY, p types.positive, e types.even, t types.tags, m types.matrix, w types.word, o types.outer_part, os types.outer_part[],
  fr types.float_range, wr types.word_range, ir types.row_range, sr types.some_range, frs types.float_range[], n types.nothing, cp types.checked_part, es types.even[], r types.of_not_valid
);
INSERT INTO types.uses (id, p, e, t, m, w, o, os, fr, wr, ir, sr, frs, n, cp, es, r) VALUES
  (1, DEFAULT, 2, '{}', DEFAULT, 'x\', ROW(ROW(1, 'quo"te, (x) \ ', NULL, 1.5), ARRAY[ROW(2, NULL, NULL, NULL)]::types.inner_part[], '', 4),
   ARRAY[NULL, ROW(NULL, '{}', NULL, 2)]::types.outer_part[], '[NaN,NaN]', '["(","a b)"]', '[10.0.0.0,10.0.0.9]', '(,5.5)', '{"[1,2]",empty,"(,)"}', ROW(), ROW(1, '', NULL, NULL), '{2,4}', ROW(5)),
  (2, 7, 8, ARRAY['a', NULL, '"'], '[0:0][5:6]={{1,NULL}}', NULL, NULL, '{}', 'empty', 'empty', '(,)', NULL, '{}', NULL, NULL, NULL, NULL);
CREATE TABLE types.of_part OF types.inner_part (PRIMARY KEY (a), "B b" DEFAULT 'typed');
INSERT INTO types.of_part (a) VALUES (1), (2);
CREATE INDEX ON types.uses USING gist (fr);
`,
};

/** Uses added enum labels in their sort order. */
export const enumValues: CorpusEntry = {
  name: "enum values",
  minMajor: 12,
  sql: String.raw`
CREATE TABLE types.colors (c types.color PRIMARY KEY, cs types.color[], cr types.color_range);
INSERT INTO types.colors SELECT c, ARRAY[c, NULL], types.color_range('first', c, '[]') FROM unnest(enum_range(NULL::types.color)) AS c;
CREATE INDEX ON types.colors (c DESC) WHERE c > 'red';
CREATE TABLE types.by_color (c types.color) PARTITION BY LIST (c);
CREATE TABLE types.by_color_odd PARTITION OF types.by_color FOR VALUES IN ('it''s \ "odd", {label}', 'first');
INSERT INTO types.by_color VALUES ('first');
`,
};

/** Multiranges, including those of user-defined ranges. */
export const types14: CorpusEntry = {
  name: "types of 14",
  minMajor: 14,
  sql: String.raw`
CREATE SCHEMA types14;
CREATE TYPE types14.distance AS RANGE (SUBTYPE = numeric, MULTIRANGE_TYPE_NAME = types14."many distances");
CREATE TABLE types14.uses (id integer PRIMARY KEY, i int4multirange, d datemultirange, m types14."many distances", ms types14."many distances"[]);
INSERT INTO types14.uses VALUES (1, '{}', '{[2024-01-01,2024-02-01),[2024-03-01,infinity)}', '{[1.10,2.0),(5,]}', '{"{}","{[1,2)}"}'), (2, '{(,1),[5,7)}', NULL, NULL, NULL);
`,
};
