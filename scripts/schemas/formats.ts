/** The types whose schemas are documented; scripts/build_schemas.ts reads this file. */
export type { StateDocument } from "../../lib/checkpoint/state_document.ts";
export type { RunEvent } from "../../lib/core/events.ts";
export type { CleanupPlan, CleanupReport } from "../../lib/commands/cleanup/report.ts";
export type {
  CutoverFinishReport,
  CutoverPrepareReport,
  CutoverStatusReport,
  CutoverSwitchReport,
} from "../../lib/commands/cutover/report.ts";
export type { InitPlan } from "../../lib/commands/shared/init_plan.ts";
export type { InitReport } from "../../lib/commands/shared/init_report.ts";
export type { SyncReport } from "../../lib/commands/shared/sync_report.ts";
export type { ValidationReport } from "../../lib/commands/shared/validation_report.ts";
export type { VerifyReport } from "../../lib/commands/shared/verify_report.ts";
export type { JobEvent } from "../../lib/remote/store/journal_entry.ts";
