/** The copied database, and the queries that compare both sides, in plain SQL. */

/** Tables of every kind that a copy handles differently. @param scale 1 to 3 */
export function fillStatements(scale: number): string {
  return `
    CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE TABLE customers (id int PRIMARY KEY, email text UNIQUE, mood mood, balance bigint DEFAULT 0);
    INSERT INTO customers SELECT i, 'c' || i, 'happy' FROM generate_series(1, ${1000 * scale}) i;
    CREATE TABLE orders (id bigserial PRIMARY KEY, customer int NOT NULL REFERENCES customers, note text, balance bigint DEFAULT 0);
    INSERT INTO orders (customer, note)
      SELECT 1 + i % 1000, repeat(md5(i::text), 8) FROM generate_series(1, ${12_000 * scale}) i;
    CREATE INDEX ON orders (customer); CREATE INDEX ON orders (md5(note));
    CREATE TABLE keyless AS SELECT i, repeat(md5(i::text), 20) AS t, 0::bigint AS balance FROM generate_series(1, ${
    8_000 * scale
  }) i;
    CREATE TABLE kept (id int PRIMARY KEY, at timestamptz) PARTITION BY RANGE (id);
    CREATE TABLE kept_1 PARTITION OF kept FOR VALUES FROM (0) TO (500);
    CREATE TABLE kept_2 PARTITION OF kept FOR VALUES FROM (500) TO (100000);
    INSERT INTO kept SELECT i, 'epoch' FROM generate_series(0, 2000) i;
    ${
    Array.from({ length: 12 }, (_, index) =>
      `CREATE TABLE small_${index} (i int PRIMARY KEY, t text); INSERT INTO small_${index} SELECT i, i FROM generate_series(1, ${
        index * 11
      }) i;`).join("\n    ")
  }
    CREATE MATERIALIZED VIEW top AS SELECT customer, count(*) AS n FROM orders GROUP BY 1;
    CREATE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'trigger fired'; END $$;
    CREATE TRIGGER forbid BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION forbid();
    SELECT lo_from_bytea(i, decode(md5(i::text), 'hex')) FROM generate_series(70001, ${
    70000 + 20 * scale
  }) i;`;
}

const tables = ["customers", "orders", "keyless", "kept", "kept_1", "kept_2", "top"].concat(
  Array.from({ length: 12 }, (_, index) => `small_${index}`),
);

/** The source's rows that `--table-filter "orders:customer <= 500"` includes. */
const filtered: Readonly<Record<string, string>> = {
  orders: "(SELECT * FROM orders WHERE customer <= 500)",
  top: "(SELECT customer, count(*) AS n FROM orders WHERE customer <= 500 GROUP BY 1)",
};

/** The filter of {@linkcode factsOf}. */
export const ordersFilter = "customer <= 500";

/**
 * Counts and sums all rows, duplicates included, then lists objects, sequences and large objects.
 *
 * @param filter whether to count only the orders that the filter includes
 */
export function factsOf(filter: boolean): string {
  return tables.map((name) =>
    `SELECT '${name}' AS what, count(*)::text || ' ' || coalesce(sum(('x' || left(md5(all_of_it::text), 15))::bit(60)::bigint::numeric), 0)::text AS facts FROM ${
      filter ? filtered[name] ?? name : name
    } AS all_of_it`
  ).join(" UNION ALL ") + `
  UNION ALL SELECT 'indexes', string_agg(indexdef, ';' ORDER BY indexdef COLLATE "C") FROM pg_indexes WHERE schemaname = 'public'
  UNION ALL SELECT 'valid', count(*)::text FROM pg_index WHERE indisvalid AND indexrelid::regclass::text !~ 'pg_'
  UNION ALL SELECT 'constraints', string_agg(conname || pg_get_constraintdef(oid), ';' ORDER BY conname COLLATE "C")
              FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
  UNION ALL SELECT 'triggers', string_agg(tgname, ';' ORDER BY tgname) FROM pg_trigger WHERE NOT tgisinternal
  UNION ALL SELECT 'sequence', last_value::text FROM orders_id_seq
  UNION ALL SELECT 'large objects', count(*)::text || md5(string_agg(md5(lo_get(oid)), '' ORDER BY oid)) FROM pg_largeobject_metadata
  ORDER BY what`;
}

/** Transfers amounts within each table, which also moves rows between blocks. */
export const loadStatement = ["customers", "orders", "keyless"].map((name) => {
  const key = name === "keyless" ? "i" : "id";
  return `UPDATE ${name} SET balance = balance + CASE ${key} WHEN 7 + (random() * 0)::int THEN 5 ELSE -5 END WHERE ${key} IN (7, 8)`;
}).join("; ");

/** Facts that no transaction of the load changes. */
export const factsOfLoad =
  ["customers", "orders", "keyless"].map((name) =>
    `SELECT '${name}' AS what, count(*)::text || ' ' || count(DISTINCT ${
      name === "keyless" ? "i" : "id"
    })::text || ' ' || sum(balance)::text AS facts FROM ${name}`
  ).join(" UNION ALL ") + " ORDER BY what";
