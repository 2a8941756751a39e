/**
 * The tripwire: after a switch the slots of the streams that left the closed side are kept, and
 * see every change made there. Changes that the way back brought carry its origin; any other is an
 * alarm, because a closed side that is written to has lost its meaning as a way back.
 *
 * Where nothing else is found, a check lets the slot advance, so that the next one begins there. It
 * never advances past an alarm, which is therefore found again by every check.
 *
 * @module
 */
import {
  cutoverSchema,
  formatLsn,
  type Lsn,
  parseLsn,
  retry,
  type Side,
  type TableName,
} from "../core/internal.ts";
import {
  ChangeDecoder,
  ServerError,
  type Session,
  SqlState,
  textArray,
} from "../postgres/internal.ts";
import { subscriptionIdentifiers } from "../replication/internal.ts";
import { flushWal } from "./back_stream.ts";
import type { CutoverPhase, SideRecord, TokenEvidence } from "./model.ts";

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

/** Messages that a check reads from a slot at once; a transaction is read as a whole. */
const maxMessages = 100_000;

/** Changes of rows by the letter of their message. */
const rowChanges: ReadonlyMap<number, TripwireFinding["change"]> = new Map([
  [0x49, "INSERT"],
  [0x55, "UPDATE"],
  [0x44, "DELETE"],
]);

const rowLetters = [...rowChanges.keys()].join(", ");

/** Letters of the other messages. */
const letters = { begin: 0x42, commit: 0x43, origin: 0x4f, relation: 0x52, truncate: 0x54 };

/** Which changes are looked for, in which slot. */
export interface TripwireOptions {
  readonly slot: string;
  readonly publication: string;
  /** Names of the origins that may write, `pg_16432`. */
  readonly origins: readonly string[];
  /** Changes that were committed before are left out. */
  readonly after?: Lsn | undefined;
}

/**
 * Reads everything that a slot has seen since it was advanced, without advancing it. The slot must
 * not be in use.
 */
export async function readTripwire(
  session: Session,
  options: TripwireOptions,
): Promise<readonly TripwireFinding[]> {
  await ensureFlushed(session);
  return (await readPortion(session, options)).found;
}

/**
 * Reads what a slot has seen since the last check, and lets it advance to where nothing was found.
 *
 * @param options `timeoutMs`: after which time no further portion is read, by default none
 * @returns undefined if the time was over before all had been read; the next check continues there
 */
export async function checkTripwire(
  session: Session,
  { timeoutMs = Infinity, ...options }: TripwireOptions & {
    readonly timeoutMs?: number | undefined;
  },
): Promise<readonly TripwireFinding[] | undefined> {
  const start = performance.now();
  for (;;) {
    const flushed = await ensureFlushed(session);
    const { found, count, end } = await retryBusy(() =>
      readPortion(session, { ...options, limit: maxMessages })
    );
    if (found.length > 0) return found;
    const isLast = count < maxMessages;
    const lsn = isLast ? flushed : end;
    if (lsn !== undefined) await retryBusy(() => advanceTo(session, { slot: options.slot, lsn }));
    if (isLast) return [];
    if (performance.now() - start > timeoutMs) return undefined;
  }
}

async function advanceTo(
  session: Session,
  { slot, lsn }: { readonly slot: string; readonly lsn: Lsn },
): Promise<void> {
  // another check may have advanced it further, which is an error
  await session.query(
    `SELECT pg_catalog.pg_replication_slot_advance(s.slot_name, $2::pg_catalog.pg_lsn)
       FROM pg_catalog.pg_replication_slots AS s
      WHERE s.slot_name = $1 AND s.confirmed_flush_lsn < $2::pg_catalog.pg_lsn`,
    [slot, formatLsn(lsn)],
  );
}

interface Portion {
  readonly found: readonly TripwireFinding[];
  /** Messages that were read. */
  readonly count: number;
  /** Where the last transaction ends. */
  readonly end: Lsn | undefined;
}

async function readPortion(
  session: Session,
  { slot, publication, origins, after = 0n, limit }: TripwireOptions & { readonly limit?: number },
): Promise<Portion> {
  const { count, end, messages } = await session.queryOne<PortionRow>(portionStatement, [
    slot,
    limit ?? null,
    publication,
    textArray(origins.map((name) => `${new TextEncoder().encode(name).toHex()}00`)),
    hexOf(after),
  ]);
  const decoded: readonly string[] = JSON.parse(messages);
  return {
    found: scanChanges(decoded.map((each) => Uint8Array.fromHex(each))),
    count,
    end: end === null ? undefined : BigInt(`0x${end}`),
  };
}

function hexOf(lsn: Lsn): string {
  return lsn.toString(16).padStart(16, "0");
}

type PortionRow = {
  readonly count: number;
  readonly end: string | null;
  readonly messages: string;
};

/**
 * Transactions of a known origin, and those before a position, stay on the server, and so do the
 * values of rows: a transaction may be large. Descriptions of tables are sent only before their
 * first change.
 *
 * Source: PostgreSQL documentation, "53.9. Logical Replication Message Formats": Begin has the
 * position of the commit at byte 2, Commit the end of the transaction at byte 11, Origin its name
 * at byte 10.
 */
const portionStatement = `
  WITH message AS (
    SELECT m.at, pg_catalog.get_byte(m.data, 0) AS letter,
           CASE WHEN pg_catalog.get_byte(m.data, 0) IN (${rowLetters})
                THEN pg_catalog.substr(m.data, 1, 5) ELSE m.data END AS data
      FROM pg_catalog.pg_logical_slot_peek_binary_changes($1, NULL, $2::pg_catalog.int4,
             'proto_version', '1', 'publication_names', $3)
           WITH ORDINALITY AS m (lsn, xid, data, at)
  ), numbered AS (
    SELECT m.*, pg_catalog.count(*) FILTER (WHERE m.letter = ${letters.begin}) OVER (ORDER BY m.at) AS transaction
      FROM message AS m
  ), judged AS (
    SELECT n.*,
           pg_catalog.bool_or(
             n.letter = ${letters.origin} AND pg_catalog.encode(pg_catalog.substr(n.data, 10), 'hex') = ANY ($4::pg_catalog.text[])
             OR n.letter = ${letters.begin} AND pg_catalog.encode(pg_catalog.substr(n.data, 2, 8), 'hex') COLLATE pg_catalog."C" < $5)
             OVER (PARTITION BY n.transaction) AS is_replicated,
           pg_catalog.bool_or(n.letter IN (${rowLetters}, ${letters.truncate})) OVER (PARTITION BY n.transaction) AS is_change,
           pg_catalog.row_number() OVER (PARTITION BY n.transaction, n.letter ORDER BY n.at) AS nth
      FROM numbered AS n
  )
  SELECT pg_catalog.count(*)::pg_catalog.int4 AS count,
         pg_catalog.max(pg_catalog.encode(pg_catalog.substr(j.data, 11, 8), 'hex') COLLATE pg_catalog."C")
           FILTER (WHERE j.letter = ${letters.commit}) AS "end",
         COALESCE(
           pg_catalog.json_agg(pg_catalog.encode(j.data, 'hex') ORDER BY j.at)
             FILTER (WHERE j.letter = ${letters.relation}
                        OR NOT j.is_replicated AND j.is_change AND j.nth <= ${maxFindings}
                           AND j.letter IN (${letters.begin}, ${rowLetters}, ${letters.truncate})),
           '[]')::pg_catalog.text AS messages
    FROM judged AS j`;

/**
 * A slot shows only flushed WAL. Asynchronous commits would be flushed within a second, but what a
 * transaction has written that is still open only when something else commits.
 *
 * @returns the end of the WAL at the beginning
 */
async function ensureFlushed(session: Session): Promise<Lsn> {
  const { lsn, flushed } = await session.queryOne<
    { readonly lsn: string; readonly flushed: boolean }
  >(
    `SELECT w.lsn::pg_catalog.text AS lsn, pg_catalog.pg_current_wal_flush_lsn() >= w.lsn AS flushed
       FROM (SELECT pg_catalog.pg_current_wal_insert_lsn() AS lsn) AS w`,
  );
  if (!flushed) await flushWal(session);
  return parseLsn(lsn);
}

/** Describes the changes in messages of pgoutput. Pure. */
function scanChanges(messages: readonly Uint8Array[]): readonly TripwireFinding[] {
  const decoder = new ChangeDecoder();
  const found: TripwireFinding[] = [];
  let transaction = { lsn: "0/0", committedAt: "" };
  const add = ({ change, tables }: ChangedTables) => {
    for (const { schema, name } of tables) {
      if (schema === cutoverSchema || found.length >= maxFindings) continue;
      found.push({ schema, name, change, ...transaction });
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
      };
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
 * @returns undefined if one of them writes without an origin, so that its changes look like others,
 * or if the role may not read which
 */
export async function readOrigins(
  session: Session,
  streams: readonly string[],
): Promise<readonly string[] | undefined> {
  const statement = originStatement(await subscriptionIdentifiers(session));
  try {
    const rows = await session.query<{ readonly origins: readonly string[] | null }>(statement, [
      JSON.stringify(streams),
    ]);
    return rows.some(({ origins }) => origins === null)
      ? undefined
      : rows.flatMap(({ origins }) => origins ?? []);
  } catch (error) {
    if (error instanceof ServerError && error.sqlState === SqlState.insufficientPrivilege) {
      return undefined;
    }
    throw error;
  }
}

// that of a subscription has its OID in its name, that of a stream which the tool applies its name;
// before 14 there may be two OIDs, but nothing writes here under that of another database
const originStatement = (subscriptions: string) => `
  SELECT COALESCE(
           (SELECT pg_catalog.json_agg('pg_' || s.oid::pg_catalog.text)
              FROM (${subscriptions}) AS s WHERE s.name = wanted.name),
           (SELECT pg_catalog.json_agg(o.roname)
              FROM pg_catalog.pg_replication_origin AS o WHERE o.roname = wanted.name)) AS origins
    FROM pg_catalog.json_array_elements_text($1::pg_catalog.json) AS wanted (name)`;

const busySlotDelaysMs: readonly number[] = Array.from({ length: 100 }, () => 50);

/** Repeats work on a slot whose reader may have been stopped a moment ago. */
async function retryBusy<Result>(work: () => Promise<Result>): Promise<Result> {
  return await retry(work, {
    delaysMs: busySlotDelaysMs,
    isRetryable: (error) => error instanceof ServerError && error.sqlState === SqlState.objectInUse,
  });
}

/** What is known of a closed side. */
export interface ClosedSide {
  /** Streams that leave it: their slots are kept. */
  readonly leaving: readonly string[];
  /** Streams that arrive there. */
  readonly arriving: readonly string[];
  /** What its last close has proven; empty if no switch has closed it. */
  readonly tokens: readonly TokenEvidence[];
}

/** The side that is closed while the other one is in use; undefined in other phases. Pure. */
export function closedSideIn(phase: CutoverPhase): Side | undefined {
  if (phase === "prepared") return "target";
  return phase === "switched" ? "source" : undefined;
}

/** What the record of a closed side says of it. Pure. */
export function closedSideOf(
  { details: { side, forward, back, evidence } }: SideRecord,
): ClosedSide {
  const backward = back === null ? [] : [back];
  const tokens = evidence?.tokens ?? [];
  return side === "source"
    ? { leaving: forward, arriving: backward, tokens }
    : { leaving: backward, arriving: forward, tokens };
}

/** Changes that replication did not bring, or why it cannot be said whether there are any. */
export type ForeignChanges =
  | { readonly isKnown: true; readonly found: readonly TripwireFinding[] }
  | { readonly isKnown: false; readonly reason: string };

/**
 * Changes on a closed side, in the tables of its streams, that were committed after the tokens
 * which prove what has arrived on the other side, and that replication did not bring. A side that
 * no switch has closed may have no slots yet.
 *
 * @param session on that side
 * @param options `advances`: whether the slots advance past what was checked, because no stream
 * will resume from there; `timeoutMs`: after which time nothing further is read then
 */
export async function readForeignChanges(
  session: Session,
  { leaving, arriving, tokens }: ClosedSide,
  { advances = false, timeoutMs }: {
    readonly advances?: boolean;
    readonly timeoutMs?: number | undefined;
  } = {},
): Promise<ForeignChanges> {
  const slots = tokens.length > 0 ? leaving : await existingSlots(session, leaving);
  if (slots.length === 0) return { isKnown: true, found: [] };
  const origins = await readOrigins(session, arriving);
  if (origins === undefined) return withoutOrigin;
  const found: TripwireFinding[] = [];
  for (const slot of slots) {
    const token = tokens.find(({ stream }) => stream === slot);
    const options = {
      ...{ slot, publication: slot, origins },
      after: token === undefined ? undefined : parseLsn(token.lsn),
    };
    const changes = advances
      ? await checkTripwire(session, { ...options, timeoutMs })
      : await retryBusy(() => readTripwire(session, options));
    if (changes === undefined) return notReadToTheEnd;
    found.push(...changes);
  }
  return { isKnown: true, found };
}

const withoutOrigin: ForeignChanges = {
  isKnown: false,
  reason: "the changes that replication brings carry no origin, or nothing brings them any longer",
};

const notReadToTheEnd: ForeignChanges = {
  isKnown: false,
  reason: "not all WAL since the last check has been read yet",
};

async function existingSlots(
  session: Session,
  names: readonly string[],
): Promise<readonly string[]> {
  const rows = await session.query<{ readonly name: string }>(
    `SELECT slot_name::pg_catalog.text AS name FROM pg_catalog.pg_replication_slots
      WHERE slot_name = ANY ($1::pg_catalog.name[])`,
    [textArray(names)],
  );
  return rows.map(({ name }) => name);
}

/** Describes findings: `INSERT into public.orders (16/B374D848)`. */
export function describeLateChanges(found: readonly TripwireFinding[]): string {
  return found.slice(0, maxFindings).map(({ schema, name, change, lsn }) =>
    `${change} in ${schema}.${name} at ${lsn}`
  ).join(", ");
}
