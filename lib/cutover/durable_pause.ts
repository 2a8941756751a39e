/**
 * The pause of a switch that was continued: from the records, which outlive the process that began
 * it.
 *
 * @module
 */
import { retry } from "../core/internal.ts";
import { durableSettings, type Endpoint, openSession } from "../postgres/internal.ts";
import type { SideRecord } from "./model.ts";
import { readSide } from "./own_schema.ts";
import type { DatabaseRoute } from "./route.ts";

/** The record of the side that was closed last, as the route has it. */
export function closedLast({ fromRecord, toRecord }: DatabaseRoute): SideRecord {
  return fromRecord.generation > toRecord.generation ? fromRecord : toRecord;
}

/**
 * Reads how long no side of an opened database accepted writes, in milliseconds: from the barrier
 * of the side that was closed last until the side in use was opened. Each time is compared with the
 * clock of the server that wrote it, so that clocks may differ.
 */
export async function readDurablePauseMs(route: DatabaseRoute): Promise<number> {
  const closed = closedLast(route);
  const since = closed.details.evidence?.heldSince ?? closed.changedAt;
  const [held, opened] = await Promise.all([
    readAgeMs(closed === route.fromRecord ? route.from : route.to, () => since),
    readAgeMs(route.to, (record) => record?.changedAt ?? since),
  ]);
  return Math.max(0, held - opened);
}

/** How long ago something was, by the server's clock. */
async function readAgeMs(
  endpoint: Endpoint,
  timeOf: (record: SideRecord | undefined) => string,
): Promise<number> {
  await using session = await retry(() => openSession(endpoint, { settings: durableSettings }));
  const time = timeOf(await readSide(session));
  const { ms } = await session.queryOne<{ readonly ms: number }>(
    `SELECT (extract(epoch FROM pg_catalog.clock_timestamp() - $1::pg_catalog.timestamptz) * 1000)::pg_catalog.float8 AS ms`,
    [time],
  );
  return ms;
}
