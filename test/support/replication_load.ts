import postgres from "postgres";

/**
 * The tables of {@linkcode startReplicationLoad}. `log` has no key; `without: "log"` omits it.
 */
export function loadSchema({ withoutKeyless = false, extraTables = 0 } = {}): string {
  return `
    CREATE SCHEMA "Ünï cødé";
    CREATE TABLE account (
      id bigint PRIMARY KEY, owner text NOT NULL, balance bigint NOT NULL DEFAULT 0,
      tags text[], at timestamptz NOT NULL DEFAULT now()
    ) WITH (fillfactor = 50);
    CREATE INDEX ON account (owner);
    CREATE TABLE document (
      id int PRIMARY KEY, title text NOT NULL, body text, raw bytea, meta jsonb
    );
    ALTER TABLE document ALTER body SET STORAGE EXTERNAL, ALTER raw SET STORAGE EXTERNAL;
    CREATE TABLE entry (
      id bigint PRIMARY KEY, account bigint NOT NULL REFERENCES account ON UPDATE CASCADE ON DELETE CASCADE,
      amount numeric(12, 2) NOT NULL, twice numeric(12, 2) GENERATED ALWAYS AS (amount * 2) STORED
    );
    CREATE TABLE "Ünï cødé"."select" ("from" text, "Order" int, value double precision,
      PRIMARY KEY ("Order", "from"));
    CREATE TABLE scratch (id int PRIMARY KEY, n int NOT NULL);
    CREATE TABLE event (id bigint, kind text NOT NULL, at date NOT NULL, what text, PRIMARY KEY (id, kind))
      PARTITION BY LIST (kind);
    CREATE TABLE event_a PARTITION OF event FOR VALUES IN ('a');
    CREATE TABLE event_b PARTITION OF event FOR VALUES IN ('b') PARTITION BY RANGE (id);
    CREATE TABLE event_b1 PARTITION OF event_b FOR VALUES FROM (MINVALUE) TO (5000);
    CREATE TABLE event_b2 PARTITION OF event_b FOR VALUES FROM (5000) TO (MAXVALUE);
    CREATE TABLE event_rest PARTITION OF event DEFAULT;
    ${withoutKeyless ? "" : "CREATE TABLE log (at bigint, what text, detail text);"}
    CREATE TABLE hourly (hour int, name text, n int, UNIQUE (hour, name));
    ALTER TABLE hourly ALTER hour SET NOT NULL, ALTER name SET NOT NULL;
    ALTER TABLE hourly REPLICA IDENTITY USING INDEX hourly_hour_name_key;
    ${
    Array.from(
      { length: extraTables },
      (_, at) =>
        `CREATE TABLE extra_${at} (id int PRIMARY KEY, v text);
                  INSERT INTO extra_${at} SELECT n, 'row ' || n FROM generate_series(1, 50) AS n;`,
    ).join("\n")
  }
    INSERT INTO account SELECT n, 'owner ' || n % 97, n * 10, ARRAY['x', n::text]
      FROM generate_series(1, 4000) AS n;
    INSERT INTO entry (id, account, amount)
      SELECT n, 1 + n % 4000, (n % 1000) / 7.0 FROM generate_series(1, 8000) AS n;
    INSERT INTO document
      SELECT n, 'title ' || n, repeat(md5(n::text), 400), decode(repeat(md5(n::text), 300), 'hex'),
             jsonb_build_object('n', n, 'list', ARRAY[n, n + 1])
        FROM generate_series(1, 120) AS n;
    INSERT INTO event
      SELECT n, (ARRAY['a', 'b', 'c', 'd'])[1 + n % 4], date '2026-01-01' + n % 90, md5(n::text)
        FROM generate_series(1, 8000) AS n;
    INSERT INTO "Ünï cødé"."select" SELECT 'f' || n % 7, n, n / 3.0 FROM generate_series(1, 500) AS n;
    INSERT INTO hourly SELECT n % 24, 'name ' || n / 24, n FROM generate_series(0, 479) AS n;
    ANALYZE;
  `;
}

/** Options of {@linkcode startReplicationLoad}. */
export interface ReplicationLoadOptions {
  /** Number of writing sessions. Default: 3. */
  readonly sessions?: number;
  /** Whether to use prepared transactions. Default: true. */
  readonly twoPhase?: boolean;
  /** Whether to write the table without a key. Default: true. */
  readonly keyless?: boolean;
  /** Whether to use TRUNCATE. Default: true. */
  readonly truncate?: boolean;
  readonly extraTables?: number;
  /** Pause between two transactions of a session, in milliseconds. Default: 2. */
  readonly pauseMs?: number;
}

/** What the load has done. */
export interface LoadCounts {
  committed: number;
  rolledBack: number;
  /** Transactions rolled back by deadlocks, lock timeouts or lost connections. */
  failed: number;
  /** Number of steps, by name. */
  steps: Record<string, number>;
  /** Unexpected errors. */
  readonly surprises: string[];
}

type Sql = postgres.Sql;
type Step = (sql: Sql, context: StepContext) => Promise<void>;

interface StepContext {
  readonly random: (below: number) => number;
  /** Returns a unique number. */
  readonly next: () => number;
  readonly extraTables: number;
  readonly name: string;
}

const passing: ReadonlySet<string> = new Set(["40P01", "40001", "55P03", "23503", "57P01"]);

const run = async (sql: Sql, text: string) => void await sql.unsafe(text).simple();

/** The steps, each in its own transaction unless it says otherwise. */
const steps: Readonly<Record<string, Step>> = {
  insert: (sql, { next, random }) =>
    run(
      sql,
      `BEGIN; INSERT INTO account VALUES (${next()}, 'o', ${random(100)}, '{}');
       INSERT INTO entry (id, account, amount) VALUES (${next()}, ${
        1 + random(4000)
      }, 1.5); COMMIT`,
    ),
  hotUpdate: (sql, { random }) =>
    run(sql, `UPDATE account SET balance = balance + 1 WHERE id = ${1 + random(4000)}`),
  sameRowOften: (sql, { random }) =>
    run(
      sql,
      `BEGIN; ${
        `UPDATE account SET balance = balance + 1 WHERE id = ${1 + random(20)};`.repeat(5)
      } COMMIT`,
    ),
  keyUpdate: (sql, { random, next }) =>
    // including its entries
    run(sql, `UPDATE account SET id = ${next()} WHERE id = ${1 + random(4000)}`),
  delete: (sql, { random }) => run(sql, `DELETE FROM account WHERE id = ${1 + random(4000)}`),
  toast: (sql, { random }) =>
    run(sql, `UPDATE document SET title = title || 'x' WHERE id = ${1 + random(120)}`),
  toastKey: (sql, { random, next }) =>
    run(sql, `UPDATE document SET id = ${next()} WHERE id = ${1 + random(120)}`),
  toastChange: (sql, { random }) =>
    run(
      sql,
      `UPDATE document SET body = repeat(md5('${random(1e9)}'), ${random(500)}), raw = NULL
        WHERE id = ${1 + random(120)}`,
    ),
  partitionMove: (sql, { random }) =>
    run(
      sql,
      `UPDATE event SET kind = '${"abcd"[random(4)]}', what = 'moved ${random(1e6)}'
        WHERE id = ${1 + random(8000)}`,
    ),
  partitionRange: (sql, { random }) =>
    run(
      sql,
      `UPDATE event SET id = id + 4000 WHERE id = ${random(4000)} AND kind = 'b'
                AND NOT EXISTS (SELECT FROM event AS e WHERE e.id = event.id + 4000)`,
    ),
  savepoints: (sql, { next, random }) =>
    run(
      sql,
      `BEGIN; INSERT INTO scratch VALUES (${next()}, 1) ON CONFLICT DO NOTHING; SAVEPOINT a;
       UPDATE account SET balance = -1 WHERE id = ${1 + random(4000)}; ROLLBACK TO a;
       SAVEPOINT b; UPDATE account SET owner = 'saved' WHERE id = ${1 + random(4000)}; RELEASE b;
       SAVEPOINT c; INSERT INTO scratch VALUES (${next()}, 2); SAVEPOINT d; DELETE FROM scratch WHERE n = 2;
       ROLLBACK TO d; COMMIT`,
    ),
  rolledBack: (sql, { next, random }) =>
    run(
      sql,
      `BEGIN; INSERT INTO account VALUES (${next()}, 'never', 0); DELETE FROM entry WHERE id = ${
        random(8000)
      }; ROLLBACK`,
    ),
  large: (sql, { next, random }) => {
    const from = next();
    return run(
      sql,
      `BEGIN; INSERT INTO scratch SELECT ${from} * 1000 + n, n FROM generate_series(0, 899) AS n;
       UPDATE entry SET amount = amount + 1 WHERE id % 50 = ${random(50)}; COMMIT`,
    );
  },
  truncate: (sql, { random }) =>
    run(
      sql,
      random(2)
        ? "TRUNCATE scratch"
        : "BEGIN; TRUNCATE scratch; INSERT INTO scratch VALUES (-1, -1); COMMIT",
    ),
  truncateRolledBack: (sql) => run(sql, "BEGIN; TRUNCATE scratch; ROLLBACK"),
  keyless: (sql, { next, random }) =>
    run(
      sql,
      `BEGIN; INSERT INTO log VALUES (${next()}, 'what', NULL), (${next()}, 'twice', 'd');
       UPDATE log SET what = 'changed' WHERE at = (SELECT max(at) FROM log WHERE at % 7 = ${
        random(7)
      });
       DELETE FROM log WHERE at = (SELECT min(at) FROM log WHERE at % 5 = ${random(5)}); COMMIT`,
    ),
  quotedNames: (sql, { next, random }) =>
    run(
      sql,
      `BEGIN; INSERT INTO "Ünï cødé"."select" VALUES ('ä', ${next()}, 'NaN');
       UPDATE "Ünï cødé"."select" SET "from" = 'g' WHERE "Order" = ${1 + random(500)}; COMMIT`,
    ),
  identityIndex: (sql, { next, random }) =>
    run(
      sql,
      `UPDATE hourly SET name = md5(name || ${next()}), n = n + 1 WHERE hour = ${
        random(24)
      } AND n % 20 = ${random(20)}`,
    ),
  extra: (sql, { random, next, extraTables }) =>
    extraTables === 0 ? Promise.resolve() : run(
      sql,
      `BEGIN; INSERT INTO extra_${random(extraTables)} VALUES (${next()}, 'new');
       UPDATE extra_${random(extraTables)} SET v = v || '.' WHERE id = ${1 + random(50)};
       DELETE FROM extra_${random(extraTables)} WHERE id = ${1 + random(50)}; COMMIT`,
    ),
  twoPhase: async (sql, { next, random, name }) => {
    const gid = `${name} ${next()}`;
    await run(
      sql,
      `BEGIN; INSERT INTO account VALUES (${next()}, 'prepared', 0);
       UPDATE entry SET amount = 0 WHERE id = ${1 + random(8000)}; PREPARE TRANSACTION '${gid}'`,
    );
    await new Promise((resolve) => setTimeout(resolve, random(30)));
    await run(sql, `${random(3) ? "COMMIT" : "ROLLBACK"} PREPARED '${gid}'`);
  },
};

/**
 * Writes in every way that replication must handle, from several sessions, and one more that always
 * has a long transaction open, begun before other commits and committed after them.
 *
 * States: running → stopped.
 */
export class ReplicationLoad implements AsyncDisposable {
  readonly counts: LoadCounts = {
    committed: 0,
    rolledBack: 0,
    failed: 0,
    steps: {},
    surprises: [],
  };
  readonly #url: string;
  readonly #options: ReplicationLoadOptions;
  readonly #stopping = new AbortController();
  readonly #sessions: Promise<void>[];
  #next = 1_000_000;
  #milestones: { readonly at: number; readonly resolve: () => void }[] = [];

  /** Use {@linkcode startReplicationLoad}. */
  constructor(url: string, options: ReplicationLoadOptions) {
    this.#url = url;
    this.#options = options;
    const count = options.sessions ?? 3;
    this.#sessions = [
      ...Array.from({ length: count }, (_, at) => this.#session(at, (sql) => this.#step(sql, at))),
      this.#session(count, (sql) => this.#long(sql)),
    ];
  }

  /** Resolves once that many more transactions have been committed. */
  more(transactions: number): Promise<void> {
    const at = this.counts.committed + transactions;
    return new Promise((resolve) => this.#milestones.push({ at, resolve }));
  }

  /** Lets each session finish its transaction and returns what was done. */
  async stop(): Promise<LoadCounts> {
    this.#stopping.abort();
    await Promise.all(this.#sessions);
    for (const { resolve } of this.#milestones) resolve();
    return this.counts;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #session(_at: number, work: (sql: Sql) => Promise<void>): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const sql = postgres(this.#url, {
        // the driver does not decode the path of a URL
        database: decodeURIComponent(new URL(this.#url).pathname.slice(1)),
        max: 1,
        onnotice: () => {},
        fetch_types: false,
        prepare: false,
        connection: { application_name: "load", lock_timeout: 2_000 },
      });
      let connected = true;
      while (connected && !this.#stopping.signal.aborted) {
        try {
          await work(sql);
        } catch (error) {
          connected = await this.#failed(sql, error);
        }
        await this.#pause(this.#options.pauseMs ?? 2);
      }
      await sql.end({ timeout: connected ? 5 : 0 });
    }
  }

  async #failed(sql: Sql, error: unknown): Promise<boolean> {
    this.counts.failed++;
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const lost = /^(CONNECTION_|E[A-Z]+$|57P0|08)/.test(code);
    if (!passing.has(code) && !lost) {
      this.counts.surprises.push(
        error instanceof Error ? `${code} ${error.message}` : String(error),
      );
    }
    if (lost) return false;
    await run(sql, "ROLLBACK").catch(() => {}); // the next step notices a lost connection
    return true;
  }

  async #step(sql: Sql, at: number): Promise<void> {
    const { twoPhase = true, keyless = true, truncate = true, extraTables = 0 } = this.#options;
    const names = Object.keys(steps).filter((name) =>
      (twoPhase || name !== "twoPhase") && (keyless || name !== "keyless") &&
      (truncate || !name.startsWith("truncate"))
    );
    const name = names[this.#random(names.length)]!;
    await steps[name]!(sql, {
      random: (below) => this.#random(below),
      next: () => this.#next++,
      extraTables,
      name: `load ${at} of ${this.#url.split("/").at(-1)}`,
    });
    this.#committed(name);
  }

  /** Begins before other sessions commit, and commits after them. */
  async #long(sql: Sql): Promise<void> {
    const id = this.#next++;
    await run(
      sql,
      `BEGIN; INSERT INTO account VALUES (${id}, 'long', 0);
       UPDATE document SET title = 'long ${id}' WHERE id = ${1 + this.#random(120)}`,
    );
    await this.#pause(this.#random(400));
    await run(sql, `UPDATE account SET balance = 7 WHERE id = ${id}`);
    await this.#pause(this.#random(400));
    const commit = this.#random(4) > 0;
    await run(sql, commit ? "COMMIT" : "ROLLBACK");
    if (commit) this.#committed("long");
    else this.counts.rolledBack++;
  }

  #committed(name: string): void {
    this.counts.committed++;
    this.counts.steps[name] = (this.counts.steps[name] ?? 0) + 1;
    const due = this.#milestones.filter(({ at }) => at <= this.counts.committed);
    this.#milestones = this.#milestones.filter((each) => !due.includes(each));
    for (const { resolve } of due) resolve();
  }

  #random(below: number): number {
    return Math.floor(Math.random() * below);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const { signal } = this.#stopping;
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      if (signal.aborted) end();
      else signal.addEventListener("abort", end, { once: true });
    });
  }
}

/** Starts the load on a database created with {@linkcode loadSchema}. */
export function startReplicationLoad(
  url: string,
  options: ReplicationLoadOptions = {},
): ReplicationLoad {
  return new ReplicationLoad(url, options);
}
