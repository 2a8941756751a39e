import type { StepName } from "../core/internal.ts";

/** The steps in words for people. */
export const stepTitles: Readonly<Record<StepName, string>> = {
  "connect": "Connect",
  "validate": "Check both servers",
  "estimate": "Measure sizes",
  "globals": "Roles and settings",
  "publication": "Publish tables",
  "slot": "Replication slot",
  "dump": "Read the schema",
  "database": "Create database",
  "schema": "Tables and types",
  "data": "Copy rows",
  "large-objects": "Large objects",
  "indexes": "Indexes and keys",
  "foreign-keys": "Foreign keys",
  "finish-schema": "Triggers, views, rights",
  "sequences": "Sequences",
  "analyze": "Planner statistics",
  "subscription": "Subscribe",
  "catch-up": "Catch up",
  "structure": "Compare structure",
  "compare-rows": "Compare rows",
  "compare-objects": "Compare large objects",
};

/** A step's title, for names that a newer part of the tool may have added too. */
export function stepTitle(step: string): string {
  return Object.hasOwn(stepTitles, step) ? stepTitles[step as StepName] : step;
}
