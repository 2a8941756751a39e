import type {
  CutoverFinishPlan,
  CutoverFinishReport,
  CutoverPreparePlan,
  CutoverPrepareReport,
  CutoverRehearsal,
  CutoverStatusReport,
  CutoverSwitchPlan,
  CutoverSwitchReport,
} from "../../commands/cutover/report.ts";
import type { CutoverJobOptions } from "../../remote/mod.ts";
import type { TableOptions } from "../../ui/mod.ts";
import {
  cutoverFinishedLines,
  cutoverPreparedLines,
  cutoverStatusLines,
  cutoverSwitchedLines,
  finishPlanLines,
  preparePlanLines,
  rehearsalLines,
  switchPlanLines,
} from "./cutover_lines.ts";

/** The report or plan of a `cutover` job, as the command prints it. */
export function cutoverResultLines(
  { action = "status", dry_run = false }: CutoverJobOptions,
  result: unknown,
  size: TableOptions,
): readonly string[] {
  switch (action) {
    case "status":
      return cutoverStatusLines(result as CutoverStatusReport, size);
    case "rehearse":
      return rehearsalLines(result as CutoverRehearsal, size);
    case "prepare":
      return dry_run
        ? preparePlanLines(result as CutoverPreparePlan, size)
        : cutoverPreparedLines(result as CutoverPrepareReport, size);
    case "finish":
      return dry_run
        ? finishPlanLines(result as CutoverFinishPlan, size)
        : cutoverFinishedLines(result as CutoverFinishReport, size);
    case "run":
    case "rollback":
      return dry_run
        ? switchPlanLines(result as CutoverSwitchPlan, size)
        : cutoverSwitchedLines(result as CutoverSwitchReport, size);
  }
}
