import { withSession } from "./sql.ts";

/** Filled tables of all kinds that are difficult to replicate. */
export const busySchema = `
  CREATE TABLE account (id int PRIMARY KEY, v text, n bigint NOT NULL DEFAULT 0, big text);
  ALTER TABLE account ALTER COLUMN big SET STORAGE EXTERNAL;
  INSERT INTO account SELECT i, 'row ' || i, 0, CASE WHEN i % 50 = 0 THEN repeat(md5(i::text), 200) END FROM generate_series(0, 4000) AS i;
  CREATE TABLE journal (at timestamptz DEFAULT clock_timestamp(), what text, n int); ALTER TABLE journal REPLICA IDENTITY FULL;
  INSERT INTO journal SELECT '2024-01-01', 'w' || i % 7, i % 3 FROM generate_series(1, 500) AS i;
  CREATE TABLE event (k text COLLATE "C", day int, v int, PRIMARY KEY (k, day)) PARTITION BY RANGE (day);
  CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (10);
  CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM (10) TO (100);
  INSERT INTO event SELECT 'k' || i, i % 20, i FROM generate_series(1, 3000) AS i;
  CREATE TABLE quiet (id int PRIMARY KEY, v text); INSERT INTO quiet SELECT i, 'q' || i FROM generate_series(1, 2000) AS i;`;

/** The transactions that each writer repeats. */
const writers: readonly ((i: number) => string)[] = [
  () => "UPDATE account SET n = n + 1 WHERE id = 0",
  (i) => `UPDATE account SET v = 'changed ${i}', n = n + 1 WHERE id % 97 = ${i % 97} AND id > 100`,
  (i) =>
    `BEGIN; INSERT INTO account (id, v) VALUES (${
      9000 + i % 5
    }, 'come ${i}'); COMMIT; DELETE FROM account WHERE id = ${9000 + i % 5}`,
  (i) =>
    `UPDATE account SET id = CASE id WHEN 50 THEN 5050 ELSE 50 END, n = ${i} WHERE id IN (50, 5050)`,
  (i) =>
    `INSERT INTO journal (what, n) VALUES ('w${i % 7}', ${
      i % 3
    }); DELETE FROM journal WHERE ctid IN (SELECT ctid FROM journal LIMIT 1)`,
  (i) => `UPDATE journal SET n = n + 1 WHERE what = 'w${i % 7}' AND at > now() - interval '1 s'`,
  (i) => `UPDATE event SET day = (day + 7) % 20, v = v + 1 WHERE k = 'k${1 + i * 31 % 3000}'`,
];

/** Executes various writes until disposed, and counts them. */
export class BusyWriters implements AsyncDisposable {
  transactions = 0;
  #ended = false;
  readonly #paceMs: number;
  readonly #running: Promise<unknown>;

  /**
   * @param options `paceMs`: the pause of each writer; the target must keep up, applying one
   * transaction at a time
   */
  constructor(url: string, { paceMs = 10 }: { readonly paceMs?: number } = {}) {
    this.#paceMs = paceMs;
    this.#running = Promise.all(writers.map((statement) => this.#write(url, statement)));
    this.#running.catch(() => {}); // thrown when disposed
  }

  async #write(url: string, statement: (i: number) => string): Promise<void> {
    await withSession(url, async (session) => {
      for (let i = 0; !this.#ended; i++) {
        await session.unsafe(statement(i)).simple();
        this.transactions++;
        await new Promise((resolve) => setTimeout(resolve, this.#paceMs));
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    await this.#running;
  }
}
