/**
 * What a complete copy still lacks, as other commands report it.
 *
 * @module
 */
import { ReplicatorError } from "../core/internal.ts";
import { isTransient, type Session } from "../postgres/internal.ts";
import type { SetAsideObject } from "../schema/internal.ts";
import { readLedgerRun } from "./read_ledger.ts";

/**
 * Objects of the session's database that `init` has set aside and that no later run has created;
 * comments, privileges and the like of others included. None where the record may not be read or is
 * not to be trusted: to these commands it is a hint only.
 */
export async function readOutstanding(session: Session): Promise<readonly SetAsideObject[]> {
  try {
    return (await readLedgerRun(session))?.setAside ?? [];
  } catch (error) {
    if (!(error instanceof ReplicatorError) || isTransient(error)) throw error;
    return [];
  }
}
