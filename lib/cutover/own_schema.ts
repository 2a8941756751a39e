/**
 * The tool's schema in a database that takes part in a cutover: the record of its side, a token
 * table for each stream that leaves it, and the function of the fence.
 *
 * @module
 */
import {
  applySchema,
  cutoverSchema,
  ExitCode,
  quoteIdentifier,
  quoteLiteral,
  refusalSequence,
  ReplicatorError,
  type Side,
} from "../core/internal.ts";
import type { Endpoint, Session } from "../postgres/internal.ts";
import {
  describeGrants,
  examineOwnSchema,
  findHiddenOwner,
  type LedgerTrust,
} from "../checkpoint/internal.ts";
import { applySetting, applyStreamTable } from "../replication/internal.ts";
import { overtaken } from "./lock.ts";
import type { SideDetails, SideRecord } from "./model.ts";
import { hasDatabaseDefault } from "./read_only_default.ts";

/** The table with a side's record. */
export const sideTable = `${cutoverSchema}.side`;

/** The trigger function of the fence. */
export const fenceFunction = `${cutoverSchema}.refuse_write`;

/** Counts the writes that the fence has refused: a sequence keeps its value when they fail. */
export const refusals = `${cutoverSchema}.${refusalSequence}`;

/**
 * The token table of a stream. Each stream has its own, because a token proves only what its own
 * stream has delivered.
 */
export function tokenTable(stream: string): string {
  return `${cutoverSchema}.${quoteIdentifier(tokenTableName(stream))}`;
}

/** Its name without the schema: at most 63 bytes. */
export function tokenTableName(stream: string): string {
  return `token_${stream}`;
}

/**
 * Statements that create the schema with the record's table and the fence's function. They can be
 * repeated.
 *
 * @param elsewhere where the data is while this side is closed, without role and password
 */
export function schemaStatements(elsewhere: string): readonly string[] {
  return [
    "SET LOCAL client_min_messages = error",
    `CREATE SCHEMA IF NOT EXISTS ${cutoverSchema}`,
    `CREATE TABLE IF NOT EXISTS ${sideTable} (
       only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
       id uuid NOT NULL,
       is_open boolean NOT NULL,
       generation integer NOT NULL,
       changed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
       details jsonb NOT NULL)`,
    `CREATE SEQUENCE IF NOT EXISTS ${refusals}`,
    // any role may be refused; without USAGE on the schema, this allows nothing but counting
    `GRANT USAGE ON SEQUENCE ${refusals} TO PUBLIC`,
    `CREATE OR REPLACE FUNCTION ${fenceFunction}() RETURNS pg_catalog.trigger
       LANGUAGE plpgsql SET search_path = '' AS ${quoteLiteral(fenceBody(elsewhere))}`,
  ];
}

/** {@linkcode applyStreamTable} without its schema. */
const applyStreamName = applyStreamTable.slice(`${applySchema}.`.length);

function fenceBody(elsewhere: string): string {
  const message = quoteLiteral(
    `cannot write to %I.%I: this database is closed by a cutover; the data is in ${
      elsewhere.replaceAll("%", "%%")
    }`,
  );
  // an apply worker, which has to pass, is known by its process; statement triggers do not fire for
  // its INSERT, UPDATE and DELETE in any case. A session of the tool that applies changes is the
  // one in the record of its stream, which only the tool's role can write: a role that may create
  // schemas could create another of that name, so its owner is examined. The setting saves all
  // others from reading it. Table and sequence are looked up in the catalogs, because their names
  // would need USAGE on the schemas
  return `BEGIN
  IF COALESCE(pg_catalog.current_setting('${applySetting}', true), '') OPERATOR(pg_catalog.<>) ''
     AND EXISTS (
       SELECT FROM pg_catalog.pg_class AS c
         JOIN pg_catalog.pg_namespace AS a ON a.oid OPERATOR(pg_catalog.=) c.relnamespace
        WHERE a.nspname OPERATOR(pg_catalog.=) '${applySchema}'
          AND c.relname OPERATOR(pg_catalog.=) '${applyStreamName}'
          AND c.relkind OPERATOR(pg_catalog.=) 'r'
          AND (c.relowner OPERATOR(pg_catalog.=) (
                 SELECT n.nspowner FROM pg_catalog.pg_namespace AS n
                  WHERE n.nspname OPERATOR(pg_catalog.=) '${cutoverSchema}')
               OR EXISTS (SELECT FROM pg_catalog.pg_roles AS r
                           WHERE r.oid OPERATOR(pg_catalog.=) c.relowner AND r.rolsuper))) THEN
    IF EXISTS (
         SELECT FROM ${applyStreamTable} AS s
          WHERE s.name OPERATOR(pg_catalog.=) pg_catalog.current_setting('${applySetting}')
            AND s.enabled AND s.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()) THEN
      RETURN NULL;
    END IF;
  END IF;
  IF TG_OP OPERATOR(pg_catalog.=) 'TRUNCATE' AND EXISTS (
       SELECT FROM pg_catalog.pg_stat_get_subscription(NULL) AS s
        WHERE s.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()) THEN
    RETURN NULL;
  END IF;
  PERFORM pg_catalog.nextval(c.oid::pg_catalog.regclass)
     FROM pg_catalog.pg_class AS c
     JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE n.nspname OPERATOR(pg_catalog.=) '${cutoverSchema}'
      AND c.relname OPERATOR(pg_catalog.=) '${refusalSequence}'
      AND c.relkind OPERATOR(pg_catalog.=) 'S';
  RAISE EXCEPTION USING
    ERRCODE = 'read_only_sql_transaction',
    ${messageBegin}${message}${messageEnd},
    HINT = 'connect to the database that is in use';
END`;
}

/**
 * Whether the session's database has a function of the fence that this version would replace:
 * another version has created it, or it has been changed. The place that it names does not
 * count, because the same database may be reached in several ways.
 */
export async function isFenceOutdated(session: Session): Promise<boolean> {
  const [found] = await session.query<{ readonly body: string }>(
    `SELECT p.prosrc AS body FROM pg_catalog.pg_proc AS p
      WHERE p.oid = pg_catalog.to_regproc('${fenceFunction}')::pg_catalog.oid`,
  );
  if (found === undefined) return false;
  const own = fenceBody("");
  const before = own.slice(0, own.indexOf(messageBegin) + messageBegin.length);
  const after = own.slice(own.indexOf(messageEnd));
  return !found.body.startsWith(before) || !found.body.endsWith(after);
}

/** What encloses the message in the function's body. */
const messageBegin = "MESSAGE = pg_catalog.format(";
const messageEnd = ", TG_TABLE_SCHEMA, TG_TABLE_NAME)";

/** Where a database is, as the fence's message names it. */
export function describePlace(endpoint: Endpoint): string {
  const hosts = endpoint.hosts.map(({ host, port }) => `${host}:${port}`).join(",");
  return `database ${endpoint.database} on ${hosts}`;
}

/** The statement that creates the token table of a stream. It can be repeated. */
export function createTokenTable(stream: string): string {
  return `CREATE TABLE IF NOT EXISTS ${tokenTable(stream)} (
    id uuid PRIMARY KEY,
    sent_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp())`;
}

/**
 * @throws ReplicatorError if a schema of that name exists that the tool did not create
 */
export async function refuseForeignSchema(session: Session): Promise<boolean> {
  const trust = await examine(session);
  if (trust.problems.length > 0) throw await untrusted(session, trust);
  return trust.exists;
}

/** One row for each object of the schema that no cutover has created. */
const strangeStatement = `
  SELECT c.relname || ' is not part of a cutover' AS problem
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE n.nspname = '${cutoverSchema}' AND c.relkind NOT IN ('i', 'I')
     AND c.relname <> ALL (ARRAY['side', '${refusalSequence}']::pg_catalog.name[])
     AND c.relname !~ '^token_'
  UNION ALL
  SELECT p.proname || '() is not part of a cutover'
    FROM pg_catalog.pg_proc AS p
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
   WHERE n.nspname = '${cutoverSchema}'
     AND p.oid <> coalesce(pg_catalog.to_regproc('${fenceFunction}')::pg_catalog.oid, 0)
  UNION ALL
  SELECT 'side lacks the column ' || w.name
    FROM pg_catalog.unnest('{id,is_open,generation,changed_at,details}'::pg_catalog.text[]) AS w (name)
   WHERE pg_catalog.to_regclass('${sideTable}') IS NOT NULL
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
                      WHERE a.attrelid = pg_catalog.to_regclass('${sideTable}') AND a.attnum > 0
                        AND NOT a.attisdropped AND a.attname = w.name)
   ORDER BY 1`;

/** Also finds what others keep there: `cleanup` drops the schema with everything in it. */
async function examine(session: Session): Promise<LedgerTrust> {
  const trust = await examineOwnSchema(session, cutoverSchema);
  if (!trust.exists || trust.problems.length > 0) return trust;
  const strange = await session.query<{ readonly problem: string }>(strangeStatement);
  return { ...trust, problems: strange.map(({ problem }) => `${cutoverSchema}.${problem}`) };
}

async function untrusted(
  session: Session,
  { problems, revokes }: LedgerTrust,
): Promise<ReplicatorError> {
  const { message, remedy } = await describeDistrust(session, revokes);
  return new ReplicatorError(message, {
    side: session.side,
    object: `database ${session.endpoint.database}`,
    details: problems,
    remedy,
    exitCode: ExitCode.prerequisite,
  });
}

async function describeDistrust(
  session: Session,
  revokes: readonly string[],
): Promise<{ readonly message: string; readonly remedy: string }> {
  if (revokes.length > 0) {
    return describeGrants(cutoverSchema, revokes);
  }
  const owner = await findOtherOwner(session);
  if (owner !== undefined) {
    return {
      message: `the schema ${cutoverSchema} belongs to another role, so it is not trusted`,
      remedy:
        `connect as role ${
          quoteIdentifier(owner)
        }, if that is the role that prepared the cutover; ` +
        (await keepsClosed(session)
          ? `do not drop the schema before you know who closed this database: its fence may be what keeps it closed; if nobody did, as its owner or a superuser: ${dropStatement}`
          : `if it is not, as its owner or a superuser: ${dropStatement} (it keeps nothing closed)`),
    };
  }
  return {
    message: `the schema ${cutoverSchema} was not created by this tool, or has been changed since`,
    remedy:
      `inspect it; if no cutover has closed this database, as its owner or a superuser: ${dropStatement}`,
  };
}

const dropStatement = `DROP SCHEMA ${cutoverSchema} CASCADE;`;

/** Whether a trigger of the schema refuses writes, or the database is read-only by default. */
async function keepsClosed(session: Session): Promise<boolean> {
  const { closes } = await session.queryOne<{ readonly closes: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger AS t
                      JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
                      JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
                     WHERE n.nspname = $1 AND t.tgenabled <> 'D')
         OR ${hasDatabaseDefault} AS closes`,
    [cutoverSchema],
  );
  return closes;
}

/** The owner of a schema that looks like the tool's, but belongs to another role. */
async function findOtherOwner(session: Session): Promise<string | undefined> {
  const { looksOwn } = await session.queryOne<{ readonly looksOwn: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c
                      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                     WHERE n.nspname = $1 AND c.relname = 'side' AND c.relkind = 'r'
                       AND c.relowner = n.nspowner
                       AND n.nspowner <> (SELECT r.oid FROM pg_catalog.pg_roles AS r
                                           WHERE r.rolname = current_user)) AS "looksOwn"`,
    [cutoverSchema],
  );
  return looksOwn ? await findHiddenOwner(session, cutoverSchema) : undefined;
}

type SideRow = {
  readonly id: string;
  readonly is_open: boolean;
  readonly generation: number;
  readonly changed_at: string;
  readonly details: string;
};

/**
 * Reads the record of the session's side; undefined if there is none.
 *
 * @throws ReplicatorError if the schema was not created by the tool
 */
export async function readSide(session: Session): Promise<SideRecord | undefined> {
  return await refuseForeignSchema(session) ? await readRecord(session) : undefined;
}

/** What can be seen of a side: its record, or why it cannot be read. */
export interface ObservedSide {
  /** Undefined if there is none, or it cannot be read. */
  readonly record: SideRecord | undefined;
  /** The owner of the schema, if the role may not read it or does not trust it. */
  readonly hiddenOwner: string | undefined;
  /**
   * Why the record is not read, with remedy; undefined for a schema of a role that is not trusted
   * if it does not look like that of a cutover.
   */
  readonly distrust: ReplicatorError | undefined;
}

/** {@linkcode readSide} for a role that perhaps may not read the record. */
export async function observeSide(session: Session): Promise<ObservedSide> {
  const hiddenOwner = await findHiddenOwner(session, cutoverSchema);
  if (hiddenOwner !== undefined) {
    const trust = await examineOwnSchema(session, cutoverSchema);
    const distrust = trust.problems.length === 0
      ? unreadable(session, hiddenOwner)
      // of another role, perhaps of one that has closed this side
      : await findOtherOwner(session) === undefined
      ? undefined
      : await untrusted(session, trust);
    return { record: undefined, hiddenOwner, distrust };
  }
  const trust = await examine(session);
  const distrust = trust.problems.length > 0 ? await untrusted(session, trust) : undefined;
  const isReadable = trust.exists && distrust === undefined;
  return { record: isReadable ? await readRecord(session) : undefined, hiddenOwner, distrust };
}

function unreadable(session: Session, owner: string): ReplicatorError {
  return new ReplicatorError(`this role may not read the record of a cutover in ${cutoverSchema}`, {
    side: session.side,
    object: `database ${session.endpoint.database}`,
    remedy: `connect as role ${quoteIdentifier(owner)}, which prepared the cutover`,
    exitCode: ExitCode.prerequisite,
  });
}

async function readRecord(session: Session): Promise<SideRecord | undefined> {
  const { exists } = await session.queryOne<{ readonly exists: boolean }>(
    "SELECT pg_catalog.to_regclass($1) IS NOT NULL AS exists",
    [sideTable],
  );
  if (!exists) return undefined;
  const [row] = await session.query<SideRow>(
    `SELECT id::pg_catalog.text AS id, is_open, generation,
            pg_catalog.to_char(changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS changed_at,
            details::pg_catalog.text AS details
       FROM ${sideTable}`,
  );
  return row === undefined ? undefined : {
    id: row.id,
    isOpen: row.is_open,
    generation: row.generation,
    changedAt: row.changed_at,
    details: readDetails(row.details, session.side),
  };
}

function readDetails(text: string, side: Side): SideDetails {
  const details = JSON.parse(text) as SideDetails;
  if (details.version === 1) {
    const { evidence } = details;
    return evidence === null ? details : {
      ...details,
      // earlier versions did not record all of it
      evidence: {
        ...evidence,
        heldSince: evidence.heldSince ?? null,
        largeObjects: evidence.largeObjects ?? 0,
      },
    };
  }
  if (typeof details?.version !== "number") {
    throw new ReplicatorError("the record of the cutover cannot be read: it has no version", {
      side,
      object: sideTable,
      remedy:
        `inspect it; if no cutover has closed this database, as its owner or a superuser: ${dropStatement}`,
      exitCode: ExitCode.prerequisite,
    });
  }
  throw new ReplicatorError("the record of the cutover was written by a later version", {
    side,
    object: sideTable,
    remedy: "use the version that began the cutover, or a later one",
    exitCode: ExitCode.prerequisite,
  });
}

/** The statement that records a side. It replaces the existing record. */
export function recordSideStatement(record: Omit<SideRecord, "changedAt">): string {
  const { id, isOpen, generation, details } = record;
  return `INSERT INTO ${sideTable} (id, is_open, generation, details)
    VALUES (${quoteLiteral(id)}, ${isOpen}, ${generation}, ${quoteLiteral(JSON.stringify(details))})
    ON CONFLICT (only_row) DO UPDATE
      SET id = EXCLUDED.id, is_open = EXCLUDED.is_open, generation = EXCLUDED.generation,
          changed_at = EXCLUDED.changed_at, details = EXCLUDED.details`;
}

/**
 * The statement that replaces the record of a side that is what the caller knows of it; to be
 * checked with {@linkcode refuseUnreplaced}, because it changes nothing if another command has
 * opened or closed the side in the meantime.
 */
export function replaceSideStatement(known: SideRecord, record: SideRecord): string {
  return `UPDATE ${sideTable}
    SET is_open = ${record.isOpen}, generation = ${record.generation},
        changed_at = pg_catalog.clock_timestamp(),
        details = ${quoteLiteral(JSON.stringify(record.details))}
    WHERE id = ${quoteLiteral(known.id)} AND is_open = ${known.isOpen}
      AND generation = ${known.generation}
    RETURNING true AS is_replaced`;
}

/** @throws OtherCommandError unless one of the results is that of a record that was replaced */
export function refuseUnreplaced(
  results: readonly (readonly Readonly<Record<string, unknown>>[])[],
  { endpoint }: Session,
): void {
  if (!results.flat().some((row) => row["is_replaced"] === true)) throw overtaken(endpoint);
}

/** Replaces the record of the session's side, unless another command has opened or closed it. */
export async function replaceSide(
  session: Session,
  known: SideRecord,
  record: SideRecord,
): Promise<void> {
  refuseUnreplaced(await session.queryAll(replaceSideStatement(known, record)), session);
}

/** The statement that records that nothing is left to do after an opening. */
export const settleStatement =
  `UPDATE ${sideTable} SET details = pg_catalog.jsonb_set(details, '{isSettled}', 'true') WHERE is_open`;

/**
 * The statement that records that a cutover is finished: on a closed side only, so that it can
 * never close one that is in use.
 */
export const finishStatement =
  `UPDATE ${sideTable} SET details = pg_catalog.jsonb_set(details, '{isFinished}', 'true'), changed_at = pg_catalog.clock_timestamp() WHERE NOT is_open`;
