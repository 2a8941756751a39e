/**
 * What the barrier waits for: sessions with locks on tables in scope.
 *
 * @module
 */
import type { BlockerPolicy } from "../config/internal.ts";
import {
  formatDuration,
  quoteLiteral,
  quoteQualified,
  type Side,
  type TableName,
} from "../core/internal.ts";
import { ServerError, type Session } from "../postgres/internal.ts";

/** A session, or a prepared transaction, that holds up the barrier. */
export interface Blocker {
  /** Undefined for a prepared transaction, which has no backend. */
  readonly pid: number | undefined;
  /** Global identifiers of prepared transactions that hold a lock. */
  readonly preparedAs: string | undefined;
  readonly user: string | undefined;
  readonly application: string | undefined;
  /** `client backend`, `autovacuum worker`, … */
  readonly backendType: string;
  /** `active`, `idle in transaction`, … */
  readonly state: string | undefined;
  /** For autovacuum: whether it prevents wraparound, and so does not give way. */
  readonly preventsWraparound: boolean;
  /** Whether it applies the changes of a stream: removed, it would begin again. */
  readonly appliesChanges: boolean;
  /** Age of its transaction in milliseconds. */
  readonly ageMs: number | undefined;
  /** Process IDs of the sessions that it waits for itself, in a queue of locks. */
  readonly waitsFor: readonly number[];
}

// "autovacuum: VACUUM public.t (to prevent wraparound)" is visible to every role; statements of
// other roles are not, and are not shown in any case: they may contain data
const sessionsStatement = (pids: string) => `
  SELECT a.pid, NULL::pg_catalog.text AS gid, a.usename::pg_catalog.text AS username,
         a.application_name AS application, coalesce(a.backend_type, 'client backend') AS backend_type,
         a.state, coalesce(a.query LIKE '%(to prevent wraparound)', false) AND a.backend_type = 'autovacuum worker' AS wraparound,
         (extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start) * 1000)::pg_catalog.float8 AS age_ms,
         pg_catalog.array_to_json(pg_catalog.pg_blocking_pids(a.pid)) AS waits_for
    FROM (${pids}) AS blocking
    JOIN pg_catalog.pg_stat_activity AS a ON a.pid = blocking.pid`;

const blockersStatement = `${
  sessionsStatement(
    "SELECT DISTINCT b.pid FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids($1)) AS b (pid)",
  )
}
   UNION ALL
  SELECT NULL, p.gid, p.owner::pg_catalog.text, NULL, 'prepared transaction', 'prepared', false,
         (extract(epoch FROM pg_catalog.clock_timestamp() - p.prepared) * 1000)::pg_catalog.float8,
         '[]'::pg_catalog.json
    FROM pg_catalog.pg_prepared_xacts AS p
   WHERE p.database = pg_catalog.current_database() AND 0 = ANY (pg_catalog.pg_blocking_pids($1))
   ORDER BY age_ms DESC NULLS LAST`;

// every mode that conflicts with SHARE ROW EXCLUSIVE
const holdersStatement = `${
  sessionsStatement(
    `SELECT DISTINCT l.pid FROM pg_catalog.pg_locks AS l
      WHERE l.relation = pg_catalog.to_regclass($1)::pg_catalog.oid AND l.granted
        AND l.pid <> pg_catalog.pg_backend_pid()
        AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')`,
  )
}
   ORDER BY age_ms DESC NULLS LAST`;

type BlockerRow = {
  readonly pid: number | null;
  readonly gid: string | null;
  readonly username: string | null;
  readonly application: string | null;
  readonly backend_type: string;
  readonly state: string | null;
  readonly wraparound: boolean;
  readonly age_ms: number | null;
  readonly waits_for: readonly number[];
};

/** Reads what a backend waits for at the moment, oldest transaction first. */
export async function readBarrierBlockers(
  observer: Session,
  waitingPid: number,
): Promise<readonly Blocker[]> {
  const rows = await observer.query<BlockerRow>(blockersStatement, [waitingPid]);
  return rows.map(toBlocker);
}

/** Reads which sessions hold locks on a table that a fence or barrier has to wait for. */
export async function readTableHolders(
  session: Session,
  { schema, name }: TableName,
): Promise<readonly Blocker[]> {
  const rows = await session.query<BlockerRow>(holdersStatement, [quoteQualified(schema, name)]);
  return rows.map(toBlocker);
}

function toBlocker(row: BlockerRow): Blocker {
  return {
    pid: row.pid ?? undefined,
    preparedAs: row.gid ?? undefined,
    user: row.username ?? undefined,
    application: row.application ?? undefined,
    backendType: row.backend_type,
    state: row.state ?? undefined,
    preventsWraparound: row.wraparound,
    // "logical replication worker", "logical replication apply worker", …
    appliesChanges: row.backend_type.startsWith("logical replication"),
    ageMs: row.age_ms ?? undefined,
    // a prepared transaction is 0
    waitsFor: row.waits_for.filter((pid) => pid > 0),
  };
}

/** Describes one: `pid 4711 (app, report.py): idle in transaction, 2 h 05 min old`. */
export function describeBlocker(blocker: Blocker): string {
  const { pid, preparedAs, user, application, backendType, state, ageMs, waitsFor } = blocker;
  const name = pid === undefined
    ? `prepared transaction ${identifierLiteral(preparedAs)}`
    : `pid ${pid}`;
  const who = [user, application].filter((part) => part !== undefined && part !== "").join(", ");
  const what = [
    backendType === "client backend" || pid === undefined
      ? pid === undefined ? undefined : state
      : `${backendType}${blocker.preventsWraparound ? " (to prevent wraparound)" : ""}`,
    ageMs === undefined ? undefined : `transaction ${formatDuration(ageMs)} old`,
    waitsFor.length === 0 ? undefined : `waits for pid ${waitsFor.join(", ")}`,
  ].filter((part) => part !== undefined);
  return `${name}${who === "" ? "" : ` (${who})`}${
    what.length === 0 ? "" : `: ${what.join(", ")}`
  }`;
}

/** What to do about one, as a statement to run on its side. */
export function blockerRemedy(
  { pid, preparedAs, backendType, appliesChanges, state }: Blocker,
  side: Side,
): string {
  if (pid === undefined) {
    const gid = identifierLiteral(preparedAs);
    return `on the ${side}: COMMIT PREPARED ${gid}; or ROLLBACK PREPARED ${gid};`;
  }
  if (appliesChanges) return "wait until it has applied its transaction";
  if (backendType === "autovacuum worker") {
    return `wait until it ends, or on the ${side}: SELECT pg_catalog.pg_cancel_backend(${pid});`;
  }
  return state === "active"
    ? `let it finish, or on the ${side}: SELECT pg_catalog.pg_cancel_backend(${pid});`
    : `commit or roll back in that session, or on the ${side}: SELECT pg_catalog.pg_terminate_backend(${pid});`;
}

/** Any role chooses the identifier of its transaction: it must not add statements to a remedy. */
function identifierLiteral(identifier = ""): string {
  return quoteLiteral(identifier).trim();
}

/**
 * Cancels or terminates blockers. Prepared transactions and, under `cancel`, idle sessions have no
 * statement to cancel and are left alone.
 *
 * @returns what was done to each, and what was refused
 */
export async function removeBlockers(
  session: Session,
  { blockers, policy }: {
    readonly blockers: readonly Blocker[];
    readonly policy: Exclude<BlockerPolicy, "wait">;
  },
): Promise<readonly string[]> {
  const done: string[] = [];
  for (const blocker of blockers) {
    if (blocker.pid === undefined) continue;
    const isVacuum = blocker.backendType === "autovacuum worker";
    if (policy === "cancel" && blocker.state !== "active" && !isVacuum) continue;
    const action = policy === "terminate" && !isVacuum ? "terminate" : "cancel";
    try {
      await session.query(`SELECT pg_catalog.pg_${action}_backend($1)`, [blocker.pid]);
      done.push(`${action === "cancel" ? "canceled" : "terminated"} ${describeBlocker(blocker)}`);
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      done.push(`could not ${action} pid ${blocker.pid}: ${error.serverMessage.message}`);
    }
  }
  return done;
}
