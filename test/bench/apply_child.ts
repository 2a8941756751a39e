/**
 * Applies the changes of a stream once a line has arrived on stdin: `SOURCE`, `TARGET`, `STREAM`.
 *
 * @module
 */
import { applyChanges } from "../../lib/apply/internal.ts";
import { endpointOf } from "../support/init.ts";

const { SOURCE = "", TARGET = "", STREAM = "" } = Deno.env.toObject();
const options = {
  source: await endpointOf(SOURCE, "source"),
  target: await endpointOf(TARGET, "target"),
  name: STREAM,
  signal: new AbortController().signal,
  events: (event: object) => console.error(JSON.stringify(event)),
};
console.log("ready");
await Deno.stdin.read(new Uint8Array(1));
await applyChanges(options);
