import { ledgerSchema, retry } from "../core/internal.ts";
import { type Endpoint, openSession, withoutEventTriggers } from "../postgres/internal.ts";
import { readLedgerRun } from "./read_ledger.ts";

/**
 * Removes the ledger of a complete database. Requires `--allow-net` for the target.
 */
export async function dropLedger(
  target: Endpoint,
  { run, signal }: { readonly run: string; readonly signal: AbortSignal },
): Promise<void> {
  await using session = await retry(() => openSession(target, { signal }), { signal });
  const head = await readLedgerRun(session);
  if (head?.run !== run || !head.complete) return;
  await withoutEventTriggers(
    session,
    () => session.execute(`DROP SCHEMA ${ledgerSchema} CASCADE`),
  );
}
