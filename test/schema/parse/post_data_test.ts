import { deepStrictEqual as equal } from "node:assert/strict";
import fc from "fast-check";
import { quoteIdentifier, quoteQualified } from "../../../lib/core/internal.ts";
import { adaptStatement } from "../../../lib/schema/apply/adapt_statement.ts";
import { readDump } from "../../../lib/schema/parse/dump_reader.ts";
import { classifyPostData, tablesWithStatistics } from "../../../lib/schema/parse/post_data.ts";

const entry = (type: string, name: string, sql: string) =>
  `--\n-- Name: ${name}; Type: ${type}; Schema: s; Owner: o\n--\n\n${sql}\n\n`;

const dump = `SET check_function_bodies = false;
SELECT pg_catalog.set_config('search_path', '', false);
SET default_tablespace = '';

${
  entry(
    "CONSTRAINT",
    "t t_pkey",
    "ALTER TABLE ONLY s.t\n    ADD CONSTRAINT t_pkey PRIMARY KEY (id);",
  )
}
${
  entry(
    "CONSTRAINT",
    "t check",
    'ALTER TABLE s.t\n    ADD CONSTRAINT "PRIMARY KEY" CHECK ((id > 0)) NOT VALID;',
  )
}
${entry("VIEW", "late", "CREATE VIEW s.late AS SELECT t.id FROM s.t GROUP BY t.id;")}
${
  entry(
    "MATERIALIZED VIEW",
    "m",
    'CREATE MATERIALIZED VIEW s."m;" AS SELECT t.id FROM s.t GROUP BY t.id WITH NO DATA;',
  )
}
SET default_tablespace = fast;

${
  entry(
    "INDEX",
    "i",
    `CREATE UNIQUE INDEX "t ON ONLY x.y" ON s.t USING btree (b);

ALTER TABLE s.t CLUSTER ON "t ON ONLY x.y";`,
  )
}
SET default_tablespace = '';

${entry("INDEX", "parent_i", "CREATE INDEX parent_i ON ONLY s.parent USING btree (a);")}
${entry("INDEX", "m_i", 'CREATE INDEX m_i ON s."m;" USING btree (id);')}
${entry("COMMENT", "INDEX m_i", "COMMENT ON INDEX s.m_i IS 'x';")}
${entry("COMMENT", "INDEX i", `COMMENT ON INDEX s."t ON ONLY x.y" IS 'x';`)}
${entry("COMMENT", "CONSTRAINT t_pkey", "COMMENT ON CONSTRAINT t_pkey ON s.t IS 'x';")}
${entry("COMMENT", "CONSTRAINT fk", "COMMENT ON CONSTRAINT fk ON s.t IS 'x';")}
${
  entry(
    "INDEX",
    "j",
    `CREATE INDEX j ON s.t USING btree (((a || ';'::text)));
ALTER INDEX s.j ALTER COLUMN 1 SET STATISTICS 400;
ALTER TABLE ONLY s.t REPLICA IDENTITY USING INDEX j;`,
  )
}
${entry("INDEX ATTACH", "c_i", "ALTER INDEX s.parent_i ATTACH PARTITION s.c_i;")}
${
  entry(
    "TRIGGER",
    "tr",
    "CREATE TRIGGER tr BEFORE INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION s.f();",
  )
}
${
  entry(
    "FK CONSTRAINT",
    "t fk",
    "ALTER TABLE ONLY s.t\n    ADD CONSTRAINT fk FOREIGN KEY (a) REFERENCES s.t(id) NOT VALID;",
  )
}
${
  entry(
    "EVENT TRIGGER",
    "e",
    "CREATE EVENT TRIGGER e ON sql_drop\n   EXECUTE FUNCTION s.e();\n\nALTER EVENT TRIGGER e OWNER TO o;",
  )
}
${entry("COMMENT", "EVENT TRIGGER e", "COMMENT ON EVENT TRIGGER e IS 'x';")}
`;

Deno.test("classifyPostData() sorts statements by when they can run", () => {
  const { settings, perTable, attach, foreignKeys, rest, eventTriggers } = classifyPostData(
    readDump(dump),
  );
  const first = (statements: readonly { sql: string }[]) =>
    statements.map(({ sql }) => sql.split("\n")[0]);
  equal(first(settings), [
    "SET check_function_bodies = false;",
    "SELECT pg_catalog.set_config('search_path', '', false);",
    "SET default_tablespace = '';",
  ]);
  equal(perTable.map(({ table, statements }) => [table.name, first(statements)]), [
    ["parent", ["CREATE INDEX parent_i ON ONLY s.parent USING btree (a);"]],
    ["t", [
      "ALTER TABLE ONLY s.t",
      "SET default_tablespace = fast;",
      `CREATE UNIQUE INDEX "t ON ONLY x.y" ON s.t USING btree (b);`,
      `ALTER TABLE s.t CLUSTER ON "t ON ONLY x.y";`,
      "SET default_tablespace = '';",
      `COMMENT ON INDEX s."t ON ONLY x.y" IS 'x';`,
      "COMMENT ON CONSTRAINT t_pkey ON s.t IS 'x';",
      "CREATE INDEX j ON s.t USING btree (((a || ';'::text)));",
      "ALTER INDEX s.j ALTER COLUMN 1 SET STATISTICS 400;",
      "ALTER TABLE ONLY s.t REPLICA IDENTITY USING INDEX j;",
    ]],
  ]);
  equal(first(attach), ["ALTER INDEX s.parent_i ATTACH PARTITION s.c_i;"]);
  equal(foreignKeys.map(({ name }) => name), ["t fk"]);
  equal(first(rest), [
    "ALTER TABLE s.t",
    "CREATE VIEW s.late AS SELECT t.id FROM s.t GROUP BY t.id;",
    'CREATE MATERIALIZED VIEW s."m;" AS SELECT t.id FROM s.t GROUP BY t.id WITH NO DATA;',
    "SET default_tablespace = fast;",
    "SET default_tablespace = '';",
    'CREATE INDEX m_i ON s."m;" USING btree (id);',
    "COMMENT ON INDEX s.m_i IS 'x';",
    "COMMENT ON CONSTRAINT fk ON s.t IS 'x';",
    "CREATE TRIGGER tr BEFORE INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION s.f();",
  ]);
  equal(first(eventTriggers), [
    "CREATE EVENT TRIGGER e ON sql_drop",
    "ALTER EVENT TRIGGER e OWNER TO o;",
    "COMMENT ON EVENT TRIGGER e IS 'x';",
  ]);
});

Deno.test("tablesWithStatistics() finds the tables of extended statistics", () => {
  const statements = [
    'CREATE STATISTICS s.st (ndistinct) ON a, (lower("from")) FROM s."T";',
    "CREATE VIEW s.v AS SELECT 1 FROM s.u;",
    "ALTER STATISTICS s.st OWNER TO o;",
  ].map((sql) => ({ sql }));
  equal(tablesWithStatistics(statements), [{ schema: "s", name: "T" }]);
});

Deno.test("adaptStatement() removes what an older target does not support", () => {
  const adapt = (sql: string, majorVersion: number, superuser = true, type?: string) =>
    adaptStatement(type === undefined ? { sql } : { sql, type }, {
      majorVersion,
      superuser,
      resetRole: "RESET ROLE;",
    }).sql;
  equal(adapt("SET transaction_timeout = 0;", 16), undefined);
  equal(adapt("SET transaction_timeout = 0;", 17), "SET transaction_timeout = 0;");
  equal(adapt("SET row_security = off;", 12), "SET row_security = off;");
  equal(
    adapt('GRANT SELECT,MAINTAIN ON TABLE s."GRANT MAINTAIN ON " TO x;', 16),
    'GRANT SELECT ON TABLE s."GRANT MAINTAIN ON " TO x;',
  );
  equal(adapt("GRANT MAINTAIN ON TABLE t TO x;", 16), undefined);
  equal(adapt("GRANT MAINTAIN ON TABLE t TO x;", 17), "GRANT MAINTAIN ON TABLE t TO x;");
  equal(
    adapt('GRANT SELECT("MAINTAIN"),MAINTAIN ON TABLE t TO x;', 12),
    'GRANT SELECT("MAINTAIN") ON TABLE t TO x;',
  );
  equal(adapt("CREATE UNLOGGED SEQUENCE s.x AS integer;", 14), "CREATE SEQUENCE s.x AS integer;");
  equal(adapt("ALTER TABLE ONLY s.t ALTER COLUMN c SET COMPRESSION lz4;", 13), undefined);
  equal(adapt("ALTER TABLE s.t SET ACCESS METHOD heap;", 15), undefined);
});

Deno.test("adaptStatement() uses SET ROLE instead of SET SESSION AUTHORIZATION without superuser", () => {
  const adapt = (sql: string, superuser: boolean) =>
    adaptStatement({ sql, type: "ACL" }, {
      majorVersion: 18,
      superuser,
      resetRole: "SET ROLE NONE;",
    }).sql;
  equal(adapt("SET SESSION AUTHORIZATION 'a''b';", false), `SET ROLE "a'b";`);
  equal(adapt('SET SESSION AUTHORIZATION "A b";', false), 'SET ROLE "A b";');
  equal(adapt("SET SESSION AUTHORIZATION app;", true), "SET SESSION AUTHORIZATION app;");
  equal(adapt("RESET SESSION AUTHORIZATION;", false), "SET ROLE NONE;");
});

Deno.test("classifyPostData() is not misled by names that contain SQL", () => {
  const hostile = fc.oneof(
    fc.constantFrom(
      "FOREIGN KEY (x)",
      "ATTACH PARTITION y",
      "ON ONLY z",
      "USING btree (x)",
      "x ADD CONSTRAINT y UNIQUE (z)",
      "SET default_tablespace = fast;",
      "a.b",
      'a"b',
      "EVENT TRIGGER",
    ),
    fc.string({ minLength: 1, maxLength: 30 }).filter((name) => !name.includes("\0")),
  );
  fc.assert(fc.property(
    fc.tuple(hostile, hostile, hostile, hostile),
    ([schema, name, index, key]) => {
      const table = quoteQualified(schema, name);
      const q = quoteIdentifier;
      const plan = classifyPostData([
        { type: "INDEX", sql: `CREATE INDEX ${q(index)} ON ${table} USING btree (${q(key)});` },
        {
          type: "FK CONSTRAINT",
          sql: `ALTER TABLE ONLY ${table}\n    ADD CONSTRAINT ${q(key)} FOREIGN KEY (${
            q(index)
          }) REFERENCES ${table}(id);`,
        },
        { type: "INDEX", sql: `COMMENT ON INDEX ${q(schema)}.${q(index)} IS 'ATTACH PARTITION';` },
        {
          type: "TRIGGER",
          sql: `CREATE TRIGGER ${q(index)} AFTER INSERT ON ${table} EXECUTE FUNCTION f();`,
        },
      ]);
      equal(
        plan.perTable.map(({ table, statements }) => [table, statements.length]),
        [[{ schema, name }, 2]],
      );
      equal(plan.foreignKeys.length, 1);
      equal(plan.rest.map(({ type }) => type), ["TRIGGER"]);
      equal([plan.attach, plan.eventTriggers], [[], []]);
    },
  ));
});
