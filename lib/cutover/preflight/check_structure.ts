/**
 * Whether both sides have the same tables and sequences. Pure.
 *
 * @module
 */
import { nameSome } from "../../core/internal.ts";
import type { PreflightCheck } from "./preflight_check.ts";

/** Differences in structure. */
export function checkStructure(
  { facts: { to, drift, unmappedSequences }, findings }: PreflightCheck,
): void {
  for (const message of drift) {
    findings.problem({
      message,
      remedy: "see status for the statement that removes the difference",
    });
  }
  if (unmappedSequences.length > 0) {
    findings.problem({
      side: to.side,
      message: `sequences are missing: ${nameSome(unmappedSequences)}`,
      remedy: "create them with the definition of the other side",
    });
  }
}
