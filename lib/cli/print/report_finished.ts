import type { InitReport } from "../../commands/shared/init_report.ts";
import type { CommandContext } from "../context.ts";
import { printResult, tableOptions } from "./print.ts";
import { finishedLines } from "./init_report_lines.ts";

/** Reports what is missing in databases that were copied before the run failed. */
export function reportFinished(
  report: InitReport,
  { terminal, output, addToFailure }: CommandContext,
): void {
  const databases = report.databases.filter(({ incomplete }) => !incomplete);
  if (databases.length === 0) return;
  if (output.json) return addToFailure({ databases });
  const lines = finishedLines({ ...report, databases }, tableOptions(terminal.stdout));
  if (lines.length > 0) printResult(terminal, lines);
}
