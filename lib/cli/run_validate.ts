import { ExitCode } from "../core/mod.ts";
import { validate } from "../commands/validate.ts";
import type { CommandRunner } from "./context.ts";
import { resolveCopyOptions } from "./options.ts";
import { printJson, printResult, tableOptions } from "./print.ts";
import { validationLines } from "./results.ts";

/** `validate`: the report on stdout; a failure of any check is exit code 3. */
export const runValidate: CommandRunner = async (reader, context) => {
  const { terminal, output, progress, run } = context;
  const options = await resolveCopyOptions(reader, context.resolve);
  const report = await validate({ ...options, forSync: false }, run);
  progress.pause();
  if (output.json) printJson(terminal, report);
  else printResult(terminal, validationLines(report, tableOptions(terminal.stdout)));
  return report.failures > 0 ? ExitCode.prerequisite : ExitCode.success;
};
