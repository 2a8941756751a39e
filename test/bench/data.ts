/**
 * The data to copy, generated deterministically by the server.
 *
 * @module
 */

/** A database on the source. */
export interface Dataset {
  readonly name: string;
  /** A script, run as one transaction. */
  readonly sql: string;
}

/** Like pgbench's accounts: 128 bytes per row on disk. */
function narrow(table: string, megabytes: number): string {
  return `
    CREATE TABLE ${table} (aid int, bid int, abalance int, filler char(84));
    INSERT INTO ${table} SELECT n, n % 100, n::bigint * 7919 % 100000 - 50000, ''
      FROM generate_series(1, ${Math.round(megabytes * 8000)}) AS n;`;
}

/** As in typical applications: about 430 bytes per row. */
function mixed(table: string, megabytes: number): string {
  return `
    CREATE TABLE ${table} (id uuid, made timestamptz, customer bigint, amount numeric(12, 2),
      rate double precision, tags text[], attributes jsonb, paid boolean, note text);
    INSERT INTO ${table} SELECT md5(n::text)::uuid, '2024-01-01Z'::timestamptz + n * interval '7 s',
        n % 50000, n * 31 % 1000000 / 100.0, sin(n), ARRAY['tag' || n % 7, 'kind' || n % 11, NULL],
        jsonb_build_object('n', n, 'source', 'shop ' || n % 40, 'items', jsonb_build_array(n % 3,
          n % 5, n % 8), 'address', jsonb_build_object('city', md5((n % 900)::text), 'zip', n % 99999)),
        n % 3 = 0, repeat(md5(n::text), 2) || E'\\ttwo\\nlines'
      FROM generate_series(1, ${Math.round(megabytes * 2400)}) AS n;`;
}

/** 8 KB of incompressible text per row, stored out of line. */
function toast(table: string, megabytes: number): string {
  return `
    CREATE TABLE ${table} (id int, body text);
    INSERT INTO ${table} SELECT n, (SELECT string_agg(md5(n::text || part), '')
        FROM generate_series(1, 250) AS part)
      FROM generate_series(1, ${Math.round(megabytes * 125)}) AS n;`;
}

function partitioned(table: string, megabytes: number): string {
  const months = Array.from({ length: 12 }, (_, month) => `
    CREATE TABLE ${table}_${month + 1} PARTITION OF ${table}
      FOR VALUES FROM (${month}) TO (${month + 1});`);
  return `
    CREATE TABLE ${table} (id bigint, month int NOT NULL, product int, price numeric(10, 2), made timestamp)
      PARTITION BY RANGE (month);
    ${months.join("")}
    INSERT INTO ${table} SELECT n, n % 12, n::bigint * 7919 % 10000, n % 9999 / 100.0,
        '2024-01-01'::timestamp + n * interval '1 s'
      FROM generate_series(1, ${Math.round(megabytes * 15000)}) AS n;
    ALTER TABLE ${table} ADD PRIMARY KEY (id, month);
    CREATE INDEX ON ${table} (product, made);`;
}

/** One table without indexes. */
export function streamData(megabytes: number): Dataset {
  return { name: "stream", sql: narrow("accounts", megabytes) };
}

/** One table of wide rows without indexes. */
export function wideData(megabytes: number): Dataset {
  return { name: "wide", sql: mixed("events", megabytes) };
}

/** One table of long texts. */
export function toastData(megabytes: number): Dataset {
  return { name: "toast", sql: toast("documents", megabytes) };
}

/** One partitioned table with a key and an index. */
export function partitionedData(megabytes: number): Dataset {
  return { name: "partitions", sql: partitioned("sales", megabytes) };
}

/** Four kinds of tables of different sizes, with keys and indexes. */
export function databaseData(megabytes: number): Dataset {
  return {
    name: "shop",
    sql: `
    ${narrow("accounts", megabytes * 0.35)}
    ${narrow("tellers", megabytes * 0.05)}
    ${mixed("events", megabytes * 0.25)}
    ${mixed("returns", megabytes * 0.05)}
    ${toast("documents", megabytes * 0.15)}
    ${partitioned("sales", megabytes * 0.15)}
    CREATE TABLE branches AS SELECT n AS bid, 'branch ' || n AS name FROM generate_series(0, 99) AS n;
    ALTER TABLE accounts ADD PRIMARY KEY (aid);
    ALTER TABLE tellers ADD PRIMARY KEY (aid);
    ALTER TABLE events ADD PRIMARY KEY (id);
    ALTER TABLE returns ADD PRIMARY KEY (id);
    ALTER TABLE documents ADD PRIMARY KEY (id);
    ALTER TABLE branches ADD PRIMARY KEY (bid);
    CREATE INDEX ON accounts (bid, abalance);
    CREATE INDEX ON events (made);
    CREATE INDEX ON events (customer, amount);
    CREATE INDEX ON returns (customer);
    ALTER TABLE accounts ADD FOREIGN KEY (bid) REFERENCES branches;
    ALTER TABLE tellers ADD FOREIGN KEY (bid) REFERENCES branches;`,
  };
}

/** One large table with a key and four more indexes. */
export function indexedData(megabytes: number): Dataset {
  return {
    name: "indexed",
    sql: `${mixed("events", megabytes)}
    ALTER TABLE events ADD PRIMARY KEY (id);
    CREATE INDEX ON events (made);
    CREATE INDEX ON events (customer, made);
    CREATE INDEX ON events (amount);
    CREATE INDEX ON events (note);`,
  };
}

/** Many tables of 20 rows, with a key and an index each. */
export function smallTablesData(tables: number): Dataset {
  return {
    name: "small",
    sql: `DO $$ BEGIN FOR n IN 1..${tables} LOOP
      EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, name text, made timestamptz)', n);
      EXECUTE format('INSERT INTO t%s SELECT g, md5(g::text), now() FROM generate_series(1, 20) AS g', n);
      EXECUTE format('CREATE INDEX ON t%s (name)', n);
    END LOOP; END $$;`,
  };
}

/** One field of 900 MB, stored compressed, which is fast to create. */
export function hugeFieldData(): Dataset {
  return {
    name: "huge_field",
    sql: `CREATE TABLE files (id int, body text);
      INSERT INTO files VALUES (1, repeat('0123456789abcdef', 900 * 65536)), (2, 'small');`,
  };
}

/** Eight tables of equal size, for eight jobs. */
export function eightTablesData(megabytes: number): Dataset {
  return {
    name: "eight",
    sql: Array.from({ length: 8 }, (_, n) => mixed(`events_${n}`, megabytes / 8)).join(""),
  };
}
