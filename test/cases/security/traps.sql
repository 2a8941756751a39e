-- every place where a server could run a user-defined function while rows are read; each creates a file unless seren.trap is off
CREATE SCHEMA m;
CREATE FUNCTION m.boom(n text) RETURNS void LANGUAGE plpgsql AS $b$ BEGIN
  IF current_setting('seren.trap', true) IS DISTINCT FROM 'off' THEN
    EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'cat > DIRECTORY/' || current_setting('port') || '_' || n);
  END IF; END $b$;
CREATE FUNCTION m.num(n text, i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $b$ BEGIN PERFORM m.boom(n); RETURN i; END $b$;
CREATE FUNCTION m.yes(n text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $b$ BEGIN PERFORM m.boom(n); RETURN true; END $b$;
CREATE TYPE comp AS (x int, y text);
CREATE TYPE wrap AS (c comp, l comp[]);
CREATE TYPE en AS ENUM ('x', 'y', 'z');
CREATE DOMAIN dom AS int CHECK (m.yes('domain_check') AND VALUE > 0);
CREATE DOMAIN dtext AS text CHECK (m.yes('domain_text_check'));
CREATE DOMAIN dcomp AS comp CHECK (m.yes('domain_comp_check'));
CREATE DOMAIN den AS en CHECK (m.yes('domain_enum_check'));

CREATE FUNCTION m.comp_text(comp) RETURNS text LANGUAGE plpgsql AS $b$ BEGIN PERFORM m.boom('cast_comp'); RETURN 'same'; END $b$;
CREATE FUNCTION m.en_text(en) RETURNS text LANGUAGE plpgsql AS $b$ BEGIN PERFORM m.boom('cast_enum'); RETURN 'same'; END $b$;
CREATE FUNCTION m.comp_json(comp) RETURNS json LANGUAGE plpgsql AS $b$ BEGIN PERFORM m.boom('cast_json'); RETURN '1'; END $b$;
CREATE FUNCTION m.ens_text(en[]) RETURNS text LANGUAGE plpgsql AS $b$ BEGIN PERFORM m.boom('cast_enums'); RETURN 'same'; END $b$;
CREATE FUNCTION m.int_text(int4) RETURNS text LANGUAGE plpgsql AS $b$ BEGIN PERFORM m.boom('cast_int'); RETURN 'same'; END $b$;
CREATE CAST (comp AS text) WITH FUNCTION m.comp_text(comp) AS IMPLICIT;
CREATE CAST (en AS text) WITH FUNCTION m.en_text(en) AS IMPLICIT;
CREATE CAST (comp AS json) WITH FUNCTION m.comp_json(comp);
CREATE CAST (en[] AS text) WITH FUNCTION m.ens_text(en[]) AS ASSIGNMENT;
CREATE CAST (int4 AS text) WITH FUNCTION m.int_text(int4);

CREATE FUNCTION m.comp_cmp(comp, comp) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $b$ BEGIN PERFORM m.boom('compare_comp'); RETURN btint4cmp($1.x, $2.x); END $b$;
CREATE FUNCTION m.comp_hash(comp) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $b$ BEGIN PERFORM m.boom('hash_comp'); RETURN 1; END $b$;
CREATE FUNCTION m.comp_hash2(comp, int8) RETURNS int8 LANGUAGE plpgsql IMMUTABLE AS $b$ BEGIN PERFORM m.boom('hash_comp_extended'); RETURN 1; END $b$;
CREATE FUNCTION m.comp_lt(comp, comp) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $b$ BEGIN PERFORM m.boom('less_comp'); RETURN $1.x < $2.x; END $b$;
CREATE FUNCTION m.comp_le(comp, comp) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $b$ BEGIN PERFORM m.boom('less_comp'); RETURN $1.x <= $2.x; END $b$;
CREATE FUNCTION m.comp_eq(comp, comp) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $b$ BEGIN PERFORM m.boom('equal_comp'); RETURN $1.x = $2.x; END $b$;
CREATE FUNCTION m.comp_ge(comp, comp) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $b$ BEGIN PERFORM m.boom('less_comp'); RETURN $1.x >= $2.x; END $b$;
CREATE FUNCTION m.comp_gt(comp, comp) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $b$ BEGIN PERFORM m.boom('less_comp'); RETURN $1.x > $2.x; END $b$;
CREATE OPERATOR < (leftarg = comp, rightarg = comp, function = m.comp_lt);
CREATE OPERATOR <= (leftarg = comp, rightarg = comp, function = m.comp_le);
CREATE OPERATOR = (leftarg = comp, rightarg = comp, function = m.comp_eq, hashes);
CREATE OPERATOR >= (leftarg = comp, rightarg = comp, function = m.comp_ge);
CREATE OPERATOR > (leftarg = comp, rightarg = comp, function = m.comp_gt);
CREATE OPERATOR CLASS comp_ops DEFAULT FOR TYPE comp USING btree AS
  OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 m.comp_cmp(comp, comp);
CREATE OPERATOR CLASS comp_hash_ops DEFAULT FOR TYPE comp USING hash AS
  OPERATOR 1 =, FUNCTION 1 m.comp_hash(comp), FUNCTION 2 m.comp_hash2(comp, int8);
CREATE FUNCTION m.comp_diff(comp, comp) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS $b$ BEGIN PERFORM m.boom('range_difference'); RETURN 1; END $b$;
CREATE TYPE rng AS RANGE (subtype = comp, subtype_opclass = comp_ops, subtype_diff = m.comp_diff);
CREATE FUNCTION m.rng_text(rng) RETURNS text LANGUAGE plpgsql AS $b$ BEGIN PERFORM m.boom('cast_range'); RETURN 'same'; END $b$;
CREATE CAST (rng AS text) WITH FUNCTION m.rng_text(rng) AS ASSIGNMENT;

CREATE FUNCTION m.en_eq(en, en) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $b$ BEGIN PERFORM m.boom('equal_enum'); RETURN enum_eq($1, $2); END $b$;
CREATE FUNCTION m.en_any(en, text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $b$ BEGIN PERFORM m.boom('equal_enum_text'); RETURN true; END $b$;
CREATE OPERATOR = (leftarg = en, rightarg = en, function = m.en_eq);
CREATE OPERATOR = (leftarg = en, rightarg = text, function = m.en_any);

CREATE TABLE by_enum (e en PRIMARY KEY, v int);
CREATE TABLE by_domain (d dom PRIMARY KEY, v int);
CREATE TABLE by_domains (t dtext, e den, i int, v text, PRIMARY KEY (t, e, i));
CREATE TABLE by_comp (c comp PRIMARY KEY, v int);
CREATE TABLE by_dcomp (c dcomp NOT NULL UNIQUE, v int);
CREATE TABLE by_range (r rng PRIMARY KEY, v int);
CREATE TABLE by_array (a en[] PRIMARY KEY, v int);
CREATE TABLE by_comps (a comp[] PRIMARY KEY, v int);
CREATE TABLE no_key (c comp, e en, d dom, w wrap, r rng, ens en[], ws wrap[], dc dcomp);
CREATE TABLE everything (id int PRIMARY KEY, c comp, e en, d dom, w wrap, r rng, ens en[], ws wrap[], dc dcomp,
  f int GENERATED ALWAYS AS (m.num('stored', d)) STORED /*VIRTUAL*/, x int DEFAULT m.num('default', 3), CHECK (m.yes('check') AND id > 0));
CREATE TABLE parts (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (10);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (100000) ;
ALTER TABLE parts_2 ADD CHECK (id > m.num('constraint_exclusion', 0));
CREATE TABLE expressed (id int, v text) PARTITION BY RANGE ((m.num('partition_key', id)));
CREATE TABLE expressed_1 PARTITION OF expressed FOR VALUES FROM (1) TO (1000);
CREATE TABLE guarded (id int PRIMARY KEY, v text);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON guarded USING (m.yes('policy'));
CREATE FUNCTION m.fired() RETURNS trigger LANGUAGE plpgsql AS $b$ BEGIN PERFORM m.boom('trigger'); RETURN NEW; END $b$;
CREATE TRIGGER t BEFORE INSERT OR UPDATE ON guarded FOR EACH ROW EXECUTE FUNCTION m.fired();
CREATE RULE r AS ON UPDATE TO by_domains WHERE m.yes('rule') DO ALSO NOTHING;
CREATE VIEW seen AS SELECT m.num('view', id) AS id, c FROM everything;
CREATE MATERIALIZED VIEW kept AS SELECT id, m.num('matview', id) AS n, c, e FROM everything;

INSERT INTO by_enum VALUES ('x', 1), ('y', 2), ('z', 3);
INSERT INTO by_domain SELECT i, i FROM generate_series(1, 20) i;
INSERT INTO by_domains SELECT format('t%s', i), 'x', i, 'v' FROM generate_series(1, 20) i;
INSERT INTO by_comp SELECT ROW(i, 'v')::comp, i FROM generate_series(1, 20) i;
INSERT INTO by_dcomp SELECT ROW(i, 'v')::comp, i FROM generate_series(1, 20) i;
INSERT INTO by_range SELECT rng(ROW(i, 'v')::comp, ROW(i + 1, 'v')::comp), i FROM generate_series(1, 20) i;
INSERT INTO by_array VALUES ('{x}', 1), ('{x,y}', 2), ('{z}', 3);
INSERT INTO by_comps SELECT ARRAY[ROW(i, 'v')::comp], i FROM generate_series(1, 20) i;
INSERT INTO no_key SELECT ROW(i, 'v')::comp, 'x', i, ROW(ROW(i, 'w')::comp, ARRAY[ROW(i, 'l')::comp])::wrap,
  rng(ROW(i, 'v')::comp, NULL), '{x,y}', ARRAY[ROW(NULL, NULL)::wrap], ROW(i, 'd')::comp FROM generate_series(1, 20) i;
INSERT INTO everything (id, c, e, d, w, r, ens, ws, dc) SELECT row_number() OVER (), * FROM no_key;
INSERT INTO parts SELECT i, format('v%s', i) FROM generate_series(1, 6000) i;
INSERT INTO expressed SELECT i, format('v%s', i) FROM generate_series(1, 20) i;
INSERT INTO guarded SELECT i, format('v%s', i) FROM generate_series(1, 20) i;
REFRESH MATERIALIZED VIEW kept;
CREATE INDEX ON everything (m.num('index_expression', id));
CREATE INDEX ON everything (id) WHERE m.num('index_predicate', id) > 0;
ANALYZE;
