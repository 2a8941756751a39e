import type { CorpusEntry } from "./entry.ts";
import { COMMON_ROLES } from "./roles.ts";

/**
 * Large objects: empty, with holes, owned and granted, with comments, and with references to them.
 */
export const largeObjects: CorpusEntry = {
  name: "large objects",
  minMajor: 12,
  globals: COMMON_ROLES,
  sql: String.raw`
CREATE SCHEMA large_objects;
SELECT lo_create(70001), lo_from_bytea(70002, '\x00ff5c4e0a00'), lo_from_bytea(70003, decode(repeat('0123456789abcdef', 400000), 'hex'));
SELECT lo_create(70004), lo_create(4294967294);
-- A hole: pages that were never written.
SELECT lo_put(70004, 0, 'start'), lo_put(70004, 1000000, 'end');
SELECT lo_put(4294967294, 2047, '\x0000');
ALTER LARGE OBJECT 70002 OWNER TO corpus_owner;
ALTER LARGE OBJECT 70003 OWNER TO corpus_other_owner;
GRANT SELECT ON LARGE OBJECT 70002 TO corpus_app WITH GRANT OPTION;
GRANT SELECT, UPDATE ON LARGE OBJECT 70003 TO PUBLIC;
REVOKE ALL ON LARGE OBJECT 70004 FROM CURRENT_USER;
COMMENT ON LARGE OBJECT 70001 IS 'Empty; ''really''';
SELECT lo_from_bytea(71000 + i, convert_to(repeat('many ' || i, i), 'UTF8')) FROM generate_series(1, 200) AS i;
CREATE TABLE large_objects.manuals (id integer PRIMARY KEY, manual oid);
INSERT INTO large_objects.manuals VALUES (1, 70001), (2, 70002), (3, NULL), (4, 4294967294);
`,
};

/** Publications on the source, which must not be copied. */
export const publications: CorpusEntry = {
  name: "publications",
  minMajor: 12,
  sql: String.raw`
CREATE SCHEMA publications;
CREATE TABLE publications.t (id integer PRIMARY KEY, v text);
INSERT INTO publications.t VALUES (1, 'x');
CREATE PUBLICATION "Some tables; 'quoted'" FOR TABLE publications.t WITH (publish = 'insert, update');
CREATE PUBLICATION nothing;
COMMENT ON PUBLICATION nothing IS 'Not carried over';
`,
};

/** Comments on objects that other entries do not cover, with text that breaks scripts. */
export const comments: CorpusEntry = {
  name: "comments",
  minMajor: 12,
  sql: String.raw`
CREATE SCHEMA comments;
COMMENT ON SCHEMA comments IS E'It''s a "comment";\n-- Name: x; Type: TABLE\n\\connect other\n$$ %s \t ünï 🐘';
CREATE TABLE comments.t (id integer CONSTRAINT k PRIMARY KEY, v text, CONSTRAINT "ch eck" CHECK (id > 0));
COMMENT ON TABLE comments.t IS '';
COMMENT ON TABLE comments.t IS E'Line 1\r\nLine 2\\';
COMMENT ON COLUMN comments.t.v IS '\N';
COMMENT ON CONSTRAINT k ON comments.t IS 'Key';
COMMENT ON CONSTRAINT "ch eck" ON comments.t IS 'Check';
COMMENT ON INDEX comments.k IS 'The key''s index';
CREATE SEQUENCE comments.s;
COMMENT ON SEQUENCE comments.s IS 'Sequence';
CREATE TYPE comments.e AS ENUM ('x');
COMMENT ON TYPE comments.e IS 'Type';
CREATE TYPE comments.c AS (a integer);
COMMENT ON COLUMN comments.c.a IS 'Attribute';
CREATE DOMAIN comments.d AS integer CONSTRAINT dc CHECK (VALUE > 0);
COMMENT ON DOMAIN comments.d IS 'Domain';
COMMENT ON CONSTRAINT dc ON DOMAIN comments.d IS 'Its constraint';
CREATE VIEW comments.v AS SELECT 1 AS x;
COMMENT ON VIEW comments.v IS 'View';
CREATE STATISTICS comments.st ON id, v FROM comments.t;
COMMENT ON STATISTICS comments.st IS 'Statistics';
CREATE COLLATION comments.co FROM "C";
COMMENT ON COLLATION comments.co IS 'Collation';
CREATE CONVERSION comments.cv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
COMMENT ON CONVERSION comments.cv IS 'Conversion';
CREATE TEXT SEARCH DICTIONARY comments.td (TEMPLATE = simple);
COMMENT ON TEXT SEARCH DICTIONARY comments.td IS 'Dictionary';
CREATE OPERATOR FAMILY comments.f USING hash;
COMMENT ON OPERATOR FAMILY comments.f USING hash IS 'Family';
CREATE FOREIGN DATA WRAPPER comments_wrapper;
COMMENT ON FOREIGN DATA WRAPPER comments_wrapper IS 'Wrapper';
COMMENT ON LANGUAGE plpgsql IS 'A language';
`,
};

/**
 * An invalid index left by a failed CREATE INDEX CONCURRENTLY. `pg_dump` omits it, so comparisons
 * must expect it to be missing.
 */
export const invalidIndex: CorpusEntry = {
  name: "invalid index",
  minMajor: 12,
  sql: String.raw`
CREATE SCHEMA invalid_index;
CREATE TABLE invalid_index.t (id integer, v text);
-- Its rows would break it.
INSERT INTO invalid_index.t VALUES (1, 'x'), (2, 'y');
CREATE UNIQUE INDEX left_behind ON invalid_index.t (id);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'invalid_index.left_behind'::regclass;
`,
};
