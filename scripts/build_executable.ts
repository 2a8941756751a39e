/**
 * Builds the executable of this platform, `dist/postgres-seren-replicator`. `deno task release`
 * builds those of all platforms.
 *
 * Requires `--allow-read`, `--allow-write`, `--allow-env`, `--allow-run=deno`. The runtime is
 * downloaded, unless `DENORT_BIN` names it.
 *
 * @module
 */
import { ExecutableBuild } from "./release/executable.ts";

await using build = await ExecutableBuild.start();
await build.compile({
  output: "dist/postgres-seren-replicator",
  runtime: Deno.env.get("DENORT_BIN"),
});
