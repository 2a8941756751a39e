/**
 * Copies one table that is there on both sides by the relay alone, as a process of its own: `raw_stream.ts SOURCE TARGET TABLE FORMAT`.
 *
 * @module
 */
import { openSession, relayCopies } from "../../lib/postgres/mod.ts";
import { endpointOf } from "../support/init.ts";

const [sourceUrl = "", targetUrl = "", table = "", format = "text"] = Deno.args;
const [source, target] = await Promise.all([
  endpointOf(sourceUrl, "source").then((endpoint) => openSession(endpoint)),
  endpointOf(targetUrl, "target").then((endpoint) => openSession(endpoint)),
]);
await using _source = source;
await using _target = target;
const jobs = [{
  name: table,
  copyOut: `COPY public.${table} TO STDOUT (FORMAT ${format})`,
  copyIn: `COPY public.${table} FROM STDIN (FORMAT ${format})`,
  expectedBytes: Infinity,
}];
await relayCopies(source, target, { next: () => jobs.shift(), onFinished: () => {} });
