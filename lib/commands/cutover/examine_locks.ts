/**
 * Cutover commands that are at work at the same time.
 *
 * @module
 */
import { retry } from "../../core/internal.ts";
import { findOtherCommand, type PreflightFinding } from "../../cutover/internal.ts";
import { openSession } from "../../postgres/internal.ts";
import type { CutoverDatabase } from "./read_cutover.ts";

/**
 * Finds, for each database, another command that is working on it: while it does, no other may
 * change anything there. Takes no lock.
 *
 * @param options `waitMs`: how long the backend of a command that has just ended may take to end
 */
export async function examineLocks(
  databases: readonly Pick<CutoverDatabase, "source" | "target">[],
  { waitMs, signal }: { readonly waitMs: number; readonly signal: AbortSignal },
): Promise<readonly PreflightFinding[]> {
  const findings: PreflightFinding[] = [];
  for (const { source, target } of databases) {
    for (const endpoint of [source, target]) {
      await using session = await retry(() => openSession(endpoint, { signal }), { signal });
      const found = await findOtherCommand(session, { waitMs });
      if (found === undefined) continue;
      findings.push({
        severity: "problem",
        database: source.database,
        side: endpoint.side,
        ...found,
      });
      break; // it holds the lock of both sides
    }
  }
  return findings;
}
