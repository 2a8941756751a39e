/**
 * Measures how fast a source sends its rows.
 *
 * @module
 */
import { openSession, resolveEndpoint, type Session } from "../../lib/postgres/internal.ts";
import { encodeQuery } from "../../lib/postgres/protocol/frames.ts";
import { query } from "../support/sql.ts";

/** Rows are read repeatedly for this long, as short measurements are unreliable. */
const minMs = 1_000;

/**
 * Reads the tables of schema `public`, several in parallel, and discards the rows.
 *
 * @returns COPY bytes per second over all sessions
 */
export async function measureSource(url: string, jobs: number): Promise<number> {
  const rows = await query(
    url,
    `SELECT quote_ident(relname) AS name FROM pg_class
      WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`,
  );
  const tables = rows.map(({ name }) => String(name));
  const resolveEnvironment = {
    environment: {},
    readFile: (path: string) => Deno.readTextFile(path),
  };
  const endpoint = await resolveEndpoint(`${url}?sslmode=disable`, {
    side: "source",
    resolveEnvironment,
  });
  await using stack = new AsyncDisposableStack();
  const sessions = await Promise.all(
    Array.from({ length: jobs }, async () => stack.use(await openSession(endpoint))),
  );
  await readAll(sessions, tables); // warms up caches before the measurement
  let bytes = 0;
  const start = performance.now();
  do bytes += await readAll(sessions, tables); while (performance.now() - start < minMs);
  return bytes / (performance.now() - start) * 1000;
}

async function readAll(sessions: readonly Session[], tables: readonly string[]): Promise<number> {
  const queue = [...tables];
  const counts = await Promise.all(sessions.map(async (session) => {
    let bytes = 0;
    for (let table = queue.shift(); table !== undefined; table = queue.shift()) {
      bytes += await readTable(session, table);
    }
    return bytes;
  }));
  return counts.reduce((sum, count) => sum + count, 0);
}

/**
 * ReadyForQuery without its last byte. Text rows contain no zero bytes, so nothing else matches.
 */
const ready = [0x5a, 0, 0, 0, 5];

function readTable(session: Session, table: string): Promise<number> {
  return session.exclusive(async (wire) => {
    let bytes = 0;
    let tail: readonly number[] = [];
    const done = Promise.withResolvers<void>();
    wire.receive((chunk) => {
      bytes += chunk.byteLength;
      tail = [...tail, ...chunk.subarray(-6)].slice(-6);
      if (ready.every((byte, index) => tail[index] === byte)) done.resolve();
    });
    await wire.write(encodeQuery(`COPY public.${table} TO STDOUT`));
    await done.promise;
    return bytes;
  });
}
