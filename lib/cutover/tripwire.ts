/**
 * The tripwire: after a switch the slots of the streams that left the closed side are kept, and
 * see every change made there. Changes that the way back brought carry its origin; any other is an
 * alarm, because a closed side that is written to has lost its meaning as a way back.
 *
 * @module
 */
import { cutoverSchema, formatLsn, poll, type TableName } from "../core/internal.ts";
import { type Session } from "../postgres/internal.ts";

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

type ChangeRow = { readonly lsn: string; readonly data: string };

/**
 * Reads what a slot has seen since the last check, without consuming it. The slot must not be in
 * use.
 *
 * @param options `origins`: names of the origins that may write, `pg_16432`
 */
export async function readTripwire(
  session: Session,
  { slot, publication, origins }: {
    readonly slot: string;
    readonly publication: string;
    readonly origins: readonly string[];
  },
): Promise<readonly TripwireFinding[]> {
  await awaitFlush(session);
  const rows = await session.query<ChangeRow>(
    `SELECT lsn::pg_catalog.text AS lsn, pg_catalog.encode(data, 'hex') AS data
       FROM pg_catalog.pg_logical_slot_peek_binary_changes($1, NULL, $2,
              'proto_version', '1', 'publication_names', $3)`,
    [slot, maxChanges, publication],
  );
  return scanChanges(rows.map(({ data }) => Uint8Array.fromHex(data)), new Set(origins));
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

/**
 * Finds foreign changes in messages of pgoutput. Pure.
 *
 * Source: PostgreSQL documentation, "54.9. Logical Replication Message Formats".
 */
export function scanChanges(
  messages: readonly Uint8Array[],
  origins: ReadonlySet<string>,
): readonly TripwireFinding[] {
  const relations = new Map<number, TableName>();
  const found: TripwireFinding[] = [];
  let transaction = { lsn: "0/0", committedAt: "", isOurs: false };
  for (const message of messages) {
    const reader = new MessageReader(message);
    const kind = reader.char();
    if (kind === "B") {
      transaction = {
        lsn: formatLsn(reader.int64()),
        committedAt: fromPostgresTime(reader.int64()),
        isOurs: false,
      };
    } else if (kind === "O") {
      reader.int64();
      if (origins.has(reader.text())) transaction = { ...transaction, isOurs: true };
    } else if (kind === "R") {
      const oid = reader.int32();
      relations.set(oid, { schema: reader.text(), name: reader.text() });
    } else if (kind === "T" && !transaction.isOurs) {
      const count = reader.int32();
      reader.char();
      for (let index = 0; index < count; index++) {
        add(found, relations.get(reader.int32()), { change: "TRUNCATE", transaction });
      }
    } else if ((kind === "I" || kind === "U" || kind === "D") && !transaction.isOurs) {
      const change = kind === "I" ? "INSERT" : kind === "U" ? "UPDATE" : "DELETE";
      add(found, relations.get(reader.int32()), { change, transaction });
    }
  }
  return found;
}

function add(
  found: TripwireFinding[],
  table: TableName | undefined,
  { change, transaction }: {
    readonly change: TripwireFinding["change"];
    readonly transaction: { readonly lsn: string; readonly committedAt: string };
  },
): void {
  if (table === undefined || table.schema === cutoverSchema || found.length >= maxFindings) return;
  const { lsn, committedAt } = transaction;
  found.push({ schema: table.schema || "pg_catalog", name: table.name, change, lsn, committedAt });
}

/** Microseconds since 2000-01-01 UTC. */
function fromPostgresTime(microseconds: bigint): string {
  return new Date(Date.UTC(2000, 0, 1) + Number(microseconds / 1_000n)).toISOString();
}

class MessageReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  char(): string {
    return String.fromCharCode(this.#bytes[this.#at++]!);
  }

  int32(): number {
    const value = this.#view.getUint32(this.#at);
    this.#at += 4;
    return value;
  }

  int64(): bigint {
    const value = this.#view.getBigUint64(this.#at);
    this.#at += 8;
    return value;
  }

  /** Up to the next zero byte. */
  text(): string {
    const end = this.#bytes.indexOf(0, this.#at);
    const text = new TextDecoder().decode(this.#bytes.subarray(this.#at, end));
    this.#at = end + 1;
    return text;
  }
}

/** The origins under which the apply workers of the session's database write. */
export async function readOrigins(
  session: Session,
  subscriptions: readonly string[],
): Promise<readonly string[]> {
  const rows = await session.query<{ readonly name: string; readonly oid: string }>(
    `SELECT s.subname::pg_catalog.text AS name, s.oid::pg_catalog.text AS oid
       FROM pg_catalog.pg_subscription AS s
       JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid
      WHERE d.datname = pg_catalog.current_database()`,
  );
  return rows.filter(({ name }) => subscriptions.includes(name)).map(({ oid }) => `pg_${oid}`);
}
