/**
 * Reads the structure of a database with catalog queries.
 *
 * @module
 */
import { listSequences, readEncoding, readSequenceValues } from "../../catalog/internal.ts";
import { retry, tableKey } from "../../core/internal.ts";
import {
  catalogResultBytes,
  isUnconvertible,
  queryBytes,
  ServerError,
  type Session,
} from "../../postgres/internal.ts";
import { both } from "../scan/session_pair.ts";
import { type FactRow, type FactSource, factSources, factStatement } from "./facts/mod.ts";
import { objectKey, type SequenceState, type Structure, type StructureObject } from "./model.ts";

/**
 * Catalog queries use one snapshot, but the server's printing functions do not, and fail for an
 * object dropped meanwhile.
 */
const rereadDelaysMs: readonly number[] = [0, 0];

/** Runs a query, with text in UTF-8 or in the bytes of the database encoding. */
type Read = <Row extends object>(statement: string) => Promise<Row[]>;

/**
 * Reads two databases to compare them. If some text is not convertible to UTF-8 and both have the
 * same encoding, reads the text of both as bytes.
 *
 * @throws ServerError when a server rejects a query
 */
export async function readStructures(
  { source, target }: { readonly source: Session; readonly target: Session },
): Promise<readonly [Structure, Structure]> {
  const sides = { source, target };
  const encodings = {
    source: await readEncoding(source),
    target: await readEncoding(target),
  };
  try {
    return await both((side) =>
      readStructure(sides[side], { asBytes: encodings[side] === "SQL_ASCII" })
    );
  } catch (error) {
    if (!isUnconvertible(error) || encodings.source !== encodings.target) throw error;
    return await both((side) => readStructure(sides[side], { asBytes: true }));
  }
}

/**
 * Reads everything in one read-only transaction.
 *
 * @param session an idle session on the database
 * @param options `asBytes`: text may not be convertible to UTF-8, see `queryBytes`
 * @throws ServerError when the server rejects a query
 */
async function readStructure(
  session: Session,
  { asBytes = false }: { readonly asBytes?: boolean } = {},
): Promise<Structure> {
  const read: Read = (statement) =>
    asBytes
      ? queryBytes(session, statement, { resultBytes: catalogResultBytes })
      : session.query(statement, [], { resultBytes: catalogResultBytes });
  return await retry(
    () =>
      session.transaction(
        () => readAll(session, read),
        "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
      ),
    { delaysMs: rereadDelaysMs, isRetryable: isOfConcurrentChange },
  );
}

/** `cache lookup failed`, or an object that no longer exists. */
function isOfConcurrentChange(error: unknown): boolean {
  return error instanceof ServerError &&
    ["XX000", "42P01", "42703", "42704", "42883", "3F000"].includes(error.sqlState ?? "");
}

const serverStatement = `
  SELECT (SELECT pg_catalog.json_agg(rolname) FROM pg_catalog.pg_roles) AS roles,
         (SELECT pg_catalog.json_agg(rolname) FROM pg_catalog.pg_roles WHERE pg_catalog.pg_has_role(oid, 'MEMBER')) AS acts_as,
         (SELECT rolname FROM pg_catalog.pg_roles WHERE oid = 10) AS bootstrap_role,
         current_user::pg_catalog.text AS "user"`;

type ServerRow = {
  readonly roles: readonly string[];
  readonly acts_as: readonly string[];
  readonly bootstrap_role: string;
  readonly user: string;
};

async function readAll(session: Session, read: Read): Promise<Structure> {
  const [server] = await read<ServerRow>(serverStatement) as [ServerRow];
  const objects: StructureObject[] = [];
  for (const source of factSources) objects.push(...await readObjects(read, source));
  return {
    majorVersion: session.majorVersion,
    objects: new Map(objects.map((object) => [objectKey(object), object])),
    roles: new Set(server.roles),
    bootstrapRole: server.bootstrap_role,
    user: server.user,
    actsAs: new Set(server.acts_as),
  };
}

/** Reads the values of all sequences, which are not subject to snapshots. */
export async function readSequenceState(session: Session): Promise<SequenceState> {
  const sequences = await listSequences(session);
  const readable = sequences.filter((sequence) => sequence.readable);
  const unreadable = sequences.filter((sequence) => !sequence.readable);
  return {
    values: await readSequenceValues(session, readable),
    unreadable: new Set(unreadable.map((sequence) => tableKey(sequence))),
  };
}

async function readObjects(read: Read, source: FactSource): Promise<StructureObject[]> {
  const rows = await read<FactRow>(factStatement(source));
  return rows.map((row) => objectOf(source, row)).sort(byName);
}

function objectOf({ kind, section }: FactSource, row: FactRow): StructureObject {
  return {
    kind,
    section,
    schema: row.schema ?? undefined,
    parent: row.parent ?? undefined,
    name: row.name,
    owner: row.owner ?? undefined,
    grants: (row.grants ?? []).map(([grantee, privilege]) => ({ grantee, privilege })),
    comment: row.comment ?? undefined,
    facts: withoutNulls(row.facts) as StructureObject["facts"],
    sets: withoutNulls(row.sets),
    definitions: withoutNulls(row.definitions),
  };
}

function withoutNulls<Value>(
  record: Readonly<Record<string, Value | null>>,
): Record<string, Value> {
  return Object.fromEntries(
    Object.entries(record).filter((entry): entry is [string, Value] => entry[1] !== null),
  );
}

/** Orders by code units, independently of server collations. */
function byName(a: StructureObject, b: StructureObject): number {
  const place = ({ schema = "", parent = "", name }: StructureObject) => [schema, parent, name];
  const [one, other] = [place(a), place(b)];
  for (let at = 0; at < one.length; at++) {
    if (one[at]! !== other[at]!) return one[at]! < other[at]! ? -1 : 1;
  }
  return 0;
}
