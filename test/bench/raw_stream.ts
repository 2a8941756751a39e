/**
 * Copies one table that exists on both sides with the relay alone, in a separate process:
 * `raw_stream.ts SOURCE TARGET TABLE FORMAT`.
 *
 * @module
 */
import { openSession, relayCopies, resolveEndpoint } from "../../lib/postgres/internal.ts";

const [sourceUrl = "", targetUrl = "", table = "", format = "text"] = Deno.args;
const resolveEnvironment = { environment: {}, readFile: (path: string) => Deno.readTextFile(path) };
const [source, target] = await Promise.all(
  ([["source", sourceUrl], ["target", targetUrl]] as const).map(async ([side, url]) =>
    openSession(await resolveEndpoint(url, { side, resolveEnvironment }))
  ),
);
if (source === undefined || target === undefined) throw new Error("no sessions");
await using _source = source;
await using _target = target;
const jobs = [{
  name: table,
  copyOut: `COPY public.${table} TO STDOUT (FORMAT ${format})`,
  copyIn: `COPY public.${table} FROM STDIN (FORMAT ${format})`,
  expectedBytes: Infinity,
}];
await relayCopies(source, target, { next: () => jobs.shift(), onFinished: () => {} });
