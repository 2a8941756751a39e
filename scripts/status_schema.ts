/**
 * Writes `docs/reference/status.schema.json`, the schema of `status --json`.
 *
 * Requires `--allow-write=docs`.
 *
 * @module
 */
import { statusJsonSchema } from "../lib/commands/status/schema.ts";

await Deno.writeTextFile(
  "docs/reference/status.schema.json",
  `${JSON.stringify(statusJsonSchema(), undefined, 2)}\n`,
);
