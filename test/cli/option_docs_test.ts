/** The pages that are derived from the option table. */
import { strictEqual } from "node:assert/strict";
import { denoEnvironment, repository, runProgram } from "../support/cli.ts";

Deno.test("the reference of options, the man page and the configuration reference are up to date", async () => {
  const { code, stderr } = await runProgram(Deno.execPath(), [
    "run",
    "--quiet",
    "--no-prompt",
    "--allow-read=docs",
    "--allow-run=deno",
    "scripts/option_docs.ts",
    "--check",
  ], { env: denoEnvironment(), cwd: repository });
  strictEqual(code, 0, stderr);
});
