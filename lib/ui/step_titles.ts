import type { StepName } from "../core/internal.ts";

/**
 * What a step is called wherever a person reads it: terminal, log, report and the service's web
 * page. The `step` of an event names the same step to programs.
 */
export const stepTitles: Readonly<Record<StepName, string>> = {
  "connect": "Connect",
  "validate": "Validate",
  "estimate": "Estimate duration",
  "globals": "Copy roles and settings",
  "publication": "Create publications",
  "slot": "Create replication slot",
  "dump": "Dump schema",
  "database": "Create database",
  "schema": "Create tables and types",
  "data": "Copy rows",
  "large-objects": "Copy large objects",
  "indexes": "Build indexes",
  "foreign-keys": "Add foreign keys",
  "finish-schema": "Finish schema",
  "sequences": "Set sequences",
  "analyze": "Analyze tables",
  "subscription": "Create subscription",
  "catch-up": "Catch up",
  "structure": "Compare structure",
  "compare-rows": "Compare rows",
  "compare-objects": "Compare large objects",
};

/** A step's title; the name itself for a step that only a newer version knows. */
export function stepTitle(step: string): string {
  return Object.hasOwn(stepTitles, step) ? stepTitles[step as StepName] : step;
}
