/**
 * How fast a source gives its rows to whoever takes them at once.
 *
 * @module
 */
import { runConcurrently } from "../../lib/core/mod.ts";
import { openSession, resolveEndpoint } from "../../lib/postgres/mod.ts";
import { encodeQuery, frame, FrameScanner } from "../../lib/postgres/frames.ts";
import { query } from "../support/sql.ts";

/**
 * Reads every table of schema `public` once, several at a time, and throws the rows away.
 *
 * @returns COPY bytes a second, of all sessions together
 */
export async function measureSource(url: string, jobs: number): Promise<number> {
  const tables = await query(
    url,
    `SELECT quote_ident(relname) AS name FROM pg_class
      WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`,
  );
  const surroundings = { environment: {}, readFile: (path: string) => Deno.readTextFile(path) };
  const endpoint = await resolveEndpoint(`${url}?sslmode=disable`, {
    side: "source",
    surroundings,
  });
  let bytes = 0;
  const start = performance.now();
  await runConcurrently(tables, async ({ name }) => {
    await using session = await openSession(endpoint);
    bytes += await session.takeOver(async (wire) => {
      let taken = 0;
      const done = Promise.withResolvers<void>();
      const scanner = new FrameScanner({
        copyData: (piece) => taken += piece.byteLength,
        message: (type) => {
          if (type === frame.error) done.reject(new Error(`COPY ${name} failed`));
          if (type === frame.ready) done.resolve();
        },
      });
      wire.receive((chunk) => scanner.push(chunk));
      await wire.write(encodeQuery(`COPY public.${name} TO STDOUT`));
      await done.promise;
      return taken;
    });
  }, { limit: jobs, signal: new AbortController().signal });
  return bytes / (performance.now() - start) * 1000;
}
