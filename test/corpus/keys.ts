import type { CorpusEntry } from "./entry.ts";

/**
 * Circular and self-referencing foreign keys, deferred and unvalidated ones, exclusion constraints.
 */
export const constraints: CorpusEntry = {
  name: "constraints",
  minMajor: 12,
  sql: String.raw`
CREATE SCHEMA constraints;
-- A circle of three, none deferrable: no order of inserts can satisfy it.
CREATE TABLE constraints.a (id integer PRIMARY KEY, b_id integer);
CREATE TABLE constraints.b (id integer PRIMARY KEY, c_id integer);
CREATE TABLE constraints.c (id integer PRIMARY KEY, a_id integer);
INSERT INTO constraints.a VALUES (1, 1), (2, 2), (3, NULL);
INSERT INTO constraints.b VALUES (1, 1), (2, 2);
INSERT INTO constraints.c VALUES (1, 1), (2, 2), (3, 3);
ALTER TABLE constraints.a ADD FOREIGN KEY (b_id) REFERENCES constraints.b ON DELETE CASCADE ON UPDATE SET NULL;
ALTER TABLE constraints.b ADD FOREIGN KEY (c_id) REFERENCES constraints.c ON DELETE SET DEFAULT;
ALTER TABLE constraints.c ADD FOREIGN KEY (a_id) REFERENCES constraints.a ON DELETE RESTRICT;

CREATE TABLE constraints.tree (id integer PRIMARY KEY, parent integer REFERENCES constraints.tree, root integer NOT NULL REFERENCES constraints.tree DEFERRABLE INITIALLY DEFERRED);
-- Children before their parents.
INSERT INTO constraints.tree SELECT i, NULLIF(i + 1, 101), 100 FROM generate_series(1, 100) AS i;

CREATE TABLE constraints.many_columns (a integer, b text, c date, CONSTRAINT "PK of many" PRIMARY KEY (c, a, b) INCLUDE (d), d integer, UNIQUE (d) DEFERRABLE, UNIQUE (b, c) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO constraints.many_columns VALUES (1, 'x', '2024-01-01', 1), (2, 'y', '2024-01-01', 2);
CREATE TABLE constraints.refers (x date, y integer, z text, q integer, FOREIGN KEY (x, y, z) REFERENCES constraints.many_columns (c, a, b) MATCH FULL ON UPDATE CASCADE);
INSERT INTO constraints.refers VALUES ('2024-01-01', 1, 'x', 1), (NULL, NULL, NULL, 9);
-- Refers to a unique index that is no constraint.
CREATE UNIQUE INDEX refers_q ON constraints.refers (q);
CREATE TABLE constraints.refers_index (q integer REFERENCES constraints.refers (q));
INSERT INTO constraints.refers_index VALUES (9), (9);

CREATE TABLE constraints.exclusions (
  room integer, during tsrange, c circle, active boolean,
  EXCLUDE USING gist (c WITH &&) WHERE (active),
  CONSTRAINT "no overlap" EXCLUDE USING gist (during WITH &&) DEFERRABLE INITIALLY DEFERRED,
  EXCLUDE USING btree (room WITH =) INCLUDE (active)
);
INSERT INTO constraints.exclusions VALUES (1, '[2024-01-01,2024-01-02)', '<(0,0),1>', true), (2, '[2024-01-02,2024-01-03)', '<(0,0),1>', false);

-- Rows that break a constraint that nobody has validated.
CREATE TABLE constraints.not_valid (id integer PRIMARY KEY, n integer, parent integer);
INSERT INTO constraints.not_valid VALUES (1, -5, 99), (2, 5, 1);
ALTER TABLE constraints.not_valid ADD CONSTRAINT positive CHECK (n > 0) NOT VALID;
ALTER TABLE constraints.not_valid ADD CONSTRAINT orphans FOREIGN KEY (parent) REFERENCES constraints.tree NOT VALID;
INSERT INTO constraints.tree VALUES (200, NULL, 100);
ALTER TABLE constraints.not_valid ADD CONSTRAINT "validated later" CHECK (id <> 0) NOT VALID;
ALTER TABLE constraints.not_valid VALIDATE CONSTRAINT "validated later";

CREATE FUNCTION constraints.is_fine(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 <> ''bad''';
CREATE TABLE constraints.checks (
  t text CHECK (constraints.is_fine(t)), n integer CONSTRAINT "n is > 0; or so" CHECK (n > 0) NO INHERIT, m integer CHECK (m IS NULL OR m < n), CHECK (t ~ '^[a-z\\]*$')
);
INSERT INTO constraints.checks VALUES ('ok', 3, 2), (NULL, NULL, NULL);

CREATE TABLE constraints.indexes (id integer, t text, j jsonb, n integer, gone integer);
CREATE UNIQUE INDEX ON constraints.indexes (id) INCLUDE (t, n);
CREATE UNIQUE INDEX partial_unique ON constraints.indexes (n) WHERE t IS NOT NULL AND n > 0;
CREATE INDEX "expression index" ON constraints.indexes ((j ->> 'a b'), (lower(t) || 'x') text_pattern_ops, n DESC NULLS LAST);
CREATE INDEX ON constraints.indexes (t COLLATE "POSIX", id ASC NULLS FIRST);
INSERT INTO constraints.indexes SELECT i, NULLIF('t' || i, 't5'), jsonb_build_object('a b', i), i FROM generate_series(1, 50) AS i;
ALTER TABLE constraints.indexes ADD CONSTRAINT by_index UNIQUE USING INDEX indexes_id_t_n_idx;
COMMENT ON CONSTRAINT by_index ON constraints.indexes IS 'Made of an index';
`,
};

/** NULLS NOT DISTINCT, and ON DELETE SET NULL for some columns. */
export const constraints15: CorpusEntry = {
  name: "constraints of 15",
  minMajor: 15,
  sql: String.raw`
CREATE SCHEMA constraints15;
CREATE TABLE constraints15.nulls (id integer PRIMARY KEY, a integer, b integer, UNIQUE NULLS NOT DISTINCT (a, b));
CREATE UNIQUE INDEX ON constraints15.nulls (b) NULLS NOT DISTINCT WHERE a > 0;
INSERT INTO constraints15.nulls VALUES (1, NULL, NULL), (2, 1, NULL);
CREATE TABLE constraints15.child (tenant integer, parent integer, x integer, y integer);
ALTER TABLE constraints15.child ADD FOREIGN KEY (parent) REFERENCES constraints15.nulls ON DELETE SET NULL (parent);
`,
};

/** Named NOT NULL constraints, NOT ENFORCED constraints, WITHOUT OVERLAPS keys. */
export const constraints18: CorpusEntry = {
  name: "constraints of 18",
  minMajor: 18,
  extensions: ["btree_gist"],
  sql: String.raw`
CREATE SCHEMA constraints18;
CREATE SCHEMA constraints18_gist;
CREATE TABLE constraints18.not_nulls (id integer PRIMARY KEY, a integer CONSTRAINT "a must be" NOT NULL, b integer CONSTRAINT no_b NOT NULL NO INHERIT, c integer);
INSERT INTO constraints18.not_nulls VALUES (1, 1, 1, NULL);
ALTER TABLE constraints18.not_nulls ADD CONSTRAINT "c later" NOT NULL c NOT VALID;
COMMENT ON CONSTRAINT "a must be" ON constraints18.not_nulls IS 'Comment on NOT NULL';
CREATE TABLE constraints18.not_enforced (id integer PRIMARY KEY, n integer CONSTRAINT hopefully CHECK (n > 0) NOT ENFORCED, parent integer REFERENCES constraints18.not_nulls NOT ENFORCED);
INSERT INTO constraints18.not_enforced VALUES (1, -1, 77);
`,
};
