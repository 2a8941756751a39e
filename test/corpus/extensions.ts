import type { CorpusEntry } from "./entry.ts";

/**
 * Types, operators and index methods of extensions in separate schemas, some with unusual names.
 */
export const extensions: CorpusEntry = {
  name: "extensions",
  minMajor: 12,
  extensions: [
    "hstore",
    "citext",
    "ltree",
    "pg_trgm",
    "intarray",
    "btree_gist",
    "uuid-ossp",
    "unaccent",
    "pgcrypto",
    "cube",
  ],
  sql: String.raw`
CREATE SCHEMA "Ext ensions";
CREATE SCHEMA ext_hstore;
CREATE SCHEMA uses_extensions;
CREATE EXTENSION hstore WITH SCHEMA ext_hstore;
CREATE EXTENSION citext WITH SCHEMA "Ext ensions";
CREATE EXTENSION ltree WITH SCHEMA "Ext ensions";
CREATE EXTENSION pg_trgm WITH SCHEMA "Ext ensions";
CREATE EXTENSION intarray;
CREATE EXTENSION btree_gist WITH SCHEMA "Ext ensions";
CREATE EXTENSION "uuid-ossp" WITH SCHEMA ext_hstore;
CREATE EXTENSION unaccent WITH SCHEMA public;
CREATE EXTENSION pgcrypto WITH SCHEMA "Ext ensions";
CREATE EXTENSION cube WITH SCHEMA ext_hstore;
COMMENT ON EXTENSION hstore IS 'Changed comment';

CREATE TABLE uses_extensions.t (
  id uuid PRIMARY KEY DEFAULT ext_hstore.uuid_generate_v4(), h ext_hstore.hstore, c "Ext ensions".citext UNIQUE, l "Ext ensions".ltree, q "Ext ensions".lquery,
  words text, ints integer[], k ext_hstore.cube, hs ext_hstore.hstore[], room integer, during tsrange,
  EXCLUDE USING gist (room "Ext ensions".gist_int4_ops WITH =, during WITH &&)
);
INSERT INTO uses_extensions.t VALUES
  ('00000000-0000-0000-0000-000000000001', '"a b"=>"quo\"te", c=>NULL, ""=>"\\"', 'CaSe', 'Top.Science', '*.foo|bar*.*{1,2}.!x', 'some words', '{3,1,2}', '(1,2),(3,4)', '{"a=>1",NULL}', 1, '[2024-01-01,2024-01-02)'),
  ('00000000-0000-0000-0000-000000000002', '', '', '', NULL, '', '{}', '(0)', '{}', 1, '[2024-01-02,2024-01-03)');
CREATE INDEX ON uses_extensions.t USING gin (words "Ext ensions".gin_trgm_ops);
CREATE INDEX ON uses_extensions.t USING gist (l);
CREATE INDEX ON uses_extensions.t USING gin (ints public.gin__int_ops);
CREATE INDEX ON uses_extensions.t USING gin (h);
CREATE INDEX ON uses_extensions.t (c DESC);
CREATE DOMAIN uses_extensions.email AS "Ext ensions".citext CHECK (VALUE OPERATOR("Ext ensions".~) '@');
CREATE TABLE uses_extensions.d (e uses_extensions.email PRIMARY KEY);
INSERT INTO uses_extensions.d VALUES ('Me@Example.COM');
CREATE TEXT SEARCH CONFIGURATION uses_extensions.plain (COPY = pg_catalog.simple);
ALTER TEXT SEARCH CONFIGURATION uses_extensions.plain ALTER MAPPING FOR hword, hword_part, word WITH public.unaccent, simple;
CREATE FUNCTION uses_extensions.digest_of(text) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT "Ext ensions".digest($1, 'sha256') $$;
CREATE VIEW uses_extensions.v AS SELECT id, h OPERATOR(ext_hstore.->) 'a b' AS a FROM uses_extensions.t;
GRANT EXECUTE ON FUNCTION "Ext ensions".digest(text, text) TO pg_monitor;
`,
};

/**
 * Foreign data: wrapper, servers, mappings with passwords, tables. Nothing may be copied and no
 * foreign server contacted.
 */
export const foreignData: CorpusEntry = {
  name: "foreign data",
  minMajor: 12,
  extensions: ["postgres_fdw", "file_fdw"],
  sql: String.raw`
CREATE SCHEMA foreign_data;
CREATE EXTENSION IF NOT EXISTS postgres_fdw;
CREATE EXTENSION IF NOT EXISTS file_fdw;
CREATE FOREIGN DATA WRAPPER "Own wrapper" OPTIONS (debug 'it''s \ true');
CREATE SERVER "no such server" TYPE 'odd' VERSION '1.0' FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1', dbname 'a ''b'' \');
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE SERVER own FOREIGN DATA WRAPPER "Own wrapper";
CREATE USER MAPPING FOR PUBLIC SERVER "no such server" OPTIONS (user 'u', password 'secret ''\');
CREATE USER MAPPING FOR CURRENT_USER SERVER own OPTIONS ("Odd option" 'x');
CREATE FOREIGN TABLE foreign_data.unreachable (id integer OPTIONS (column_name 'the id') NOT NULL, t text DEFAULT 'x', CHECK (id > 0)) SERVER "no such server" OPTIONS (schema_name 'a b', table_name 'c''d');
CREATE FOREIGN TABLE foreign_data.no_file (line text) SERVER files OPTIONS (filename '/nonexistent/file', format 'csv');
CREATE TABLE foreign_data.mixed (id integer, t text) PARTITION BY LIST (id);
CREATE TABLE foreign_data.mixed_1 PARTITION OF foreign_data.mixed FOR VALUES IN (1);
-- A partition that is elsewhere: reading the whole table would go there.
CREATE FOREIGN TABLE foreign_data.mixed_2 PARTITION OF foreign_data.mixed FOR VALUES IN (2) SERVER "no such server";
INSERT INTO foreign_data.mixed VALUES (1, 'here');
GRANT USAGE ON FOREIGN SERVER files TO pg_monitor;
GRANT USAGE ON FOREIGN DATA WRAPPER file_fdw TO pg_monitor WITH GRANT OPTION;
COMMENT ON SERVER files IS 'Files';
COMMENT ON FOREIGN TABLE foreign_data.no_file IS 'Nothing there';
`,
};
