import { ExitCode } from "../core/mod.ts";
import { verify } from "../commands/verify.ts";
import type { Verdict } from "../verify/mod.ts";
import type { CommandRunner } from "./context.ts";
import { resolveVerifyOptions } from "./options.ts";
import { printJson, printResult, tableOptions } from "./print.ts";
import { verifyLines } from "./verify_lines.ts";

const exitCodes: Readonly<Record<Verdict, ExitCode>> = {
  equal: ExitCode.success,
  different: ExitCode.mismatch,
  unchecked: ExitCode.notVerified,
};

/** `verify`: the report on stdout; the exit code says whether both sides are equal. */
export const runVerify: CommandRunner = async (reader, context) => {
  const { terminal, output, progress, run } = context;
  const { repair, dryRun, yes: _, ...options } = await resolveVerifyOptions(
    reader,
    context.resolve,
  );
  const report = await verify({
    ...options,
    repair: repair ? dryRun ? "print" : "follow" : "no",
    now: () => new Date(),
  }, run);
  progress.pause();
  if (output.json) printJson(terminal, report);
  else printResult(terminal, verifyLines(report, tableOptions(terminal.stdout)));
  return exitCodes[report.verdict];
};
