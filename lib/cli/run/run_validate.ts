import { ExitCode, UsageError } from "../../core/internal.ts";
import { completeValidateOptions } from "../../commands/shared/complete_options.ts";
import { executeValidate } from "../../commands/validate/validate.ts";
import type { CommandRunner } from "../context.ts";
import { chooseInteractively, nothingChosen } from "./interactive.ts";
import { resolveValidateOptions } from "../options/validate_options.ts";
import { decisionLines } from "../print/decisions.ts";
import { printNext } from "../print/print_next.ts";
import { printJson, printResult, tableOptions } from "../print/print.ts";
import { readRemote } from "../remote/remote_place.ts";
import { validationLines } from "../print/validation_lines.ts";

/** `validate`: the report on stdout; a failure of any check is exit code 3. */
export const runValidate: CommandRunner = async (reader, context) => {
  const { terminal, output, progress, run } = context;
  const place = readRemote(reader, context.resolve);
  const { explainRules, ...wanted } = await resolveValidateOptions(reader, context.resolve);
  if (place !== undefined && wanted.forSync) {
    const message = "is not supported with --remote: run it here";
    throw new UsageError([{ path: "--for-sync", message }]);
  }
  const chosen = await chooseInteractively(wanted, context);
  if (chosen === undefined) throw nothingChosen();
  const options = completeValidateOptions(chosen);
  const validate = options.forCutover
    ? (await import("../../commands/cutover/validate.ts")).executeValidateCutover
    : executeValidate;
  const report = place === undefined
    ? await validate(options, run)
    : await (await import("../remote/remote_commands.ts")).validateRemotely(options, {
      place,
      reader,
      context,
    });
  progress.pause();
  if (output.json) printJson(terminal, report);
  else {
    const size = tableOptions(terminal.stdout);
    printResult(terminal, [
      ...validationLines(report, size),
      ...(explainRules ? decisionLines(report.scopes, size) : []),
    ]);
  }
  if (report.failures === 0 && !options.forCutover) {
    printNext(options.forSync ? "init --enable-sync" : "init", context, {
      note: options.dropExisting
        ? "(without --drop-existing: add it to drop the databases of the target)"
        : undefined,
    });
  }
  return report.failures > 0 ? ExitCode.prerequisite : ExitCode.success;
};
