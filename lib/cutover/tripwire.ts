/**
 * The tripwire: after a switch the slots of the streams that left the closed side are kept, and
 * see every change made there. Changes that the way back brought carry its origin; any other is an
 * alarm, because a closed side that is written to has lost its meaning as a way back.
 *
 * @module
 */
import {
  cutoverSchema,
  formatLsn,
  type Lsn,
  parseLsn,
  poll,
  retry,
  type TableName,
} from "../core/internal.ts";
import { ChangeDecoder, ServerError, type Session, SqlState } from "../postgres/internal.ts";
import type { TokenEvidence } from "./model.ts";

/** A change on the closed side that replication did not bring. */
export interface TripwireFinding extends TableName {
  /** The statement's kind. */
  readonly change: "INSERT" | "UPDATE" | "DELETE" | "TRUNCATE";
  /** Where its transaction ends, `16/B374D848`. */
  readonly lsn: string;
  /** ISO timestamp of the commit. */
  readonly committedAt: string;
}

/** How many findings are kept: one is an alarm, many say nothing more. */
const maxFindings = 20;

/** Changes that are read from a slot at once. */
const maxChanges = 100_000;

type ChangeRow = { readonly data: string };

/** Changes of rows by the letter of their message. */
const rowChanges: ReadonlyMap<number, TripwireFinding["change"]> = new Map([
  [0x49, "INSERT"],
  [0x55, "UPDATE"],
  [0x44, "DELETE"],
]);

const rowLetters = [...rowChanges.keys()].join(", ");

/** The letter and the OID of the table: values may be large, and are not needed. */
const rowPrefixBytes = 5;

/**
 * Reads what a slot has seen since the last check, without consuming it. The slot must not be in
 * use.
 *
 * @param options `origins`: names of the origins that may write, `pg_16432`
 */
export async function readTripwire(
  session: Session,
  { slot, publication, origins, after }: {
    readonly slot: string;
    readonly publication: string;
    readonly origins: readonly string[];
    /** Changes that were committed before are left out. */
    readonly after?: Lsn | undefined;
  },
): Promise<readonly TripwireFinding[]> {
  await awaitFlush(session);
  const rows = await session.query<ChangeRow>(
    `SELECT pg_catalog.encode(CASE WHEN pg_catalog.get_byte(data, 0) IN (${rowLetters})
                                   THEN pg_catalog.substr(data, 1, ${rowPrefixBytes}) ELSE data END, 'hex') AS data
       FROM pg_catalog.pg_logical_slot_peek_binary_changes($1, NULL, $2,
              'proto_version', '1', 'publication_names', $3)`,
    [slot, maxChanges, publication],
  );
  return scanChanges(rows.map(({ data }) => Uint8Array.fromHex(data)), {
    origins: new Set(origins),
    after: after ?? 0n,
  });
}

const flushPollMs = 50;
const flushTimeoutMs = 2_000;

/** A slot shows only flushed WAL; the server flushes asynchronous commits within a second. */
async function awaitFlush(session: Session): Promise<void> {
  const { lsn } = await session.queryOne<{ readonly lsn: string }>(
    "SELECT pg_catalog.pg_current_wal_insert_lsn()::pg_catalog.text AS lsn",
  );
  await poll(async () => {
    const { flushed } = await session.queryOne<{ readonly flushed: boolean }>(
      "SELECT pg_catalog.pg_current_wal_flush_lsn() >= $1::pg_catalog.pg_lsn AS flushed",
      [lsn],
    );
    return flushed ? true : undefined;
  }, { intervalMs: flushPollMs, timeoutMs: flushTimeoutMs });
}

/** Finds changes without one of the origins in messages of pgoutput. Pure. */
function scanChanges(
  messages: readonly Uint8Array[],
  { origins, after }: { readonly origins: ReadonlySet<string>; readonly after: Lsn },
): readonly TripwireFinding[] {
  const decoder = new ChangeDecoder();
  const found: TripwireFinding[] = [];
  let transaction = { lsn: "0/0", committedAt: "", isReplicated: false };
  const add = ({ change, tables }: ChangedTables) => {
    for (const { schema, name } of transaction.isReplicated ? [] : tables) {
      if (schema === cutoverSchema || found.length >= maxFindings) continue;
      const { lsn, committedAt } = transaction;
      found.push({ schema, name, change, lsn, committedAt });
    }
  };
  for (const bytes of messages) {
    const change = rowChanges.get(bytes[0] ?? 0);
    if (change !== undefined) {
      const relation = decoder.relation(new DataView(bytes.buffer, bytes.byteOffset).getUint32(1));
      add({ change, tables: relation === undefined ? [] : [relation] });
      continue;
    }
    const message = decoder.decode(bytes);
    if (message.kind === "begin") {
      transaction = {
        lsn: formatLsn(message.commitLsn),
        committedAt: fromPostgresTime(message.committedAt),
        isReplicated: message.commitLsn < after,
      };
    } else if (message.kind === "origin") {
      if (origins.has(message.name)) transaction = { ...transaction, isReplicated: true };
    }
    if (message.kind === "truncate") add({ change: "TRUNCATE", tables: message.relations });
  }
  return found;
}

interface ChangedTables {
  readonly change: TripwireFinding["change"];
  readonly tables: readonly TableName[];
}

/** Microseconds since 2000-01-01 UTC. */
function fromPostgresTime(microseconds: bigint): string {
  return new Date(Date.UTC(2000, 0, 1) + Number(microseconds / 1_000n)).toISOString();
}

/**
 * The origins under which the streams of the session's database write.
 *
 * @returns undefined if one of them writes without an origin, so that its changes look like others
 */
export async function readOrigins(
  session: Session,
  streams: readonly string[],
): Promise<readonly string[] | undefined> {
  const rows = await session.query<{ readonly origin: string | null }>(originStatement, [
    JSON.stringify(streams),
  ]);
  const origins = rows.flatMap(({ origin }) => origin ?? []);
  return origins.length < streams.length ? undefined : origins;
}

// that of a subscription has its OID in its name, that of a stream which the tool applies its name
const originStatement = `
  SELECT COALESCE(
           (SELECT 'pg_' || s.oid::pg_catalog.text
              FROM pg_catalog.pg_subscription AS s
              JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid
             WHERE s.subname = wanted.name AND d.datname = pg_catalog.current_database()),
           (SELECT o.roname FROM pg_catalog.pg_replication_origin AS o WHERE o.roname = wanted.name)) AS origin
    FROM pg_catalog.json_array_elements_text($1::pg_catalog.json) AS wanted (name)`;

const busySlotDelaysMs: readonly number[] = Array.from({ length: 100 }, () => 50);

/**
 * Changes on a side, in the tables of its streams, that were committed after the tokens which prove
 * what has arrived on the other side, and that replication did not bring.
 *
 * @param session on that side
 * @returns undefined if they cannot be distinguished from changes of the way back
 */
export async function readLateChanges(
  session: Session,
  { tokens, back }: {
    readonly tokens: readonly TokenEvidence[];
    readonly back: readonly string[];
  },
): Promise<readonly TripwireFinding[] | undefined> {
  const origins = await readOrigins(session, back);
  if (origins === undefined) return undefined;
  const found: TripwireFinding[] = [];
  for (const { stream, lsn } of tokens) {
    // its reader may have been stopped a moment ago
    found.push(
      ...await retry(
        () =>
          readTripwire(session, {
            slot: stream,
            publication: stream,
            origins,
            after: parseLsn(lsn),
          }),
        {
          delaysMs: busySlotDelaysMs,
          isRetryable: (error) =>
            error instanceof ServerError && error.sqlState === SqlState.objectInUse,
        },
      ),
    );
  }
  return found;
}

/** Describes findings: `INSERT into public.orders (16/B374D848)`. */
export function describeLateChanges(found: readonly TripwireFinding[]): string {
  return found.slice(0, maxFindings).map(({ schema, name, change, lsn }) =>
    `${change} in ${schema}.${name} at ${lsn}`
  ).join(", ");
}
