/**
 * Reads what a complete copy still lacks, for reports of other commands.
 *
 * @module
 */
import { isTransient, ReplicatorError } from "../core/internal.ts";
import { type Session } from "../postgres/internal.ts";
import type { SetAsideObject } from "../schema/internal.ts";
import { readLedgerRun } from "./read_ledger.ts";

/**
 * Objects of the session's database that `init` has set aside and no later run has created,
 * including attributes such as comments and privileges. Empty if the ledger is not readable or not
 * trusted: for these commands it is only a hint.
 */
export async function readOutstanding(session: Session): Promise<readonly SetAsideObject[]> {
  try {
    return (await readLedgerRun(session))?.setAside ?? [];
  } catch (error) {
    if (!(error instanceof ReplicatorError) || isTransient(error)) throw error;
    return [];
  }
}
