import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import type { Table } from "../../lib/catalog/internal.ts";
import { quoteIdentifier, quoteQualified } from "../../lib/core/internal.ts";
import { BuildQueue } from "../../lib/copy/build_queue.ts";
import { copyInStatement, copyOutStatement } from "../../lib/copy/copy_statements.ts";
import { readForeignKey } from "../../lib/copy/foreign_keys.ts";
import { planIndexes } from "../../lib/copy/index_plan.ts";
import { type BlockRange, type PartRange, rangeCondition } from "../../lib/copy/part_range.ts";
import { planCopy, whyText } from "../../lib/copy/plan.ts";
import { planOptions, type PlanTestOptions } from "../support/copy.ts";

const table: Table = {
  schema: "public",
  name: "orders",
  oid: 1,
  columns: [{ name: "id", typeOid: 23, typeName: "integer", portableBinary: true }],
  bytes: 0,
  toastBytes: 0,
  blocks: 0,
  rowEstimate: undefined,
  isUnlogged: false,
  isPartition: false,
  partitionRoot: undefined,
  accessMethod: "heap",
  hasPrimaryKey: true,
  replicaIdentity: "primary-key",
  hasRowSecurity: false,
  forcesRowSecurity: false,
  extensionCondition: undefined,
};
const sized = (blocks: number, more: Partial<Table> = {}): Table => ({
  ...table,
  blocks,
  bytes: blocks * 8192,
  ...more,
});
const plan = (tables: readonly Table[], options: PlanTestOptions = {}) =>
  planCopy(tables, planOptions({ splitBytes: 8192 * 100, ...options }));

Deno.test("planCopy() covers every block of every table exactly once", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(100_000), { maxLength: 20 }),
      fc.integer({ min: 1, max: 5_000 }),
      (sizes, split) => {
        const parts = plan(sizes.map((blocks, oid) => sized(blocks, { oid })), {
          splitBytes: split * 8192,
        });
        for (const [oid, blocks] of sizes.entries()) {
          const own = parts.filter((part) => part.table.oid === oid).sort((a, b) =>
            a.part - b.part
          );
          strictEqual(own.length, own[0]?.parts);
          if (own.length === 1 && own[0]?.range === undefined) continue;
          strictEqual(blocksOf(own[0])?.from, 0);
          strictEqual(blocksOf(own.at(-1))?.to, undefined);
          for (const [index, part] of own.entries()) {
            const next = own[index + 1];
            if (next !== undefined) strictEqual(blocksOf(part)?.to, blocksOf(next)?.from);
            strictEqual((blocksOf(part)?.from ?? 0) <= blocks, true);
          }
        }
        const bytes = parts.map((part) => part.bytes);
        deepStrictEqual(bytes, bytes.toSorted((a, b) => b - a));
      },
    ),
  );
});

/** The block range of a part. */
function blocksOf(part: { readonly range: PartRange | undefined } | undefined) {
  const range = part?.range;
  if (range !== undefined && "column" in range) throw new Error("cut by key");
  return range satisfies BlockRange | undefined;
}

Deno.test("planCopy() divides tables of servers before 14 by keys, each value into exactly one part", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.nat(10_000), { maxLength: 101 }),
      fc.integer({ min: 1, max: 2_000 }),
      fc.array(fc.integer({ min: -10, max: 10_010 }), { maxLength: 50 }),
      (numbers, split, values) => {
        const bounds = numbers.sort((a, b) => a - b).map(String);
        const table = sized(1_000, { oid: 7 });
        const parts = plan([table], {
          sourceMajor: 13,
          splitBytes: split * 8192,
          keyBounds: new Map([[7, { column: "id", type: "integer", bounds }]]),
        });
        strictEqual(parts.length, Math.min(Math.ceil(1_000 / split), bounds.length + 1));
        if (parts.length === 1) return strictEqual(parts[0]?.range, undefined);
        for (const value of values) {
          const owners = parts.filter(({ range }) =>
            range !== undefined && "column" in range &&
            (range.fromKey === undefined || value >= Number(range.fromKey)) &&
            (range.toKey === undefined || value < Number(range.toKey))
          );
          strictEqual(owners.length, 1);
        }
      },
    ),
  );
});

Deno.test("planCopy() divides into equal parts: sizes differ by at most one block", () => {
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 200_000 }),
    fc.integer({ min: 1, max: 5_000 }),
    (blocks, split) => {
      const parts = plan([sized(blocks)], { splitBytes: split * 8192 });
      const sizes = parts.map((part) => {
        const { from, to } = blocksOf(part) ?? { from: 0, to: undefined };
        return (to ?? blocks) - from;
      });
      strictEqual(sizes.reduce((sum, size) => sum + size, 0), blocks);
      ok(Math.max(...sizes) - Math.min(...sizes) <= 1, `${sizes}`);
      // no part is larger than requested, unless there would be more than 1,024
      if (parts.length < 1_024) ok(Math.max(...sizes) <= split, `${sizes} of ${split}`);
    },
  ));
});

Deno.test("planCopy() queues the parts of all tables, partitions included, the largest first; TOAST counts", () => {
  const root = { schema: "public", name: "sales" };
  const partition = (name: string, blocks: number) =>
    sized(blocks, { name, oid: name.length, isPartition: true, partitionRoot: root });
  const parts = plan([
    partition("sales_small", 20),
    sized(250, { name: "orders" }),
    partition("sales_large", 90),
    // 30 blocks of rows that point to 300 of TOAST
    sized(30, { name: "files", bytes: 330 * 8192, toastBytes: 300 * 8192 }),
    sized(0, { name: "empty" }),
  ]);
  deepStrictEqual(parts.map(({ name }) => name), [
    "sales_large",
    "orders 1/3",
    "orders 2/3",
    "orders 3/3",
    "files 1/4",
    "files 2/4",
    "files 3/4",
    "files 4/4",
    "sales_small",
    "empty",
  ]);
});

Deno.test("whyText() explains why a table is copied as text", () => {
  const own = (name: string) => ({
    name,
    typeOid: 9,
    typeName: `app.${name}`,
    portableBinary: false,
  });
  const why = (names: readonly string[], options: PlanTestOptions = {}) =>
    whyText({ columns: [...table.columns, ...names.map(own)] }, planOptions(options));
  strictEqual(why([]), undefined);
  strictEqual(why(["mood"]), "column mood app.mood");
  strictEqual(why(["a", "b", "c", "d"]), "columns a app.a, b app.b, c app.c, …");
  strictEqual(why(["mood"], { format: "text" }), "chosen by --copy-format");
  strictEqual(why([], { encoding: "LATIN1" }), "the database's encoding is LATIN1");
});

Deno.test("planCopy() does not divide tables without block ranges", () => {
  const parts = (more: Partial<Table>, options: PlanTestOptions = {}) =>
    plan([sized(1_000, more)], options).length;
  strictEqual(parts({}), 10);
  strictEqual(parts({ accessMethod: "columnar" }), 1);
  strictEqual(parts({}, { sourceMajor: 13 }), 1);
  strictEqual(parts({}, { jobs: 1 }), 1);
});

Deno.test("planCopy() makes no more parts than blocks of a table with few blocks and much TOAST", () => {
  const parts = plan([sized(3, { bytes: 10_000 * 1024 ** 2 })]);
  deepStrictEqual(parts.map(({ range }) => range), [
    { from: 0, to: 1 },
    { from: 1, to: 2 },
    { from: 2, to: undefined },
  ]);
});

Deno.test("planCopy() freezes tables of one part, unless they have a few pages only", () => {
  deepStrictEqual(plan([sized(7), sized(8), sized(1_000)]).map(({ freeze }) => freeze), [
    ...Array(10).fill(false),
    true,
    false,
  ]);
});

Deno.test("planCopy() uses binary only for types that are the same on every server", () => {
  const format = (more: Partial<Table>, options: PlanTestOptions = {}) =>
    plan([sized(1, more)], options)[0]?.format;
  const foreign = [{ name: "e", typeOid: 99999, typeName: "mood", portableBinary: false }];
  strictEqual(format({}), "binary");
  strictEqual(format({ columns: foreign }), "text");
  strictEqual(format({}, { encoding: "LATIN1" }), "text");
  strictEqual(format({}, { format: "text" }), "text");
});

Deno.test("rangeCondition() compares keys as values of their type, whatever is in them", () => {
  const range = { column: 'a "b', type: "text", fromKey: "it's", toKey: undefined };
  strictEqual(rangeCondition(range), `"a ""b" >= 'it''s'::text`);
  strictEqual(
    rangeCondition({ ...range, fromKey: undefined, toKey: "z\\" }),
    `"a ""b" <  E'z\\\\'::text`,
  );
});

Deno.test("rangeCondition() leaves the first part open below and the last above", () => {
  strictEqual(rangeCondition({ from: 0, to: 5 }), "ctid < '(5,0)'::pg_catalog.tid");
  strictEqual(rangeCondition({ from: 5, to: undefined }), "ctid >= '(5,0)'::pg_catalog.tid");
});

Deno.test("COPY statements quote names, and support tables without columns and configuration tables", () => {
  const part = {
    table: { ...table, schema: 'a"b', name: "c d" },
    range: undefined,
    format: "text",
    freeze: false,
  } as const;
  strictEqual(
    copyOutStatement(part, "LATIN1"),
    `COPY "a""b"."c d" ("id") TO STDOUT (FORMAT text, ENCODING 'LATIN1')`,
  );
  strictEqual(
    copyInStatement(
      { ...part, table: { ...table, columns: [] }, format: "binary", freeze: true },
      "UTF8",
    ),
    `TRUNCATE ONLY "public"."orders"; COPY "public"."orders" FROM STDIN (FORMAT binary, FREEZE)`,
  );
  strictEqual(
    copyOutStatement({ ...part, table: { ...table, extensionCondition: "WHERE id > 5" } }, "UTF8"),
    `COPY (SELECT "id" FROM ONLY "public"."orders" WHERE id > 5) TO STDOUT (FORMAT text, ENCODING 'UTF8')`,
  );
});

Deno.test("BuildQueue returns the heaviest item first, and lets consumers wait", async () => {
  const queue = new BuildQueue<string>();
  const waiting = queue.take();
  queue.push("first come", 1);
  strictEqual(await waiting, "first come");
  queue.push("light", 1);
  queue.push("heavy", 9);
  queue.push("middle", 5);
  queue.close();
  deepStrictEqual(
    [await queue.take(), await queue.take(), await queue.take(), await queue.take()],
    ["heavy", "middle", "light", undefined],
  );
});

Deno.test("planIndexes() builds the index of a key with the others, and attaches it", () => {
  const key = (rest: string) => ({
    type: "CONSTRAINT",
    sql: `ALTER TABLE ONLY public."My ""t"\n    ADD CONSTRAINT "p(k" ${rest};`,
  });
  const { builds, finish } = planIndexes([
    key('PRIMARY KEY (id, "a)b")'),
    key(
      "UNIQUE NULLS NOT DISTINCT (a) INCLUDE (b) WITH (fillfactor='70') DEFERRABLE INITIALLY DEFERRED",
    ),
    { type: "INDEX", sql: "CREATE INDEX i ON public.t USING btree (a);" },
    { type: "INDEX", sql: "ALTER TABLE public.t CLUSTER ON i;" },
    key("PRIMARY KEY (id, during WITHOUT OVERLAPS)"),
    key("EXCLUDE USING gist (during WITH &&)"),
  ], { partitioned: false });
  deepStrictEqual(builds.map((build) => build.map(({ sql }) => sql).join(" ")), [
    `CREATE UNIQUE INDEX "p(k" ON "public"."My ""t" (id, "a)b");`,
    `CREATE UNIQUE INDEX "p(k" ON "public"."My ""t" (a) INCLUDE (b) NULLS NOT DISTINCT WITH (fillfactor='70');`,
    "CREATE INDEX i ON public.t USING btree (a);",
  ]);
  deepStrictEqual(finish.map(({ sql }) => sql.replace(/^ALTER TABLE (?:ONLY )?\S+ \S+\s+/, "")), [
    `ADD CONSTRAINT "p(k" PRIMARY KEY USING INDEX "p(k";`,
    `ADD CONSTRAINT "p(k" UNIQUE USING INDEX "p(k" DEFERRABLE INITIALLY DEFERRED;`,
    "ON i;",
    `ADD CONSTRAINT "p(k" PRIMARY KEY (id, during WITHOUT OVERLAPS);`,
    `ADD CONSTRAINT "p(k" EXCLUDE USING gist (during WITH &&);`,
  ]);
});

Deno.test("planIndexes() sets the tablespace of each index and resets it", () => {
  const { builds, finish } = planIndexes([
    { sql: "SET default_tablespace = fast;" },
    { type: "INDEX", sql: "CREATE INDEX i ON public.t USING btree (a);" },
  ], { partitioned: false });
  deepStrictEqual(builds[0]?.map(({ sql }) => sql), [
    "SET default_tablespace = fast;",
    "CREATE INDEX i ON public.t USING btree (a);",
    "SET default_tablespace = '';",
  ]);
  deepStrictEqual(finish.map(({ sql }) => sql), [
    "SET default_tablespace = fast;",
    "SET default_tablespace = '';",
  ]);
});

Deno.test("readForeignKey() parses a key, and keeps NOT VALID", () => {
  deepStrictEqual(
    readForeignKey(
      `ALTER TABLE ONLY s."a.b"\n    ADD CONSTRAINT "f k" FOREIGN KEY (x) REFERENCES s.c(id) ON DELETE CASCADE;`,
    ),
    {
      table: { schema: "s", name: "a.b" },
      name: "f k",
      action: `ADD CONSTRAINT "f k" FOREIGN KEY (x) REFERENCES s.c(id) ON DELETE CASCADE NOT VALID`,
      sql:
        `ALTER TABLE ONLY "s"."a.b" ADD CONSTRAINT "f k" FOREIGN KEY (x) REFERENCES s.c(id) ON DELETE CASCADE NOT VALID`,
      validate: true,
    },
  );
  strictEqual(
    readForeignKey(`ALTER TABLE s.t ADD CONSTRAINT f FOREIGN KEY (x) REFERENCES s.c(id) NOT VALID;`)
      ?.validate,
    false,
  );
  strictEqual(readForeignKey("COMMENT ON CONSTRAINT f ON s.t IS 'x';"), undefined);
});

/** Names that read like what stands around them. */
const hostile = fc.oneof(
  fc.constantFrom(
    "ON DELETE",
    "USING btree (x)",
    "NOT VALID",
    "PRIMARY KEY",
    ' ADD CONSTRAINT "x" FOREIGN KEY (a) REFERENCES b(c) NOT VALID',
    "a) INCLUDE (b",
    "x; DROP TABLE y; --",
    "/* comment",
    "-- comment",
    "$$",
    "it's",
    'a"b',
    "two\nlines",
    "unique",
    "Ünïcode",
    ".",
  ),
  fc.string({ minLength: 1, maxLength: 30, unit: "grapheme" }).filter((name) =>
    !name.includes("\0")
  ),
);

Deno.test("readForeignKey() is not misled by names that resemble SQL", () => {
  fc.assert(fc.property(
    fc.array(hostile, { minLength: 7, maxLength: 7 }),
    fc.constantFrom(
      "",
      " ON DELETE CASCADE",
      " MATCH FULL ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED",
    ),
    fc.boolean(),
    ([schema, name, constraint, column, otherSchema, other, otherColumn], end, isValid) => {
      const q = (text = "") => quoteIdentifier(text);
      const added = `ADD CONSTRAINT ${q(constraint)} FOREIGN KEY (${q(column)}) REFERENCES ${
        q(otherSchema)
      }.${q(other)}(${q(otherColumn)})${end}`;
      const table = `${q(schema)}.${q(name)}`;
      deepStrictEqual(
        readForeignKey(`ALTER TABLE ONLY ${table}\n    ${added}${isValid ? "" : " NOT VALID"};`),
        {
          table: { schema, name },
          name: constraint,
          action: `${added} NOT VALID`,
          sql: `ALTER TABLE ONLY ${quoteQualified(schema ?? "", name ?? "")} ${added} NOT VALID`,
          validate: isValid,
        },
      );
    },
  ));
});

Deno.test("planIndexes() parses keys by tokens and is not misled by their names", () => {
  fc.assert(fc.property(
    fc.array(hostile, { minLength: 5, maxLength: 5 }),
    fc.constantFrom("PRIMARY KEY", "UNIQUE"),
    ([schema = "", name = "", constraint = "", column = "", included = ""], kind) => {
      const q = quoteIdentifier;
      const table = quoteQualified(schema, name);
      const key = `ADD CONSTRAINT ${q(constraint)} ${kind} (${q(column)}) INCLUDE (${q(included)})`;
      const index = `CREATE INDEX ${q(constraint)} ON ${table} USING btree (${q(column)});`;
      const { builds, finish } = planIndexes([
        { type: "CONSTRAINT", sql: `ALTER TABLE ONLY ${q(schema)}.${q(name)}\n    ${key};` },
        { type: "INDEX", sql: index },
        { type: "INDEX", sql: `ALTER TABLE ${table} CLUSTER ON ${q(constraint)};` },
      ], { partitioned: false });
      deepStrictEqual(builds.flat().map(({ sql }) => sql), [
        `CREATE UNIQUE INDEX ${q(constraint)} ON ${table} (${q(column)}) INCLUDE (${q(included)});`,
        index,
      ]);
      deepStrictEqual(finish.map(({ sql }) => sql), [
        `ALTER TABLE ${table} ADD CONSTRAINT ${q(constraint)} ${kind} USING INDEX ${
          q(constraint)
        };`,
        `ALTER TABLE ${table} CLUSTER ON ${q(constraint)};`,
      ]);
    },
  ));
});

Deno.test("planIndexes() distinguishes a tablespace setting from a table of that name", () => {
  const { builds } = planIndexes([
    { sql: `SET default_tablespace = "SET default_tablespace = x";` },
    {
      type: "INDEX",
      sql: `CREATE INDEX "SET default_tablespace = ''" ON public.t USING btree (a);`,
    },
  ], { partitioned: false });
  strictEqual(builds[0]?.length, 3);
  strictEqual(builds[0]?.[2]?.sql, "SET default_tablespace = '';");
});

Deno.test("a predicate stays within its parentheses, whatever else selects rows", () => {
  const part = { table, range: undefined, format: "text", freeze: true } as const;
  const end = "TO STDOUT (FORMAT text, ENCODING 'UTF8')";
  const predicate = "id > 5 OR id < 0";
  strictEqual(
    copyOutStatement({ ...part, predicate }, "UTF8"),
    `COPY (SELECT "id" FROM ONLY "public"."orders" WHERE (${predicate})) ${end}`,
  );
  strictEqual(
    copyOutStatement({ ...part, predicate, range: { from: 5, to: 9 } }, "UTF8"),
    `COPY (SELECT "id" FROM ONLY "public"."orders" WHERE ctid >= '(5,0)'::pg_catalog.tid AND ctid < '(9,0)'::pg_catalog.tid AND (${predicate})) ${end}`,
  );
  strictEqual(
    copyOutStatement({ ...part, predicate: "id > 5 -- the rest" }, "UTF8"),
    `COPY (SELECT "id" FROM ONLY "public"."orders" WHERE (id > 5 -- the rest\n)) ${end}`,
  );
  strictEqual(
    copyOutStatement({
      ...part,
      predicate,
      table: { ...table, extensionCondition: "WHERE NOT builtin" },
    }, "UTF8"),
    `COPY (SELECT "id" FROM (SELECT * FROM ONLY "public"."orders" WHERE NOT builtin) AS "orders" WHERE (${predicate})) ${end}`,
  );
});

Deno.test("planCopy() divides filtered tables too, and freezes those of one part", () => {
  const parts = plan([sized(10, { name: "few" }), sized(1_000, { name: "many" })], {
    predicateOf: ({ name }) => name === "few" || name === "many" ? `"${name}"` : undefined,
  });
  ok(parts.length > 2);
  for (const { table, predicate, freeze, parts: count } of parts) {
    strictEqual(predicate, `"${table.name}"`);
    strictEqual(freeze, count === 1);
  }
});
