import { type CorpusEntry, literal, quote, role } from "./entry.ts";

/**
 * Role names that break tools which quote by hand; the names of `nastyNames` are used for
 * everything else.
 */
export const NASTY_ROLE = `Röle "quoted" o'neil; DROP ROLE x; -- \\ % .`;

/** Roles that several entries use. */
export const COMMON_ROLES: string = [
  role("corpus_owner", "NOLOGIN"),
  role("corpus_other_owner", "NOLOGIN"),
  role("corpus_app", "LOGIN PASSWORD 'app secret'"),
  role("corpus_reader", "NOLOGIN"),
  role(NASTY_ROLE, "NOLOGIN"),
  "GRANT corpus_reader TO corpus_app;",
].join("\n");

const LIMITED = "corpus_limited";

/** Attributes, passwords, memberships and settings, including those for a single database. */
export const roles: CorpusEntry = {
  name: "roles",
  minMajor: 12,
  globals: [
    COMMON_ROLES,
    role(
      LIMITED,
      "LOGIN CREATEDB CREATEROLE NOINHERIT CONNECTION LIMIT 3 VALID UNTIL '2099-12-31 23:59:59+00' PASSWORD 'it''s \\ \"secret\" $$'",
    ),
    // words that text matching may confuse
    role("superuser", "NOSUPERUSER NOLOGIN"),
    role("nosuperuser", "SUPERUSER NOLOGIN"),
    role("corpus_replication", "REPLICATION LOGIN"),
    role("corpus_bypass", "BYPASSRLS NOLOGIN"),
    role("UPPER role", "LOGIN"),
    role("user", "NOLOGIN"),
    role("a23456789_123456789_123456789_123456789_123456789_123456789_end", "NOLOGIN"),
    "GRANT corpus_reader TO corpus_limited WITH ADMIN OPTION;",
    `GRANT corpus_owner TO ${quote(NASTY_ROLE)};`,
    'GRANT "UPPER role" TO "user";',
    "GRANT pg_monitor TO corpus_limited;",
    `ALTER ROLE ${LIMITED} SET search_path = "$user", public, 'odd, "schema"';`,
    `ALTER ROLE ${LIMITED} SET work_mem = '7MB';`,
    `ALTER ROLE ${LIMITED} SET "custom.setting" = 'it''s \\ a "value"';`,
    `ALTER ROLE ${quote(NASTY_ROLE)} SET datestyle = 'German, DMY';`,
    `COMMENT ON ROLE ${quote(NASTY_ROLE)} IS ${literal("About\nan odd role; \\ 'x'")};`,
  ].join("\n"),
  sql: String.raw`
DO $$
BEGIN
  EXECUTE format('ALTER DATABASE %I SET statement_timeout = ''10min''', current_database());
  EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database());
  EXECUTE format('ALTER DATABASE %I SET "custom.database" = %L', current_database(), 'it''s \ 100%%');
  EXECUTE format('ALTER ROLE corpus_app IN DATABASE %I SET timezone = ''Asia/Tokyo''', current_database());
  EXECUTE format('ALTER ROLE corpus_limited IN DATABASE %I SET default_transaction_read_only = on', current_database());
  EXECUTE format('GRANT CREATE, TEMPORARY ON DATABASE %I TO corpus_app WITH GRANT OPTION', current_database());
  EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
  EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 77', current_database());
  EXECUTE format('COMMENT ON DATABASE %I IS %L', current_database(), E'The corpus:\n''all'' "of" it');
END
$$;
`,
};

/**
 * Ownership by several roles, grants of every kind, grants by non-owners, default privileges.
 */
export const privileges: CorpusEntry = {
  name: "privileges",
  minMajor: 12,
  globals: COMMON_ROLES,
  sql: String.raw`
CREATE SCHEMA privileges AUTHORIZATION corpus_owner;
GRANT USAGE, CREATE ON SCHEMA privileges TO corpus_other_owner;
GRANT USAGE ON SCHEMA privileges TO corpus_app WITH GRANT OPTION;
GRANT USAGE ON SCHEMA privileges TO corpus_reader;
CREATE SCHEMA hidden AUTHORIZATION corpus_other_owner;
REVOKE ALL ON SCHEMA hidden FROM corpus_other_owner;

SET ROLE corpus_owner;
CREATE TABLE privileges.chain (id integer PRIMARY KEY, open text, secret text);
INSERT INTO privileges.chain VALUES (1, 'a', 'b');
GRANT SELECT, INSERT ON privileges.chain TO corpus_app WITH GRANT OPTION;
RESET ROLE;
SET ROLE corpus_app;
-- Granted by one who is not the owner.
GRANT SELECT ON privileges.chain TO corpus_reader WITH GRANT OPTION;
RESET ROLE;
SET ROLE corpus_reader;
GRANT SELECT ON privileges.chain TO corpus_other_owner;
RESET ROLE;

CREATE TABLE privileges.columns (a integer, b integer, "C c" text);
ALTER TABLE privileges.columns OWNER TO corpus_owner;
GRANT SELECT (a), UPDATE (b, "C c"), INSERT ("C c"), REFERENCES (a) ON privileges.columns TO corpus_app;
GRANT SELECT (b) ON privileges.columns TO PUBLIC;
GRANT SELECT (a) ON privileges.columns TO "Röle ""quoted"" o'neil; DROP ROLE x; -- \ % ." WITH GRANT OPTION;

CREATE TABLE privileges.all_granted ();
GRANT ALL ON privileges.all_granted TO corpus_app;
CREATE TABLE privileges.owner_revoked (i integer);
INSERT INTO privileges.owner_revoked VALUES (1), (2);
ALTER TABLE privileges.owner_revoked OWNER TO corpus_owner;
-- The owner's own rights are taken away: a copy made as the owner cannot insert.
REVOKE ALL ON privileges.owner_revoked FROM corpus_owner;
CREATE TABLE privileges.some_revoked (i integer);
REVOKE INSERT, TRUNCATE ON privileges.some_revoked FROM CURRENT_USER;

CREATE SEQUENCE privileges.numbers;
ALTER SEQUENCE privileges.numbers OWNER TO corpus_other_owner;
GRANT USAGE, SELECT ON SEQUENCE privileges.numbers TO corpus_app;
SELECT setval('privileges.numbers', 42, false);

CREATE FUNCTION privileges.nobody(integer, text) RETURNS integer LANGUAGE sql AS 'SELECT $1';
REVOKE ALL ON FUNCTION privileges.nobody(integer, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION privileges.nobody(integer, text) TO corpus_app WITH GRANT OPTION;
ALTER FUNCTION privileges.nobody(integer, text) OWNER TO corpus_owner;
CREATE PROCEDURE privileges.work() LANGUAGE sql AS 'SELECT 1';
REVOKE EXECUTE ON PROCEDURE privileges.work() FROM PUBLIC;
CREATE AGGREGATE privileges.total(integer) (SFUNC = int4pl, STYPE = integer);
ALTER AGGREGATE privileges.total(integer) OWNER TO corpus_other_owner;
GRANT EXECUTE ON FUNCTION privileges.total(integer) TO corpus_reader;

CREATE DOMAIN privileges.short AS varchar(5);
REVOKE USAGE ON DOMAIN privileges.short FROM PUBLIC;
GRANT USAGE ON DOMAIN privileges.short TO corpus_app;
CREATE TYPE privileges.mood AS ENUM ('sad', 'ok');
ALTER TYPE privileges.mood OWNER TO corpus_other_owner;
GRANT USAGE ON TYPE privileges.mood TO corpus_reader WITH GRANT OPTION;
REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC;
GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC;
GRANT USAGE ON LANGUAGE plpgsql TO corpus_app;

CREATE VIEW privileges.shown AS SELECT open FROM privileges.chain;
ALTER VIEW privileges.shown OWNER TO corpus_owner;
GRANT SELECT ON privileges.shown TO PUBLIC;
CREATE MATERIALIZED VIEW privileges.kept AS SELECT open FROM privileges.chain;
ALTER MATERIALIZED VIEW privileges.kept OWNER TO corpus_other_owner;

ALTER DEFAULT PRIVILEGES FOR ROLE corpus_owner GRANT SELECT ON TABLES TO corpus_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE corpus_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE corpus_owner IN SCHEMA privileges GRANT INSERT ON TABLES TO corpus_app WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES FOR ROLE corpus_owner IN SCHEMA privileges GRANT USAGE ON SEQUENCES TO corpus_app;
ALTER DEFAULT PRIVILEGES FOR ROLE corpus_other_owner GRANT USAGE ON TYPES TO corpus_app;
ALTER DEFAULT PRIVILEGES FOR ROLE corpus_other_owner GRANT USAGE ON SCHEMAS TO corpus_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA privileges REVOKE ALL ON TABLES FROM CURRENT_USER;

-- A grant that outlives nobody: made by the owner before the owner changed.
CREATE TABLE privileges.handed_over (i integer);
GRANT UPDATE ON privileges.handed_over TO corpus_app;
ALTER TABLE privileges.handed_over OWNER TO corpus_other_owner;
GRANT CREATE ON SCHEMA public TO corpus_app;
`,
};

/**
 * Row security, including FORCE: rows vanish silently when copied by a role subject to it.
 */
export const rowSecurity: CorpusEntry = {
  name: "row security",
  minMajor: 12,
  globals: COMMON_ROLES,
  sql: String.raw`
CREATE SCHEMA row_security AUTHORIZATION corpus_owner;
CREATE TABLE row_security.forced (id integer PRIMARY KEY, tenant name NOT NULL, "Note" text);
INSERT INTO row_security.forced SELECT i, CASE WHEN i % 2 = 0 THEN 'corpus_app' ELSE 'corpus_reader' END, 'n' || i FROM generate_series(1, 100) AS i;
ALTER TABLE row_security.forced OWNER TO corpus_owner;
ALTER TABLE row_security.forced ENABLE ROW LEVEL SECURITY;
ALTER TABLE row_security.forced FORCE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON row_security.forced USING (tenant = current_user) WITH CHECK (tenant = current_user);
CREATE POLICY "read: all?" ON row_security.forced AS PERMISSIVE FOR SELECT TO corpus_reader, corpus_app USING (id < 10 OR "Note" LIKE '%''\%');
CREATE POLICY never ON row_security.forced AS RESTRICTIVE FOR DELETE USING (false);
COMMENT ON POLICY never ON row_security.forced IS 'Nobody deletes';

-- Enabled with no policy: shows nothing to anybody but its owner.
CREATE TABLE row_security.silent (id integer);
INSERT INTO row_security.silent VALUES (1);
ALTER TABLE row_security.silent ENABLE ROW LEVEL SECURITY;
-- Policies, not enabled.
CREATE TABLE row_security.dormant (id integer);
INSERT INTO row_security.dormant VALUES (1);
CREATE POLICY dormant ON row_security.dormant FOR INSERT WITH CHECK (id IN (SELECT id FROM row_security.forced));
-- Forced, not enabled.
CREATE TABLE row_security.forced_only (id integer);
ALTER TABLE row_security.forced_only FORCE ROW LEVEL SECURITY;
GRANT ALL ON ALL TABLES IN SCHEMA row_security TO corpus_app;
GRANT USAGE ON SCHEMA row_security TO corpus_app;
`,
};
