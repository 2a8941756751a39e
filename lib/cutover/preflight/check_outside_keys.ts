/**
 * Foreign keys between tables in scope and tables that are left out. Pure.
 *
 * @module
 */
import { displayName } from "../../core/internal.ts";
import type { OutsideKey } from "../outside_keys.ts";
import type { PreflightCheck } from "./preflight_check.ts";

/** What such a key lets pass, or refuses. */
export function checkOutsideKeys({ facts: { outsideKeys }, findings }: PreflightCheck): void {
  const cascades = outsideKeys.filter(({ kind }) => kind === "cascade");
  if (cascades.length > 0) {
    findings.warning({
      message: `foreign keys carry changes of tables that are left out into replicated tables: ${
        someKeys(cascades)
      }`,
      remedy:
        "while a side is closed, it refuses DELETE and key changes of the referenced tables as well",
    });
  }
  const references = outsideKeys.filter(({ kind }) => kind === "reference");
  if (references.length > 0) {
    findings.warning({
      message: `tables that are left out have foreign keys to replicated tables: ${
        someKeys(references)
      }`,
      remedy:
        "replication deletes rows without checking these keys; sync --add-tables replicates the tables too",
    });
  }
}

const maxShown = 5;

function someKeys(keys: readonly OutsideKey[]): string {
  const shown = keys.slice(0, maxShown).map(({ name, referencing, referenced }) =>
    `${displayName(referencing)} → ${displayName(referenced)} (${name})`
  );
  const more = keys.length - shown.length;
  return more > 0 ? `${shown.join(", ")} and ${more} more` : shown.join(", ");
}
