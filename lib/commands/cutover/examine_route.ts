/**
 * The preflight of a switch along a route.
 *
 * @module
 */
import { retry } from "../../core/internal.ts";
import { openSession } from "../../postgres/internal.ts";
import {
  type DatabaseRoute,
  preflight,
  type PreflightFinding,
  readPreflightFacts,
} from "../../cutover/internal.ts";

/**
 * Reads both sides of a prepared database and returns every finding about its switch.
 *
 * @param options `oldTransactionMs`: from which age on a transaction is worth a warning;
 * `attendanceMs`: how long to wait for the process that applies changes after the switch
 */
export async function examineRoute(
  route: DatabaseRoute,
  { oldTransactionMs, attendanceMs = 0, signal }: {
    readonly oldTransactionMs: number;
    readonly attendanceMs?: number;
    readonly signal: AbortSignal;
  },
): Promise<readonly PreflightFinding[]> {
  await using from = await retry(() => openSession(route.from, { signal }), { signal });
  await using to = await retry(() => openSession(route.to, { signal }), { signal });
  const facts = await readPreflightFacts({
    from,
    to,
    streams: route.out,
    tables: route.tables,
    leftOut: route.fromRecord.details.leftOut,
    wayBack: route.back.length > 0,
    starting: route.back,
    attendanceMs,
    preparing: undefined,
    oldTransactionMs,
  });
  return preflight(facts, "switch");
}
