/** Applies the changes of a stream until it is killed: `SOURCE`, `TARGET`, `STREAM`. */
import { applyChanges } from "../../lib/apply/internal.ts";
import { endpointOf } from "./init.ts";

const { SOURCE = "", TARGET = "", STREAM = "" } = Deno.env.toObject();
await applyChanges({
  source: await endpointOf(SOURCE, "source"),
  target: await endpointOf(TARGET, "target"),
  name: STREAM,
  signal: new AbortController().signal,
  events: (event) => console.error(JSON.stringify(event)),
});
