/**
 * The command line of postgres-seren-replicator.
 *
 * @module
 */
import { exposeGarbageCollector } from "./lib/cli/run/engine_flags.ts";
import { main } from "./lib/cli/run/main.ts";

if (import.meta.main) {
  exposeGarbageCollector();
  Deno.exit(await main(Deno.args, { exit: (code) => Deno.exit(code) }));
}
