/**
 * Identifies statements in the ledger. Pure.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { encodeOpaque } from "../core/internal.ts";
import type { DumpStatement } from "../schema/internal.ts";

/** The digest of a statement, as 32 hexadecimal digits. */
export function statementDigest({ sql }: DumpStatement): string {
  return createHash("sha256").update(encodeOpaque(sql)).digest("hex").slice(0, 32);
}

/**
 * Whether a statement is recorded. Settings are not, because every session needs them; nor are
 * privileges, which are idempotent and interleaved with changes of the session's role.
 */
export function isRecorded({ type }: DumpStatement): boolean {
  return type !== undefined && type !== "ACL" && type !== "DEFAULT ACL";
}
