/**
 * How fast a source gives its rows to whoever takes them at once.
 *
 * @module
 */
import { openSession, resolveEndpoint, type Session } from "../../lib/postgres/mod.ts";
import { encodeQuery, frame, FrameScanner } from "../../lib/postgres/frames.ts";
import { query } from "../support/sql.ts";

/** Rows are read again until so much time has passed: a moment says little. */
const leastMs = 1_000;

/**
 * Reads the tables of schema `public`, several at a time, and throws the rows away.
 *
 * @returns COPY bytes a second, of all sessions together
 */
export async function measureSource(url: string, jobs: number): Promise<number> {
  const rows = await query(
    url,
    `SELECT quote_ident(relname) AS name FROM pg_class
      WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`,
  );
  const tables = rows.map(({ name }) => String(name));
  const surroundings = { environment: {}, readFile: (path: string) => Deno.readTextFile(path) };
  const endpoint = await resolveEndpoint(`${url}?sslmode=disable`, {
    side: "source",
    surroundings,
  });
  await using stack = new AsyncDisposableStack();
  const sessions = await Promise.all(
    Array.from({ length: jobs }, async () => stack.use(await openSession(endpoint))),
  );
  await readAll(sessions, tables); // what is measured is not the first time that it is done
  let bytes = 0;
  const start = performance.now();
  do bytes += await readAll(sessions, tables); while (performance.now() - start < leastMs);
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

function readTable(session: Session, table: string): Promise<number> {
  return session.takeOver(async (wire) => {
    let bytes = 0;
    let failed = false;
    const done = Promise.withResolvers<void>();
    const scanner = new FrameScanner({
      copyData: (piece) => bytes += piece.byteLength,
      message: (type) => {
        if (type === frame.error) failed = true;
        if (type === frame.ready) done.resolve();
      },
    });
    wire.receive((chunk) => scanner.push(chunk));
    await wire.write(encodeQuery(`COPY public.${table} TO STDOUT`));
    await done.promise;
    if (failed) throw new Error(`reading ${table} failed`);
    return bytes;
  });
}
