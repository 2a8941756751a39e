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
  "prepare": "Prepare cutover",
  "rehearse": "Rehearse",
  "preflight": "Check both sides",
  "hook-before": "Run hook before",
  "barrier": "Hold writers",
  "drain": "Drain replication",
  "final-check": "Final check",
  "way-back": "Establish the way back",
  "fence": "Close the side in use",
  "open": "Open the other side",
  "hook-switch": "Run hook switch",
  "tripwire": "Arm the tripwire",
  "end-sessions": "End client sessions",
  "hook-after": "Run hook after",
};

/** A step's title; the name itself for a step that only a newer version knows. */
export function stepTitle(step: string): string {
  return Object.hasOwn(stepTitles, step) ? stepTitles[step as StepName] : step;
}
