/**
 * Tables whose changes no stream carries. Pure.
 *
 * @module
 */
import { nameSome, plural, tableKey, type TableName } from "../../core/internal.ts";
import type { PreflightFacts } from "../facts/preflight_facts.ts";
import type { PreflightCheck } from "./preflight_check.ts";

/** Tables and partitions whose rows do not reach the other side, now or after the switch. */
export function checkUncarried(check: PreflightCheck): void {
  checkNotCarried(check);
  checkPartitionsElsewhere(check);
}

function checkNotCarried({ facts, stage, findings }: PreflightCheck): void {
  const { from: { side }, notCarried } = facts;
  const { created, partitions } = unexpected(facts);
  if (stage === "switch" && side === "source" && created.length > 0) {
    findings.problem({
      side,
      message: `tables were created since cutover prepare, and no stream carries their rows: ${
        nameSome(created)
      }`,
      remedy:
        "run sync --add-tables, then cutover prepare again; to leave them out, run cutover prepare only",
    });
  } else if (stage === "switch" && side === "target" && partitions.length > 0) {
    findings.problem({
      side,
      message:
        `replicated tables have partitions that the way back does not carry, with their rows: ${
          nameSome(partitions)
        }`,
      remedy:
        "ALTER TABLE … DETACH PARTITION … on the target: their rows then stay there, to be copied to the source by hand; drop those that are empty",
    });
  } else if (notCarried.length > 0) {
    findings.warning({
      side,
      message: `changes of ${plural(notCarried.length, "table")} are not replicated: ${
        nameSome(notCarried)
      }`,
      remedy: side === "source"
        ? "changes to them do not reach the other side; sync --add-tables or --resnapshot includes them"
        : "their rows stay on the target: copy them to the source by hand if they are needed there",
    });
  }
}

/**
 * What `prepare` has not reported: tables that were created since, and partitions; these also if
 * the other side lacks them.
 */
function unexpected(
  { leftOut, notCarried, partitionsAlone, partitionsNotCarried }: PreflightFacts,
): { readonly created: readonly TableName[]; readonly partitions: readonly TableName[] } {
  const known = new Set(leftOut.map((table) => tableKey(table)));
  const alone = new Set(partitionsAlone.map((table) => tableKey(table)));
  return {
    created: notCarried.filter((table) => !known.has(tableKey(table))),
    partitions: partitionsNotCarried.filter((table) =>
      !known.has(tableKey(table)) || alone.has(tableKey(table))
    ),
  };
}

/** The way back would not carry them. */
function checkPartitionsElsewhere(
  { facts: { to, wayBack, partitionsElsewhere }, stage, findings }: PreflightCheck,
): void {
  if (to.side !== "target" || !wayBack || partitionsElsewhere.length === 0) return;
  findings.warning({
    side: to.side,
    message: `replicated tables have partitions that only the target has: ${
      nameSome(partitionsElsewhere)
    }; once it is open, the way back does not carry rows that are written to them, and rollback is refused`,
    remedy: stage === "prepare"
      ? "drop those that are empty; or create them on the source too, and run sync --add-tables first"
      : "drop those that are empty; or create them on the source too, and run sync --add-tables and cutover prepare again",
  });
}
