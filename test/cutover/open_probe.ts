import postgres from "postgres";

/** Runs until it is stopped. */
export interface OpenProbe {
  /** Returns writes that were accepted on the old side after the new one had accepted some. */
  stop(): Promise<readonly string[]>;
}

/** Ways to write to a table as a superuser. Each is rolled back. */
const writes: readonly string[] = [
  "INSERT INTO balance VALUES (-1, 0)",
  "SET session_replication_role = replica; INSERT INTO balance VALUES (-1, 0)",
  "SET default_transaction_read_only = off; UPDATE balance SET amount = 0 WHERE id = -1",
  "DELETE FROM balance WHERE id = -1",
  "WITH w AS (INSERT INTO balance VALUES (-1, 0) RETURNING *) SELECT * FROM w",
  "INSERT INTO part_0 VALUES (0, -1, 'probe')",
  "INSERT INTO part VALUES (-1, -1, 'probe')",
  "DO $$ BEGIN UPDATE ack SET n = n WHERE id < 0; END $$",
];

/** Those that a role without superuser can use where only its read-only default refuses them. */
const ordinaryWrites: readonly string[] = writes.filter((each) => !each.startsWith("SET "));

/** The side in use of a database, and the one that is to be opened. */
export interface ProbedSides {
  readonly from: string;
  readonly to: string;
}

/**
 * Writes in turn to the sides that are to be opened and to those in use, and rolls back. Once one
 * new side has accepted a write, no old one must ever accept one again.
 */
export function startOpenProbe(
  databases: readonly ProbedSides[],
  { isOrdinary = false }: {
    /**
     * Whether it keeps the read-only default, without which the weaker fence does not refuse it.
     */
    readonly isOrdinary?: boolean;
  } = {},
): OpenProbe {
  const problems: string[] = [];
  let isStopped = false;
  const running = (async () => {
    let isNewOpen = false;
    for (let round = 0; !isStopped; round++) {
      const chosen = isOrdinary ? ordinaryWrites : writes;
      const write = chosen[round % chosen.length]!;
      const anyAccepts = async (urls: readonly string[]) =>
        (await Promise.all(urls.map((url) => accepts(url, write, { isOrdinary })))).includes(true);
      isNewOpen ||= await anyAccepts(databases.map(({ to }) => to));
      if (isNewOpen && await anyAccepts(databases.map(({ from }) => from))) {
        problems.push(`both sides are open: ${write}`);
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  })();
  return {
    async stop() {
      isStopped = true;
      await running;
      return problems;
    },
  };
}

/** Whether a write in a transaction of its own, which is rolled back, is accepted. */
export async function accepts(
  url: string,
  write: string,
  { isOrdinary = false }: { readonly isOrdinary?: boolean } = {},
): Promise<boolean> {
  const sql = postgres(url, {
    max: 1,
    onnotice: () => {},
    fetch_types: false,
    connect_timeout: 2,
    connection: {
      application_name: "probe",
      ...(isOrdinary ? {} : { default_transaction_read_only: false }),
    },
  });
  try {
    await sql.unsafe("SET lock_timeout = '200ms'").simple();
    await sql.unsafe("BEGIN").simple();
    await sql.unsafe(write).simple();
    return true;
  } catch {
    return false;
  } finally {
    await sql.end({ timeout: 0 });
  }
}
