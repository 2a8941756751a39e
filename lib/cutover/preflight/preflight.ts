/**
 * Preflight: what would prevent a switch, from facts about both sides. Pure.
 *
 * @module
 */
import type { PreflightFacts } from "../facts/preflight_facts.ts";
import { describeUnfinished, unfinishedSwitchRemedy } from "../interrupted_switch.ts";
import { missingPrivileges } from "../privileges.ts";
import { checkFences } from "./check_fences.ts";
import { checkLargeObjects } from "./check_large_objects.ts";
import { checkOutsideKeys } from "./check_outside_keys.ts";
import { checkReadOnlyDefaults } from "./check_read_only.ts";
import { checkSide } from "./check_side.ts";
import {
  checkIncomplete,
  checkStreams,
  checkSubscriptions,
  checkUnattended,
} from "./check_streams.ts";
import { checkStructure } from "./check_structure.ts";
import { checkUncarried } from "./check_uncarried.ts";
import { type PreflightFinding, PreflightFindings, type PreflightStage } from "./findings.ts";
import type { PreflightCheck } from "./preflight_check.ts";

/** Every finding, problems first. */
export function preflight(
  facts: PreflightFacts,
  stage: PreflightStage,
): readonly PreflightFinding[] {
  const findings = new PreflightFindings({ database: facts.database, stage });
  const check: PreflightCheck = { facts, stage, findings };
  checkUnfinished(check);
  // while they are reversed, their states are neither errors nor to be repaired one by one
  if (facts.unfinished?.isTurning !== true) {
    checkStreams(check);
  }
  checkIncomplete(check);
  for (const side of [facts.from, facts.to]) checkSide(side, check);
  for (const missing of missingPrivileges(facts.privileges)) findings.problem(missing);
  checkUnattended(check);
  if (stage === "switch") checkFences(check);
  checkStructure(check);
  checkUncarried(check);
  checkSubscriptions(check);
  checkReadOnlyDefaults(check);
  checkOutsideKeys(check);
  checkLargeObjects(check);
  return findings.sorted();
}

/** A switch that is running, or was interrupted. */
function checkUnfinished({ facts: { unfinished }, findings }: PreflightCheck): void {
  if (unfinished === undefined) return;
  const text = {
    side: unfinished.inUse,
    message: describeUnfinished(unfinished),
    remedy: unfinishedSwitchRemedy(unfinished),
  };
  if (unfinished.isTurning) findings.problem(text);
  else findings.warning(text);
}
