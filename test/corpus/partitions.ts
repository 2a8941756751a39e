import type { CorpusEntry } from "./entry.ts";
import { COMMON_ROLES } from "./roles.ts";

/** Partition trees of every kind, three levels deep, with peculiarities found in practice. */
export const partitions: CorpusEntry = {
  name: "partitions",
  minMajor: 12,
  globals: COMMON_ROLES,
  sql: String.raw`
CREATE SCHEMA partitions;
CREATE SCHEMA "partitions: elsewhere";
-- Range by list by hash.
CREATE TABLE partitions.tree (id bigint NOT NULL, region text, at date NOT NULL, v text DEFAULT 'parent', PRIMARY KEY (at, id, region)) PARTITION BY RANGE (at);
CREATE TABLE partitions.tree_2023 PARTITION OF partitions.tree FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
CREATE TABLE partitions.tree_2024 PARTITION OF partitions.tree FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY LIST (region);
CREATE TABLE "partitions: elsewhere"."2024, EU" PARTITION OF partitions.tree_2024 FOR VALUES IN ('eu', 'it''s', E'new\nline', '') PARTITION BY HASH (id);
CREATE TABLE partitions.tree_2024_eu_0 PARTITION OF "partitions: elsewhere"."2024, EU" FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE partitions.tree_2024_eu_1 PARTITION OF "partitions: elsewhere"."2024, EU" (v DEFAULT 'child') FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE UNLOGGED TABLE partitions.tree_2024_eu_2 PARTITION OF "partitions: elsewhere"."2024, EU" FOR VALUES WITH (MODULUS 6, REMAINDER 2);
CREATE TABLE partitions.tree_2024_eu_5 PARTITION OF "partitions: elsewhere"."2024, EU" FOR VALUES WITH (MODULUS 6, REMAINDER 5) WITH (fillfactor = 50);
CREATE TABLE partitions.tree_2024_rest PARTITION OF partitions.tree_2024 DEFAULT;
CREATE TABLE partitions.tree_default PARTITION OF partitions.tree DEFAULT PARTITION BY RANGE (id);
CREATE TABLE partitions.tree_default_all PARTITION OF partitions.tree_default FOR VALUES FROM (MINVALUE) TO (MAXVALUE);
-- Attached: another order of columns, dropped columns, an index and a check of its own.
CREATE TABLE partitions.attached (gone integer, v text, region text NOT NULL, gone2 text, at date NOT NULL, id bigint NOT NULL, CHECK (at >= '2025-01-01' AND at < '2026-01-01'));
INSERT INTO partitions.attached (v, region, at, id) VALUES ('attached', 'eu', '2025-05-05', 1), ('attached', 'us', '2025-05-06', 2);
ALTER TABLE partitions.attached DROP COLUMN gone, DROP COLUMN gone2;
CREATE INDEX attached_own ON partitions.attached (v);
ALTER TABLE partitions.tree ATTACH PARTITION partitions.attached FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE INDEX tree_by_v ON partitions.tree (v, region DESC) INCLUDE (id);
INSERT INTO partitions.tree (id, region, at)
SELECT i, (ARRAY['eu', 'us', 'asia', ''])[1 + i % 4], date '2023-06-01' + i FROM generate_series(1, 1500) AS i;
GRANT SELECT ON partitions.tree TO corpus_reader;
GRANT INSERT ON partitions.tree_2023 TO corpus_app;
ALTER TABLE partitions.tree_2023 OWNER TO corpus_other_owner;

-- Several keys, expressions, collations and operator classes.
CREATE TABLE partitions.expressions (a integer, b text, c date) PARTITION BY RANGE (lower(b) COLLATE "C" text_pattern_ops, (a % 10), c);
CREATE TABLE partitions.expressions_1 PARTITION OF partitions.expressions FOR VALUES FROM ('a', MINVALUE, MINVALUE) TO ('m', 5, '2024-01-01');
CREATE TABLE partitions.expressions_2 PARTITION OF partitions.expressions FOR VALUES FROM ('m', 5, '2024-01-01') TO (MAXVALUE, MAXVALUE, MAXVALUE);
INSERT INTO partitions.expressions VALUES (1, 'B', '2024-01-01'), (1, 'zz', '2025-01-01');
CREATE TABLE partitions.list_null (k text, v integer) PARTITION BY LIST (k);
CREATE TABLE partitions.list_null_1 PARTITION OF partitions.list_null FOR VALUES IN (NULL, 'x');
CREATE TABLE partitions.list_bool (k boolean, v integer GENERATED ALWAYS AS (1) STORED) PARTITION BY LIST (k);
CREATE TABLE partitions.list_bool_1 PARTITION OF partitions.list_bool FOR VALUES IN (true);
INSERT INTO partitions.list_null VALUES (NULL, 1), ('x', 2);
INSERT INTO partitions.list_bool VALUES (true);
CREATE TABLE partitions.no_partitions (a integer PRIMARY KEY) PARTITION BY HASH (a);

-- Keys to and from a partitioned table.
CREATE TABLE partitions.parent (id integer PRIMARY KEY, t text) PARTITION BY HASH (id);
CREATE TABLE partitions.parent_0 PARTITION OF partitions.parent FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE partitions.parent_1 PARTITION OF partitions.parent FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO partitions.parent SELECT i, 'p' || i FROM generate_series(1, 20) AS i;
CREATE TABLE partitions.child (id integer NOT NULL, parent_id integer REFERENCES partitions.parent ON DELETE CASCADE, self integer) PARTITION BY RANGE (id);
CREATE TABLE partitions.child_1 PARTITION OF partitions.child FOR VALUES FROM (0) TO (100);
CREATE TABLE partitions.child_2 PARTITION OF partitions.child FOR VALUES FROM (100) TO (200);
ALTER TABLE partitions.child ADD PRIMARY KEY (id);
ALTER TABLE partitions.child ADD FOREIGN KEY (self) REFERENCES partitions.child;
INSERT INTO partitions.child SELECT i * 20, i, i * 20 FROM generate_series(1, 9) AS i;

-- An index that some partitions have and others lack, so that the parent's is invalid.
CREATE INDEX incomplete ON ONLY partitions.child (parent_id);
CREATE INDEX incomplete_1 ON partitions.child_1 (parent_id);
ALTER INDEX partitions.incomplete ATTACH PARTITION partitions.incomplete_1;

CREATE FUNCTION partitions.stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO partitions.stamps VALUES (TG_TABLE_NAME); RETURN NULL; END $$;
CREATE TABLE partitions.stamps (t text);
CREATE TRIGGER stamp AFTER INSERT ON partitions.parent FOR EACH ROW EXECUTE FUNCTION partitions.stamp();
ALTER TABLE partitions.parent_1 DISABLE TRIGGER stamp;
COMMENT ON TABLE partitions.parent_0 IS 'A partition';
COMMENT ON INDEX partitions.tree_by_v IS 'A partitioned index';
`,
};

/** Table inheritance. */
export const inheritance: CorpusEntry = {
  name: "inheritance",
  minMajor: 12,
  sql: String.raw`
CREATE SCHEMA inheritance;
CREATE TABLE inheritance.base (id integer PRIMARY KEY, name text DEFAULT 'base' NOT NULL, CONSTRAINT named CHECK (name <> ''), CONSTRAINT only_here CHECK (id < 1000) NO INHERIT);
CREATE TABLE inheritance.other (id integer, extra jsonb DEFAULT '{}');
CREATE TABLE inheritance.child (name text DEFAULT 'child', own integer) INHERITS (inheritance.base);
CREATE TABLE inheritance.both (z integer) INHERITS (inheritance.child, inheritance.other);
CREATE TABLE inheritance.late (extra jsonb, id integer, more text);
ALTER TABLE inheritance.late INHERIT inheritance.other;
-- Each has rows of its own: reading the parent without ONLY gives them twice.
INSERT INTO inheritance.base VALUES (1, 'b');
INSERT INTO inheritance.child VALUES (1, 'c', 10), (2, 'c2', 20);
INSERT INTO inheritance.both VALUES (1, 'x', 1, '{"a": 1}', 5);
INSERT INTO inheritance.other VALUES (7, NULL);
INSERT INTO inheritance.late VALUES ('[]', 8, 'm');
CREATE INDEX ON inheritance.child (own);
ALTER TABLE inheritance.base ADD COLUMN added integer DEFAULT 5;
ALTER TABLE ONLY inheritance.child ALTER COLUMN added SET DEFAULT 6;
ALTER TABLE inheritance.both ALTER COLUMN name SET DEFAULT 'both';
`,
};

/** Row triggers before the event on partitioned tables. */
export const partitions13: CorpusEntry = {
  name: "partitions of 13",
  minMajor: 13,
  sql: String.raw`
CREATE SCHEMA partitions13;
CREATE FUNCTION partitions13.change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := NEW.v || '!'; RETURN NEW; END $$;
CREATE TABLE partitions13.t (id integer, v text) PARTITION BY LIST (id);
CREATE TABLE partitions13.t_1 PARTITION OF partitions13.t FOR VALUES IN (1);
CREATE TABLE partitions13.t_2 PARTITION OF partitions13.t FOR VALUES IN (2);
INSERT INTO partitions13.t VALUES (1, 'a'), (2, 'b');
-- Fired while rows are copied it would change them.
CREATE TRIGGER change BEFORE INSERT OR UPDATE ON partitions13.t FOR EACH ROW EXECUTE FUNCTION partitions13.change();
ALTER TABLE partitions13.t_2 ENABLE ALWAYS TRIGGER change;
`,
};

/** Identity columns on partitioned tables. */
export const partitions17: CorpusEntry = {
  name: "partitions of 17",
  minMajor: 17,
  sql: String.raw`
CREATE SCHEMA partitions17;
CREATE TABLE partitions17.t (id integer GENERATED ALWAYS AS IDENTITY, v text) PARTITION BY RANGE (id);
CREATE TABLE partitions17.t_1 PARTITION OF partitions17.t FOR VALUES FROM (1) TO (100);
INSERT INTO partitions17.t (v) VALUES ('a'), ('b');
`,
};
