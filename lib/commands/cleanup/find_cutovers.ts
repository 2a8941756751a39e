/**
 * Finds what a cutover has created in a database. Only reads.
 *
 * @module
 */
import { cutoverSchema, ReplicatorError, type Side } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { readFence, readSide, type SideRecord } from "../../cutover/internal.ts";

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
  const [schema] = await session.query(
    "SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1",
    [cutoverSchema],
  );
  if (schema === undefined) return undefined;
  try {
    const record = await readSide(session);
    if (record === undefined || record.details.side !== side) return undefined;
    return { database, record, tables: (await readFence(session)).length };
  } catch (error) {
    // a schema that the tool did not create is left alone
    if (error instanceof ReplicatorError && error.object === `database ${database}`) {
      return undefined;
    }
    throw error;
  }
}
