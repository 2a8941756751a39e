/**
 * Finds what a cutover has created in a database. Only reads.
 *
 * @module
 */
import type { Side } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { findSide, readFence, type SideRecord } from "../../cutover/internal.ts";

/** One side of a cutover. */
export interface FoundCutover {
  readonly database: string;
  readonly record: SideRecord;
  /** Tables with a fence. */
  readonly tables: number;
}

/**
 * Reads the cutover of the session's database, if the database is that side of it. On one server
 * both sides are found from either.
 */
export async function findCutover(
  session: Session,
  { database, side }: { readonly database: string; readonly side: Side },
): Promise<FoundCutover | undefined> {
  // a schema that the tool did not create is left alone
  const record = await findSide(session);
  if (record === undefined || record.details.side !== side) return undefined;
  return { database, record, tables: (await readFence(session)).length };
}
