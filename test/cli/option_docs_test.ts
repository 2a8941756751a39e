/** The pages that scripts/option_docs.ts generates. */
import { strictEqual } from "node:assert/strict";
import { denoEnvironment, repository, runProgram } from "../support/cli.ts";

Deno.test("the generated pages of the reference are up to date", async () => {
  const { code, stderr } = await runProgram(Deno.execPath(), [
    "run",
    "--quiet",
    "--no-prompt",
    "--allow-read=docs,test/formats/samples",
    "--allow-run=deno",
    "scripts/option_docs.ts",
    "--check",
  ], { env: denoEnvironment(), cwd: repository });
  strictEqual(code, 0, stderr);
});
