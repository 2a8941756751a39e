/**
 * The command line of postgres-seren-replicator.
 *
 * @module
 */
import { main } from "./lib/cli/run/main.ts";

if (import.meta.main) {
  Deno.exit(await main(Deno.args, { exit: (code) => Deno.exit(code) }));
}
