import type { InitPlan } from "../../commands/shared/init_plan.ts";
import type { InitReport } from "../../commands/shared/init_report.ts";
import type { SyncReport } from "../../commands/shared/sync_report.ts";
import type { ValidationReport } from "../../commands/shared/validation_report.ts";
import type { VerifyReport } from "../../commands/shared/verify_report.ts";
import type { StatusReport } from "../../commands/status/status.ts";
import type { CutoverJobOptions, RemoteJobWithResult } from "../../remote/mod.ts";
import type { CommandContext } from "../context.ts";
import { cutoverResultLines } from "./cutover_result_lines.ts";
import { printJson, printResult, tableOptions } from "./print.ts";
import { initPlanLines } from "./init_plan_lines.ts";
import { initReportLines } from "./init_report_lines.ts";
import { validationLines } from "./validation_lines.ts";
import { statusLines } from "./status_lines.ts";
import { syncLines } from "./sync_lines.ts";
import { verifyLines } from "./verify_lines.ts";

/** Prints the report of a job as its command would. */
export function printJobResult(
  { command, spec, result }: RemoteJobWithResult,
  { terminal, output }: CommandContext,
): void {
  if (output.json) return printJson(terminal, result);
  const size = tableOptions(terminal.stdout);
  switch (command) {
    case "validate":
      return printResult(terminal, validationLines(result as ValidationReport, size));
    case "verify":
      return printResult(terminal, verifyLines(result as VerifyReport, size));
    case "status":
      return printResult(terminal, statusLines(result as StatusReport, size));
    case "init": {
      const report = result as InitReport | InitPlan;
      return printResult(
        terminal,
        "timeline" in report ? initReportLines(report, size) : initPlanLines(report, size),
      );
    }
    case "sync":
      return printResult(terminal, syncLines(result as SyncReport, size));
    case "cutover":
      return printResult(
        terminal,
        cutoverResultLines((spec.options ?? {}) as CutoverJobOptions, result, size),
      );
  }
}
