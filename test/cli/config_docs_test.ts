/** The guide and the JSON Schema of configuration files. */
import { strictEqual } from "node:assert/strict";
import { denoEnvironment, repository, runProgram } from "../support/cli.ts";

Deno.test("docs/reference/configuration.md and docs/reference/config.schema.json are what lib/config says", async () => {
  const { code, stderr } = await runProgram(Deno.execPath(), [
    "run",
    "--quiet",
    "--no-prompt",
    "--allow-read=docs",
    "--allow-run=deno",
    "scripts/config_docs.ts",
    "--check",
  ], { env: denoEnvironment(), cwd: repository });
  strictEqual(code, 0, stderr);
});
