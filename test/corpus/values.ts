import type { CorpusEntry } from "./entry.ts";

/** Values that text formats, drivers and checksums may get wrong. */
export const values: CorpusEntry = {
  name: "values",
  minMajor: 12,
  sql: String.raw`
CREATE SCHEMA "values";
CREATE TABLE "values".numbers (
  id integer PRIMARY KEY, f4 real, f8 double precision, n numeric, n92 numeric(9, 2), i2 smallint, i4 integer, i8 bigint, m money, o oid, b boolean
);
INSERT INTO "values".numbers VALUES
  (1, 'NaN', 'NaN', 'NaN', 0, -32768, -2147483648, -9223372036854775808, '-92233720368547758.08', 0, true),
  (2, 'Infinity', 'Infinity', 0, -0.01, 32767, 2147483647, 9223372036854775807, '92233720368547758.07', 4294967295, false),
  (3, '-Infinity', '-Infinity', -0.0, 9999999.99, 0, 0, 0, 0, 1, NULL),
  (4, '-0', '-0', 1.10, 1.1, NULL, NULL, NULL, NULL, NULL, NULL),
  (5, 1.17549435e-38, 2.2250738585072014e-308, 1e-1000, 0, 1, 1, 1, 1, 1, true),
  (6, 3.4028235e38, 1.7976931348623157e308, ('1' || repeat('0', 5000) || '.' || repeat('3', 3000))::numeric, 0, 1, 1, 1, 1, 1, true),
  (7, 0.1, 0.1, 0.1000, 0.10, 1, 1, 9007199254740993, 1, 1, true),
  (8, 1e-45, 4.9e-324, 100.000, 0, 1, 1, -9007199254740993, 1, 1, true);

CREATE TABLE "values".times (
  id integer PRIMARY KEY, d date, t time, ttz time with time zone, ts timestamp, tstz timestamptz, i interval, ts0 timestamp(0), i_day interval day to second(3)
);
INSERT INTO "values".times VALUES
  (1, 'infinity', '00:00', '00:00+15:59', 'infinity', 'infinity', '0', 'infinity', NULL),
  (2, '-infinity', '24:00', '24:00-15:59', '-infinity', '-infinity', '178000000 years', '-infinity', NULL),
  (3, '4714-11-24 BC', '23:59:59.999999', '12:00:00.000001+05:30:15', '4714-11-24 00:00:00 BC', '4714-11-24 00:00:00+00 BC', '-178000000 years', '0001-01-01 BC', '1 day 02:03:04.567'),
  (4, '5874897-12-31', '12:00', '12:00+00', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00', '1 mon -1 days +1 us', '0001-01-01', '-1 day'),
  (5, '0001-12-31 BC', NULL, NULL, '2024-02-29 23:59:60', '2024-03-31 02:30:00+01', '-1 mon +29 days -23:59:59.999999', '1999-12-31 23:59:59.5', '0'),
  (6, '1582-10-10', '01:02:03', '01:02:03-03:30', '1900-01-01 00:00:00.000001', '1883-11-18 12:03:57+00', '1 year 2 mons 3 days 04:05:06.789', '2000-01-01', '00:00:00.0005');

CREATE TABLE "values".texts (id integer PRIMARY KEY, t text, v varchar(20), c char(10), n name, "char" "char", x xml, b bytea);
INSERT INTO "values".texts VALUES
  (1, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (2, '', '', '', '', '', '', ''),
  (3, '\N', '\N', '\N', '\N', 'N', '<a/>', '\x5c4e'),
  (4, '\.', '\.', '\.', '\.', '.', '<a>\.</a>', '\x5c2e0a'),
  (5, E'tab\there\nnew\rreturn\r\nboth\bback\ffeed\x0b', E'\t', E'\n', E'\r', E'\n', E'<a>\n\t</a>', '\x000102ff00'),
  (6, '\\', '\', '\\\', '\\N', '\', '<a b="\"/>', '\x5c5c'),
  (7, '"quoted", ''single'', a,b {c} (d)', '",', '{}', '()', '"', '<a>&lt;"&amp;</a>', '\x22'),
  (8, '   spaces   ', '  ', '  x  ', ' ', ' ', ' ', '\x20'),
  (9, 'ünïcödé 表 🐘 é é', '表', 'ß', '🐘', 'z', '<表>é</表>', convert_to('表', 'UTF8')),
  (10, chr(127) || chr(128) || chr(65533) || chr(1114111) || chr(1), 'NULL', 'null', 'NULL', '0', '<?xml version="1.0"?><a/>', '\x00'),
  (11, '\x41', '\101', '\t', '\n', '\', NULL, convert_to('\x41', 'UTF8')),
  (12, '-- SELECT; /* $$ $1 :x ?', '$1', '%s', '$$', '$', NULL, ''),
  (13, E'\\.\n', E'a\n\\.\nb', E'\\.', E'\n', E'\r', NULL, NULL);
INSERT INTO "values".texts (id, t, b) SELECT 1000 + i, chr(i), decode(lpad(to_hex(i), 2, '0'), 'hex') FROM generate_series(1, 255) AS i;

CREATE TABLE "values".arrays (id integer PRIMARY KEY, i integer[], t text[], d date[], multi integer[][][], f float8[], b bytea[], j jsonb[], bx box[]);
INSERT INTO "values".arrays VALUES
  (1, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
  (2, '{NULL}', '{NULL,"NULL","",null}', '{infinity,NULL}', NULL, '{NaN,-0,Infinity}', '{"\\x00",NULL}', '{null,"null"}', '{(1,1),(0,0);(3,3),(2,2)}'),
  (3, '[-5:-3]={1,2,3}', E'{"a\\"b","c\\\\d","e,f","{g}","\t","\n"," "}', '{4714-11-24 BC,5874897-12-31}', '[0:1][2:2][-1:0]={{{1,2}},{{3,NULL}}}', '{1e308}', '{}', '{"{\"a\": [1, null]}"}', NULL),
  (4, (SELECT array_agg(i) FROM generate_series(1, 50000) AS i), ARRAY['\N', '\.'], NULL, '{{{1},{2}},{{3},{4}}}', NULL, NULL, NULL, NULL);

CREATE TABLE "values".others (
  id integer PRIMARY KEY, j json, jb jsonb, u uuid, ip inet, cd cidr, mac macaddr, mac8 macaddr8, bt bit(5), vb bit varying, tsv tsvector, tsq tsquery,
  p point, l line, ls lseg, bx box, pa path, po polygon, ci circle, ir int4range, nr numrange, tr tstzrange, dr daterange, lsn pg_lsn, cls regclass, typ regtype, proc regproc,
  jp jsonpath, snap txid_snapshot, xi xid, ti tid
);
INSERT INTO "values".others VALUES
  (1, '{"a":1, "a":2,   "z":null}', '{"b": 1.10, "a": "\u0041\\ \"\n", "c": [1e400, -0.0]}', '00000000-0000-0000-0000-000000000000', '::ffff:1.2.3.4/128', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:ff:fe:01:02:03',
   '10101', '', 'a:1A ''it''''s'':2B,3 ''sp ace''', '!''a'' & (b:AB | ''c d'':*) <-> e', '(NaN,Infinity)', '{1,-1,0}', '[(0,0),(1,1)]', '(1,1),(0,0)', '[(0,0),(1,1),(2,0)]', '((0,0),(1,1),(2,0))', '<(0,0),5>',
   'empty', '(,)', '["2024-01-01 00:00+00",infinity)', '[-infinity,2024-01-01)', '0/0', 'pg_class', 'timestamp with time zone[]', 'pg_catalog.now', '$."a b"[*] ? (@ > 1 && @ like_regex "^\\d")', '10:20:10,14,15', '4294967295', '(0,1)'),
  (2, ' [ ] ', '{}', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '0.0.0.0/0', '::/0', NULL, NULL, '00000', '1', '', '', '(-0,1e-300)', NULL, NULL, NULL, '((0,0),(1,1))', NULL, NULL,
   '(1,5]', '[1.10,2.0)', '(,"2024-01-01 00:00+00"]', 'empty', 'FFFFFFFF/FFFFFFFF', '"values".texts', '"values".texts', NULL, 'strict $', NULL, '0', NULL),
  (3, 'null', 'null', NULL, '192.168.1.5/24', NULL, NULL, NULL, NULL, repeat('10', 4000)::bit varying, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

-- The same row many times over, and rows that only an order-free checksum with counts tells apart.
CREATE TABLE "values".duplicates (a integer, b text);
INSERT INTO "values".duplicates SELECT 1, 'same' FROM generate_series(1, 1000);
INSERT INTO "values".duplicates VALUES (NULL, NULL), (NULL, NULL), (NULL, ''), (1, NULL);
CREATE TABLE "values".empty (a integer PRIMARY KEY);
CREATE TABLE "values".empty_no_key (a integer);
`,
};

/**
 * Fields of tens of megabytes: compressible and incompressible, of every type that can be that
 * long.
 */
export const bigFields: CorpusEntry = {
  name: "big fields",
  minMajor: 12,
  sql: String.raw`
CREATE SCHEMA big_fields;
CREATE TABLE big_fields.fields (id integer PRIMARY KEY, t text, b bytea, j jsonb, a text[]);
INSERT INTO big_fields.fields (id, t) VALUES (1, repeat(E'tab\t and \\ and \n', 1500000));
INSERT INTO big_fields.fields (id, b) SELECT 2, decode(repeat('5c00ff0a', 5000000), 'hex');
INSERT INTO big_fields.fields (id, t) SELECT 3, string_agg(md5(i::text), '') FROM generate_series(1, 300000) AS i;
INSERT INTO big_fields.fields (id, j) SELECT 4, jsonb_object_agg('key ' || i, repeat('value ', 10)) FROM generate_series(1, 60000) AS i;
INSERT INTO big_fields.fields (id, a) SELECT 5, array_agg(repeat('"', 100)) FROM generate_series(1, 50000) AS i;
INSERT INTO big_fields.fields (id, t, b) SELECT 6, repeat('x', 20000000), decode(repeat('00', 10000000), 'hex');
`,
};

/**
 * Opt-in, not part of the corpus: fields near the limit of 1 GB. Takes about 20 s and up to 3 GB of
 * memory in the server. A text field of 700 MB and a bytea of 450 MB, which is 900 MB as text. A
 * row whose text is longer than 1 GB cannot be copied at all: COPY refuses to write it.
 */
export const hugeFields: CorpusEntry = {
  name: "huge fields",
  minMajor: 12,
  sql: String.raw`
CREATE SCHEMA huge_fields;
CREATE TABLE huge_fields.fields (id integer PRIMARY KEY, t text, b bytea);
INSERT INTO huge_fields.fields (id, t) VALUES (1, repeat('0123456789', 70000000));
INSERT INTO huge_fields.fields (id, b) VALUES (2, convert_to(repeat('0123456789', 45000000), 'UTF8'));
`,
};

/** Infinite numerics. */
export const values14: CorpusEntry = {
  name: "values of 14",
  minMajor: 14,
  sql: String.raw`
CREATE SCHEMA values14;
CREATE TABLE values14.numbers (id integer PRIMARY KEY, n numeric, a numeric[]);
INSERT INTO values14.numbers VALUES (1, 'Infinity', '{Infinity,-Infinity,NaN}'), (2, '-Infinity', '{}'), (3, 'NaN', NULL);
`,
};

/** Infinite intervals. */
export const values17: CorpusEntry = {
  name: "values of 17",
  minMajor: 17,
  sql: String.raw`
CREATE SCHEMA values17;
CREATE TABLE values17.times (id integer PRIMARY KEY, i interval);
INSERT INTO values17.times VALUES (1, 'infinity'), (2, '-infinity');
`,
};
