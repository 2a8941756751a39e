/**
 * Reads a ledger.
 *
 * @module
 */
import { ExitCode, ledgerSchema, ReplicatorError, tableKey } from "../core/internal.ts";
import { ConnectionError, ServerError, type Session, SqlState } from "../postgres/internal.ts";
import type { SetAsideObject } from "../schema/internal.ts";
import { changedMeanwhile } from "./changed_meanwhile.ts";
import { ledgerFormat } from "./ledger_sql.ts";
import { refuseForeignLedger } from "./ledger_trust.ts";
import type {
  LedgerRun,
  LedgerState,
  PlannedPart,
  SnapshotGeneration,
  TableRecord,
} from "./model.ts";

/** The head of a ledger: the run, and whether it is complete. */
export type LedgerHead = LedgerRun & Pick<LedgerState, "startedAt" | "complete" | "setAside">;

/**
 * Reads the head of the ledger in the session's database; undefined when there is none.
 *
 * @throws ReplicatorError when it is from another version of the tool, or was not created by the
 * tool
 */
export async function readLedgerRun(session: Session): Promise<LedgerHead | undefined> {
  if (!await refuseForeignLedger(session)) return undefined;
  const row = await readRunRow(session);
  if (row === undefined) return undefined;
  if (row.format !== ledgerFormat) {
    throw new ReplicatorError(
      `the unfinished copy was started by ${
        row.format > ledgerFormat ? "a newer" : "an older"
      } version of this tool: its ledger has format ${row.format}, this version supports ${ledgerFormat}`,
      {
        side: "target",
        object: `database ${session.endpoint.database}`,
        remedy: "resume with that version, or start over with --no-resume --drop-existing",
        exitCode: ExitCode.prerequisite,
      },
    );
  }
  const run = JSON.parse(row.document) as LedgerRun;
  return {
    ...run,
    startedAt: row.started_at,
    complete: row.complete,
    setAside: row.complete ? await readSetAside(session) : [],
  };
}

/**
 * Like {@linkcode readLedgerRun}, but ignores a ledger that this version cannot read or does not
 * trust: for databases that are dropped or only inspected.
 *
 * @throws ConnectionError or ServerError when the query fails: whether a ledger exists is unknown
 */
export async function readKnownLedgerRun(session: Session): Promise<LedgerHead | undefined> {
  try {
    return await readLedgerRun(session);
  } catch (error) {
    const isUnknown = error instanceof ConnectionError || error instanceof ServerError;
    if (isUnknown || !(error instanceof ReplicatorError)) throw error;
    return undefined;
  }
}

interface RunRow {
  readonly format: number;
  readonly document: string;
  readonly started_at: string;
  readonly complete: boolean;
}

async function readRunRow(session: Session): Promise<RunRow | undefined> {
  try {
    const [row] = await session.query<RunRow & Record<string, unknown>>(
      `SELECT format, document, complete, ${isoTime("started_at")} FROM ${ledgerSchema}.run`,
    );
    return row;
  } catch (error) {
    const problem = error instanceof ServerError ? ledgerProblems[error.sqlState] : undefined;
    if (problem === undefined) throw error;
    throw notALedger(session, { problem, cause: error });
  }
}

const ledgerProblems: Readonly<Record<string, string>> = {
  [SqlState.undefinedTable]: "is not a ledger of this tool: it has no table run",
  [SqlState.undefinedColumn]: "is not a ledger of this tool: its table run has different columns",
  [SqlState.insufficientPrivilege]: "is not readable by this role",
};

function notALedger(
  { endpoint: { database } }: Session,
  { problem, cause }: { readonly problem: string; readonly cause: unknown },
): ReplicatorError {
  return new ReplicatorError(`the schema ${ledgerSchema} in database ${database} ${problem}`, {
    side: "target",
    object: `schema ${ledgerSchema}`,
    remedy: "rename or remove it, or start over with --no-resume --drop-existing",
    exitCode: ExitCode.prerequisite,
    cause,
  });
}

async function readSetAside(session: Session): Promise<readonly SetAsideObject[]> {
  const rows = await session.query<{ document: string }>(
    `SELECT document FROM ${ledgerSchema}.set_aside ORDER BY place`,
  );
  return rows.map(({ document }) => JSON.parse(document) as SetAsideObject);
}

/**
 * Reads the complete ledger.
 *
 * @throws ReplicatorError (prerequisite) when there is none any more: another run has finished
 */
export async function readLedger(session: Session): Promise<LedgerState> {
  const head = await readLedgerRun(session);
  if (head === undefined) {
    throw changedMeanwhile(
      session.endpoint.database,
      "another run has finished or removed the copy in this database",
    );
  }
  const generations = await session.query<{ number: number; document: string; started_at: string }>(
    `SELECT epoch AS number, document, ${
      isoTime("started_at")
    } FROM ${ledgerSchema}.epoch ORDER BY epoch`,
  );
  const statements = await session.query<{ digest: string }>(
    `SELECT digest FROM ${ledgerSchema}.statement_done`,
  );
  const structure = await session.query<{ digest: string; object: string }>(
    `SELECT digest, object FROM ${ledgerSchema}.structure`,
  );
  return {
    ...head,
    generations: generations.map(({ number, document, started_at }) => ({
      ...JSON.parse(document) as Omit<SnapshotGeneration, "number" | "startedAt">,
      number,
      startedAt: started_at,
    })),
    tables: await readTables(session),
    statements: new Set(statements.map(({ digest }) => digest)),
    structure: new Map(
      structure.map(({ digest, object }) => [digest, JSON.parse(object) as string]),
    ),
  };
}

interface PartRow {
  readonly schema: string;
  readonly name: string;
  readonly part: number;
  readonly parts: number;
  readonly generation: number;
  readonly from: number | null;
  readonly to: number | null;
  readonly key_column: string | null;
  readonly key_type: string | null;
  readonly from_key: string | null;
  readonly to_key: string | null;
  readonly done: boolean;
  readonly rows: number | null;
  readonly bytes: number | null;
}

// a table copied in one part has no planned part
const partsStatement = `
  SELECT schema_name AS schema, table_name AS name, part,
         coalesce(p.parts, d.parts) AS parts, coalesce(p.epoch, d.epoch) AS generation,
         p.from_block::pg_catalog.float8 AS from, p.to_block::pg_catalog.float8 AS to,
         p.key_column, p.key_type, p.from_key, p.to_key, d.holder IS NOT NULL AS done,
         d.rows::pg_catalog.float8 AS rows, d.bytes::pg_catalog.float8 AS bytes
    FROM ${ledgerSchema}.planned_part AS p
    FULL JOIN ${ledgerSchema}.part_done AS d USING (schema_name, table_name, part)
   ORDER BY schema_name, table_name, part`;

async function readTables(session: Session): Promise<readonly TableRecord[]> {
  const rows = await session.query<PartRow & Record<string, unknown>>(
    partsStatement,
  );
  return [...Map.groupBy(rows, (row) => tableKey(row)).values()].map((parts): TableRecord => {
    const { schema, name, generation } = parts[0]!;
    return { schema, name, generation, parts: parts.map(toPart) };
  });
}

function toPart(row: PartRow): PlannedPart {
  const { part, parts, from, to, done, rows, bytes } = row;
  const { key_column: column, key_type: type, from_key: fromKey, to_key: toKey } = row;
  return {
    part,
    parts,
    ...(from === null ? {} : { from }),
    ...(to === null ? {} : { to }),
    ...(column === null || type === null ? {} : {
      key: {
        column,
        type,
        ...(fromKey === null ? {} : { from: fromKey }),
        ...(toKey === null ? {} : { to: toKey }),
      },
    }),
    done,
    ...(rows === null ? {} : { rows }),
    ...(bytes === null ? {} : { bytes }),
  };
}

function isoTime(column: string): string {
  return `pg_catalog.to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS ${column}`;
}
