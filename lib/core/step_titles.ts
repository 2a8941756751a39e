import type { StepName } from "./events.ts";

/**
 * The titles of steps, the same in the terminal, logs, reports and the service's web page. Programs
 * identify a step by the `step` of an event.
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
