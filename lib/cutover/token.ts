/**
 * Tokens: rows that travel with a stream. Changes are applied in commit order, so once a token is
 * visible on the other side, so is everything that was committed before it. A distance
 * between LSNs proves nothing of the kind: keepalives advance positions past unapplied changes, and
 * an idle source may never reach an awaited one.
 *
 * @module
 */
import { formatLsn, type Lsn, parseLsn, pause, ReplicatorError } from "../core/internal.ts";
import { type Session } from "../postgres/internal.ts";
import type { TokenEvidence } from "./model.ts";
import { tokenTable } from "./own_schema.ts";

/** A token on its way. */
export interface SentToken {
  readonly stream: string;
  /** A random UUID. */
  readonly id: string;
  /**
   * The end of the WAL once the token was inserted, shortly before it was committed: what is
   * committed later is not proven to have arrived, and what is committed in between counts as such.
   */
  readonly lsn: Lsn;
  /** On the clock of `performance.now()`. */
  readonly sentAtMs: number;
}

/**
 * Sends a token through a stream: one transaction, committed durably.
 *
 * @param session on the side that the stream leaves
 */
export async function sendToken(session: Session, stream: string): Promise<SentToken> {
  const id = crypto.randomUUID();
  const sentAtMs = performance.now();
  const results = await session.queryAll(
    `SET synchronous_commit = on;
     INSERT INTO ${tokenTable(stream)} (id) VALUES ('${id}');
     SELECT pg_catalog.pg_current_wal_insert_lsn()::pg_catalog.text AS lsn`,
  );
  const lsn = results.flat().find((row) => "lsn" in row)?.["lsn"];
  return { stream, id, lsn: parseLsn(String(lsn)), sentAtMs };
}

const pollMs = 4;

/**
 * Waits until tokens are visible on the other side.
 *
 * @param session on the side where the streams arrive
 * @throws TokensLateError when the deadline passes
 */
export async function awaitTokens(
  session: Session,
  { tokens, deadlineMs, signal }: {
    readonly tokens: readonly SentToken[];
    /** On the clock of `performance.now()`. */
    readonly deadlineMs: number;
    readonly signal: AbortSignal;
  },
): Promise<readonly TokenEvidence[]> {
  const missing = new Map(tokens.map((token) => [token.id, token]));
  const seen: TokenEvidence[] = [];
  while (missing.size > 0) {
    const rows = await session.query<{ readonly id: string }>(seenStatement([...missing.values()]));
    for (const { id } of rows) {
      const token = missing.get(id);
      if (token === undefined) continue;
      missing.delete(id);
      seen.push({
        stream: token.stream,
        id,
        lsn: formatLsn(token.lsn),
        ms: performance.now() - token.sentAtMs,
      });
    }
    if (missing.size === 0) break;
    if (performance.now() > deadlineMs) throw new TokensLateError([...missing.values()], session);
    await pause(pollMs, signal);
  }
  return seen;
}

function seenStatement(tokens: readonly SentToken[]): string {
  return tokens.map(({ stream, id }) =>
    `SELECT id::pg_catalog.text AS id FROM ${tokenTable(stream)} WHERE id = '${id}'`
  ).join(" UNION ALL ");
}

/** Changes have not arrived in time. */
export class TokensLateError extends ReplicatorError {
  /** Class name, for `error.name`. */
  override readonly name = "TokensLateError";

  /** Names the streams whose tokens are missing. */
  constructor(tokens: readonly SentToken[], { side, endpoint: { database } }: Session) {
    super(
      `the changes of ${tokens.map(({ stream }) => stream).join(", ")} did not arrive in time`,
      {
        side,
        object: `database ${database}`,
        remedy: "see status for the lag of the stream and what holds it up",
      },
    );
  }
}

/** The statement that removes tokens older than an hour; replication removes their copies. */
export function deleteOldTokens(stream: string): string {
  return `DELETE FROM ${
    tokenTable(stream)
  } WHERE sent_at < pg_catalog.clock_timestamp() - '1 hour'::pg_catalog.interval`;
}
