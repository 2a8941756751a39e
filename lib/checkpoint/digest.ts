/**
 * Statements as the ledger knows them. Pure.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { encodeOpaque } from "../core/internal.ts";
import type { DumpStatement } from "../schema/internal.ts";

/** The digest of a statement: 32 hexadecimal digits. */
export function statementDigest({ sql }: DumpStatement): string {
  return createHash("sha256").update(encodeOpaque(sql)).digest("hex").slice(0, 32);
}

/**
 * Whether a statement is recorded at all. Settings are part of a session and are run again in each;
 * privileges may be run any number of times, and come with statements that change the session's
 * role.
 */
export function isRecorded({ type }: DumpStatement): boolean {
  return type !== undefined && type !== "ACL" && type !== "DEFAULT ACL";
}
