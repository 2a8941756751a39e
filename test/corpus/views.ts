import type { CorpusEntry } from "./entry.ts";
import { COMMON_ROLES } from "./roles.ts";

/** Views of all kinds, and materialized views that depend on each other. */
export const views: CorpusEntry = {
  name: "views",
  minMajor: 12,
  globals: COMMON_ROLES,
  sql: String.raw`
CREATE SCHEMA views;
-- Sorts before what it depends upon.
CREATE SCHEMA a_views;
CREATE TABLE views.base (id integer PRIMARY KEY, name text, n numeric, "Mixed Case" date);
INSERT INTO views.base SELECT i, 'n' || i, i / 3.0, date '2024-01-01' + i FROM generate_series(1, 30) AS i;
CREATE VIEW views.updatable AS SELECT id, name FROM views.base WHERE id > 5 WITH CASCADED CHECK OPTION;
CREATE VIEW views.local_check WITH (security_barrier = true) AS SELECT * FROM views.updatable WHERE name LIKE 'n%' WITH LOCAL CHECK OPTION;
CREATE RECURSIVE VIEW views.numbers (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < 10;
-- Depends on the primary key: columns that are not in GROUP BY.
CREATE VIEW views.by_key AS SELECT b.id, b.name, b."Mixed Case", count(*) AS "count" FROM views.base AS b CROSS JOIN generate_series(1, 2) GROUP BY b.id;
CREATE VIEW views.odd_columns AS SELECT 1 AS "a b", 2 AS "select", NULL AS unknown, 'x' AS "x""y", '{}'::integer[] AS "[]";
CREATE VIEW views.no_columns AS SELECT;
CREATE VIEW views.windows AS SELECT id, row_number() OVER w, sum(n) OVER (w ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM views.base WINDOW w AS (ORDER BY id DESC);
CREATE VIEW views.defaults AS SELECT * FROM views.base;
ALTER VIEW views.defaults ALTER COLUMN name SET DEFAULT 'by view';
CREATE TEMPORARY VIEW not_carried_over AS SELECT 1;
DROP VIEW not_carried_over;
ALTER VIEW views.updatable OWNER TO corpus_owner;
GRANT SELECT, INSERT ON views.updatable TO corpus_app;

-- Two views in a circle, by way of a rule.
CREATE VIEW views.circle_a AS SELECT 1 AS x;
CREATE VIEW views.circle_b AS SELECT x FROM views.circle_a;
CREATE RULE "_circle" AS ON INSERT TO views.circle_a DO INSTEAD SELECT * FROM views.circle_b;
-- A view and a function in a circle.
CREATE VIEW views.circle_f AS SELECT 1 AS x;
CREATE FUNCTION views.circle() RETURNS SETOF views.circle_f LANGUAGE sql STABLE AS 'SELECT * FROM views.circle_f';
CREATE OR REPLACE VIEW views.circle_f AS SELECT x FROM views.circle() WHERE false UNION SELECT 2;

CREATE FUNCTION views.factor() RETURNS integer LANGUAGE sql STABLE AS 'SELECT max(id) FROM views.base';
-- The chain of materialized views goes against the order of names.
CREATE MATERIALIZED VIEW views.z_first AS SELECT id % 5 AS g, sum(n) AS total FROM views.base GROUP BY 1 WITH DATA;
CREATE VIEW views.y_between AS SELECT g, total * 2 AS total FROM views.z_first;
CREATE MATERIALIZED VIEW views.m_second AS SELECT * FROM views.y_between WHERE total > 0;
CREATE MATERIALIZED VIEW a_views.a_last WITH (fillfactor = 60) AS SELECT count(*) AS c FROM views.m_second;
CREATE UNIQUE INDEX ON views.z_first (g);
CREATE INDEX "total, descending" ON views.m_second (total DESC);
CREATE MATERIALIZED VIEW views.by_function AS SELECT views.factor() AS f, t FROM generate_series(1, 3) AS t;
CREATE MATERIALIZED VIEW views.unpopulated AS SELECT * FROM views.base WITH NO DATA;
CREATE UNIQUE INDEX ON views.unpopulated (id);
CREATE MATERIALIZED VIEW views.empty AS SELECT * FROM views.base WHERE false;
CREATE MATERIALIZED VIEW views.no_columns_kept AS SELECT FROM views.base;
ALTER MATERIALIZED VIEW views.z_first ALTER COLUMN total SET STATISTICS 200;
ALTER MATERIALIZED VIEW views.z_first CLUSTER ON z_first_g_idx;
COMMENT ON MATERIALIZED VIEW views.unpopulated IS 'Not yet filled';
COMMENT ON COLUMN views.by_key."Mixed Case" IS 'A view''s column';
-- A table that depends on the type of a view's row.
CREATE TABLE views.rows_of_view (r views.updatable);
INSERT INTO views.rows_of_view VALUES (ROW(1, 'x'));
`,
};

/** Views with security_invoker. */
export const views15: CorpusEntry = {
  name: "views of 15",
  minMajor: 15,
  sql: String.raw`
CREATE SCHEMA views15;
CREATE VIEW views15.invoker WITH (security_invoker = true, security_barrier = false) AS SELECT 1 AS x;
`,
};
