/**
 * The command line of postgres-seren-replicator.
 *
 * @module
 */
import { main } from "./lib/cli/main.ts";

if (import.meta.main) {
  Deno.exit(await main(Deno.args, { exit: (code) => Deno.exit(code) }));
}
