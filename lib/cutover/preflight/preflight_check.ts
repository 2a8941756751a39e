/**
 * What every check of a preflight works with.
 *
 * @module
 */
import type { PreflightFacts } from "../facts/preflight_facts.ts";
import type { PreflightFindings, PreflightStage } from "./findings.ts";

/** What is known, which step it is checked for, and where the findings go. */
export interface PreflightCheck {
  readonly facts: PreflightFacts;
  readonly stage: PreflightStage;
  readonly findings: PreflightFindings;
}

/** The remedy for what `prepare` brings up to date. It is refused once the target is in use. */
export function prepareAgain({ database }: Pick<PreflightFacts, "database">): string {
  return `run cutover prepare again for ${database}`;
}
