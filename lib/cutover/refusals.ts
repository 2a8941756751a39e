/**
 * Counting the writes that the fence refuses: how much still uses the closed side.
 *
 * @module
 */
import { plural, type Side } from "../core/internal.ts";
import type { Session } from "../postgres/internal.ts";
import type { CutoverPhase } from "./model.ts";
import { refusals } from "./own_schema.ts";

/**
 * Begins a new count: in the transaction that closes the side, whose fence refuses nothing until it
 * commits, and once the switch is complete, so that writers that waited for it do not count. Does
 * nothing on a side prepared by a version that did not count.
 */
export const resetRefusalsStatement =
  `SELECT pg_catalog.setval(c.oid::pg_catalog.regclass, 1, false)
    FROM pg_catalog.pg_class AS c
   WHERE c.oid = pg_catalog.to_regclass('${refusals}')::pg_catalog.oid AND c.relkind = 'S'`;

/**
 * Reads how many writes the fence has refused since the count began. After a crash of
 * the server, it may be up to 32 too many. Writes that read-only mode refuses do not reach the
 * fence.
 *
 * @returns null if the side was prepared by a version that did not count
 */
export async function readRefusals(session: Session): Promise<number | null> {
  const { exists } = await session.queryOne<{ readonly exists: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c
                     WHERE c.oid = pg_catalog.to_regclass($1)::pg_catalog.oid AND c.relkind = 'S')
            AS exists`,
    [refusals],
  );
  if (!exists) return null;
  const { count } = await session.queryOne<{ readonly count: number }>(
    `SELECT (CASE WHEN is_called THEN last_value ELSE 0 END)::pg_catalog.float8 AS count
       FROM ${refusals}`,
  );
  return count;
}

/** The side whose fence counts: the one that was closed last. Pure. */
export function countingSide(phase: CutoverPhase): Side | undefined {
  switch (phase) {
    case "none":
    case "preparing":
    case "contradictory":
      return undefined;
    case "prepared":
    case "returning":
      return "target";
    case "closing":
    case "switched":
    case "finished":
      return "source";
  }
}

/**
 * `3 attempts to write on the closed source were refused`. Those that a switch itself refused,
 * because they had waited for it, are not among them.
 */
export function describeRefusals(count: number, side: Side): string {
  return `${plural(count, "attempt")} to write on the closed ${side} ${
    count === 1 ? "was" : "were"
  } refused`;
}

/** What to do about them. */
export function refusalsRemedy(side: Side): string {
  return side === "source"
    ? "a client still uses it: the source's log shows the statements; connect the client to the target"
    : "a client uses it early: the target's log shows the statements; keep the client on the source until the switch";
}
