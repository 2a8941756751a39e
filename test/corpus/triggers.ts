import type { CorpusEntry } from "./entry.ts";

/** Triggers and rules that would change the data if they fired during the load. */
export const triggers: CorpusEntry = {
  name: "triggers",
  minMajor: 12,
  sql: String.raw`
CREATE SCHEMA triggers;
CREATE TABLE triggers.log (n serial, what text);
CREATE FUNCTION triggers.corrupt() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := 'corrupted by ' || TG_NAME; RETURN NEW; END $$;
CREATE FUNCTION triggers.swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE FUNCTION triggers.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused by %: %', TG_NAME, TG_ARGV; END $$;
CREATE FUNCTION triggers.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO triggers.log (what) VALUES (TG_OP || ' ' || TG_TABLE_NAME || ' ' || COALESCE(array_to_string(TG_ARGV, '|'), '')); RETURN NULL; END $$;
CREATE FUNCTION triggers.count_rows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO triggers.log (what) SELECT 'rows ' || count(*) FROM fresh; RETURN NULL; END $$;

CREATE TABLE triggers.corrupting (id integer PRIMARY KEY, v text);
CREATE TABLE triggers.swallowing (id integer PRIMARY KEY, v text);
CREATE TABLE triggers.always (id integer PRIMARY KEY, v text);
CREATE TABLE triggers.states (id integer PRIMARY KEY, v text);
CREATE TABLE triggers.parent (id integer PRIMARY KEY);
CREATE TABLE triggers.child (id integer REFERENCES triggers.parent);
INSERT INTO triggers.corrupting SELECT i, 'v' || i FROM generate_series(1, 20) AS i;
INSERT INTO triggers.swallowing SELECT i, 'v' || i FROM generate_series(1, 20) AS i;
INSERT INTO triggers.always SELECT i, 'v' || i FROM generate_series(1, 20) AS i;
INSERT INTO triggers.states VALUES (1, 'x');
INSERT INTO triggers.parent VALUES (1);
INSERT INTO triggers.child VALUES (1), (1);

CREATE TRIGGER corrupt BEFORE INSERT OR UPDATE ON triggers.corrupting FOR EACH ROW EXECUTE FUNCTION triggers.corrupt();
CREATE TRIGGER swallow BEFORE INSERT ON triggers.swallowing FOR EACH ROW WHEN (NEW.id > 3) EXECUTE FUNCTION triggers.swallow();
-- session_replication_role does not silence these.
CREATE TRIGGER corrupt_always BEFORE INSERT ON triggers.always FOR EACH ROW EXECUTE FUNCTION triggers.corrupt();
ALTER TABLE triggers.always ENABLE ALWAYS TRIGGER corrupt_always;
CREATE TRIGGER refuse_always BEFORE INSERT ON triggers.always FOR EACH STATEMENT EXECUTE FUNCTION triggers.refuse('it''s', 'a\b', E'new\nline', '');
ALTER TABLE triggers.always ENABLE ALWAYS TRIGGER refuse_always;
CREATE TRIGGER s_disabled BEFORE INSERT ON triggers.states FOR EACH ROW EXECUTE FUNCTION triggers.refuse();
CREATE TRIGGER s_replica BEFORE INSERT ON triggers.states FOR EACH ROW EXECUTE FUNCTION triggers.corrupt();
CREATE TRIGGER s_normal AFTER INSERT OR DELETE OR UPDATE OF v, id OR TRUNCATE ON triggers.states FOR EACH STATEMENT EXECUTE FUNCTION triggers.note('a', '%s');
CREATE TRIGGER s_rows AFTER INSERT ON triggers.states REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION triggers.count_rows();
CREATE TRIGGER "s: When?" AFTER UPDATE ON triggers.states FOR EACH ROW WHEN (OLD.v IS DISTINCT FROM NEW.v AND NEW.v <> '''') EXECUTE FUNCTION triggers.note();
CREATE CONSTRAINT TRIGGER s_constraint AFTER INSERT OR UPDATE ON triggers.states FROM triggers.parent DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION triggers.note();
ALTER TABLE triggers.states DISABLE TRIGGER s_disabled;
ALTER TABLE triggers.states ENABLE REPLICA TRIGGER s_replica;
COMMENT ON TRIGGER s_normal ON triggers.states IS 'Notes';

CREATE VIEW triggers.writable AS SELECT id, v FROM triggers.states;
CREATE TRIGGER instead INSTEAD OF INSERT ON triggers.writable FOR EACH ROW EXECUTE FUNCTION triggers.swallow();

-- Rules: COPY ignores them, INSERT does not.
CREATE TABLE triggers.ruled (id integer PRIMARY KEY, v text);
INSERT INTO triggers.ruled VALUES (1, 'a'), (2, 'b');
CREATE RULE redirect AS ON INSERT TO triggers.ruled DO INSTEAD INSERT INTO triggers.log (what) VALUES (NEW.v);
CREATE RULE also AS ON UPDATE TO triggers.ruled WHERE NEW.id = 1 DO ALSO (INSERT INTO triggers.log (what) VALUES ('a;b'); DELETE FROM triggers.log WHERE what = ';');
CREATE RULE tell AS ON UPDATE TO triggers.ruled DO ALSO NOTIFY "changed; it";
CREATE RULE off AS ON DELETE TO triggers.ruled DO INSTEAD NOTHING;
CREATE RULE on_replica AS ON DELETE TO triggers.ruled DO ALSO INSERT INTO triggers.log (what) VALUES ('r');
ALTER TABLE triggers.ruled DISABLE RULE off;
ALTER TABLE triggers.ruled ENABLE REPLICA RULE on_replica;
COMMENT ON RULE redirect ON triggers.ruled IS 'Elsewhere';
`,
};

/**
 * Event triggers. The last entry, since one of them records every table created afterwards.
 */
export const eventTriggers: CorpusEntry = {
  name: "event triggers",
  minMajor: 12,
  sql: String.raw`
CREATE SCHEMA event_triggers;
CREATE TABLE event_triggers.log (n serial PRIMARY KEY, tag text, what text);
CREATE FUNCTION event_triggers.note() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO event_triggers.log (tag, what) SELECT command_tag, object_identity FROM pg_event_trigger_ddl_commands();
END
$$;
CREATE FUNCTION event_triggers.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'No DDL here: %', tg_tag; END $$;
CREATE EVENT TRIGGER "refuse: disabled" ON ddl_command_start EXECUTE FUNCTION event_triggers.refuse();
ALTER EVENT TRIGGER "refuse: disabled" DISABLE;
CREATE EVENT TRIGGER refuse_on_replica ON ddl_command_start WHEN TAG IN ('DROP TABLE', 'CREATE TABLE') EXECUTE FUNCTION event_triggers.refuse();
ALTER EVENT TRIGGER refuse_on_replica ENABLE REPLICA;
CREATE EVENT TRIGGER note ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE', 'CREATE INDEX', 'COMMENT') EXECUTE FUNCTION event_triggers.note();
CREATE TABLE event_triggers.noted (id integer PRIMARY KEY);
COMMENT ON EVENT TRIGGER note IS 'Writes down';
`,
};
