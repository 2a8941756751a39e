/**
 * Large objects, which no stream carries. Pure.
 *
 * @module
 */
import { plural } from "../../core/internal.ts";
import type { PreflightCheck } from "./preflight_check.ts";

/** Whether the switch can compare and copy them. */
export function checkLargeObjects(
  { facts: { from, largeObjects: { count, unreadable } }, stage, findings }: PreflightCheck,
): void {
  if (unreadable > 0) {
    findings.warning({
      side: from.side,
      message: `the role may not read ${
        plural(unreadable, "large object")
      }: none will be compared or copied`,
      remedy: "connect as their owner or a superuser",
    });
  } else if (count > 0 && stage === "prepare") {
    findings.warning({
      side: from.side,
      message: `${plural(count, "large object")} ${count === 1 ? "is" : "are"} not replicated`,
      remedy:
        "cutover run copies what has changed while writers wait; cutover rehearse shows how long that takes",
    });
  }
}
