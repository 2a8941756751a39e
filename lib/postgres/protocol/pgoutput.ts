/**
 * Decodes the messages of the output plugin `pgoutput`, protocol version 1, without parsing values.
 *
 * Every length is checked: a server is not trusted. Messages of later protocol versions, which are
 * never requested, are refused.
 *
 * Source: PostgreSQL documentation, "54.9. Logical Replication Message Formats".
 *
 * @module
 */
import type { Lsn, TableName } from "../../core/internal.ts";
import type { FramePlace } from "./frames.ts";
import { ProtocolError } from "./message_limits.ts";
import { malformedChange, Tuple } from "./tuple.ts";

/** A table as the source describes it, before its first change and after each of its own. */
export interface Relation extends TableName {
  /** OID on the source. */
  readonly oid: number;
  /** Whether the whole row is the replica identity (`REPLICA IDENTITY FULL`). */
  readonly isIdentityFull: boolean;
  readonly columns: readonly DescribedColumn[];
}

/** A published column. */
export interface DescribedColumn {
  readonly name: string;
  /** Whether it belongs to the replica identity. */
  readonly isKey: boolean;
}

/** A decoded message. */
export type ChangeMessage =
  | {
    readonly kind: "begin";
    /** Where the commit record is; `--skip-lsn` names a transaction by it. */
    readonly commitLsn: Lsn;
    /** When it committed, in microseconds since 2000-01-01 UTC. */
    readonly committedAt: bigint;
    readonly xid: number;
  }
  | {
    readonly kind: "commit";
    readonly commitLsn: Lsn;
    /** Where the commit record ends. */
    readonly endLsn: Lsn;
  }
  | { readonly kind: "relation"; readonly relation: Relation }
  | { readonly kind: "insert"; readonly relation: Relation; readonly row: Tuple }
  | {
    readonly kind: "update";
    readonly relation: Relation;
    /** The identity before, if it changed; the whole row with REPLICA IDENTITY FULL. */
    readonly before: Tuple | undefined;
    readonly row: Tuple;
  }
  | {
    readonly kind: "delete";
    readonly relation: Relation;
    /** Values of the identity's columns, the others are null. */
    readonly before: Tuple;
  }
  | {
    readonly kind: "truncate";
    readonly relations: readonly Relation[];
    readonly restartsIdentity: boolean;
  }
  /** Where the changes of the transaction came from, if they were replicated. */
  | { readonly kind: "origin"; readonly name: string }
  /** A type: nothing to do. */
  | { readonly kind: "other" };

/** Limit on the number of tables in one stream. */
const maxRelations = 200_000;

const maxColumns = 1_664;

/** Limit on the number of columns of all described tables. */
const maxDescribedColumns = 2_000_000;

/** Limit on the bytes of a name; servers have 63 unless they were built otherwise. */
const maxNameBytes = 1_024;

/** What messages and rows in them start with. */
const letter = {
  begin: 0x42, // B
  commit: 0x43, // C
  delete: 0x44, // D
  insert: 0x49, // I
  key: 0x4b, // K
  newRow: 0x4e, // N
  oldRow: 0x4f, // O
  origin: 0x4f, // O
  relation: 0x52, // R
  truncate: 0x54, // T
  type: 0x59, // Y
  update: 0x55, // U
} as const;

const decoder = new TextDecoder();

/** Decodes messages, which refer to relations sent earlier. */
export class ChangeDecoder {
  readonly #reader = new Reader();
  readonly #relations = new Map<number, Relation>();
  #columns = 0;

  /** The relation as it was described last; undefined if it was not. */
  relation(oid: number): Relation | undefined {
    return this.#relations.get(oid);
  }

  /**
   * @param payload may change afterwards
   * @throws ProtocolError if it is not a message of protocol version 1
   */
  decode(payload: Uint8Array): ChangeMessage {
    const view = new DataView(payload.slice().buffer);
    return this.decodeInPlace({ view, start: 0, end: view.byteLength });
  }

  /**
   * The same, for a message that stays where it is.
   *
   * @throws ProtocolError if it is not a message of protocol version 1
   */
  decodeInPlace(place: FramePlace): ChangeMessage {
    const reader = this.#reader;
    reader.open(place);
    const message = this.#decode(reader);
    reader.expectEnd();
    return message;
  }

  #decode(reader: Reader): ChangeMessage {
    const kind = reader.byte();
    switch (kind) {
      case letter.begin: {
        const commitLsn = reader.lsn();
        const committedAt = reader.int64();
        return { kind: "begin", commitLsn, committedAt, xid: reader.uint32() };
      }
      case letter.commit: {
        reader.skip(1);
        const commitLsn = reader.lsn();
        const endLsn = reader.lsn();
        reader.skip(8);
        return { kind: "commit", commitLsn, endLsn };
      }
      case letter.relation:
        return { kind: "relation", relation: this.#describe(reader) };
      case letter.insert: {
        const relation = this.#readRelation(reader);
        reader.expect(letter.newRow);
        return { kind: "insert", relation, row: reader.tuple(relation) };
      }
      case letter.update: {
        const relation = this.#readRelation(reader);
        const hasBefore = reader.peek() !== letter.newRow;
        const before = hasBefore ? reader.oldTuple(relation) : undefined;
        reader.expect(letter.newRow);
        return { kind: "update", relation, before, row: reader.tuple(relation) };
      }
      case letter.delete: {
        const relation = this.#readRelation(reader);
        return { kind: "delete", relation, before: reader.oldTuple(relation) };
      }
      case letter.truncate: {
        const count = reader.uint32();
        const flags = reader.byte();
        if (count * 4 !== reader.left || count > maxRelations) throw malformedChange();
        const relations = Array.from({ length: count }, () => this.#readRelation(reader));
        return { kind: "truncate", relations, restartsIdentity: (flags & 2) !== 0 };
      }
      case letter.origin:
        reader.skip(8);
        return { kind: "origin", name: reader.text() };
      case letter.type:
        reader.skip(reader.left);
        return { kind: "other" };
      default:
        throw new ProtocolError(
          `it sent a change of an unknown kind, ${JSON.stringify(String.fromCharCode(kind))}`,
        );
    }
  }

  #describe(reader: Reader): Relation {
    const oid = reader.uint32();
    // the server sends an empty name for pg_catalog
    const schema = reader.text() || "pg_catalog";
    const name = reader.text();
    const identity = reader.byte();
    const count = reader.uint16();
    if (count > maxColumns || name === "") throw malformedChange();
    const columns = Array.from({ length: count }, (): DescribedColumn => {
      const isKey = (reader.byte() & 1) !== 0;
      const column = reader.text();
      if (column === "") throw malformedChange();
      reader.skip(8); // type and modifier
      return { name: column, isKey };
    });
    const relation = { oid, schema, name, isIdentityFull: identity === 0x66, columns };
    this.#columns += count - (this.#relations.get(oid)?.columns.length ?? 0);
    this.#relations.set(oid, relation);
    if (this.#relations.size > maxRelations || this.#columns > maxDescribedColumns) {
      throw new ProtocolError(
        `it described more than ${maxRelations} tables, or ${maxDescribedColumns} columns`,
      );
    }
    return relation;
  }

  #readRelation(reader: Reader): Relation {
    const oid = reader.uint32();
    const relation = this.#relations.get(oid);
    if (relation === undefined) {
      throw new ProtocolError(`it sent a change of a table that it had not described, ${oid}`);
    }
    return relation;
  }
}

/** Reads one message; nothing is read past its end. */
class Reader {
  #view = new DataView(new ArrayBuffer(0));
  #end = 0;
  #at = 0;

  /** Starts with a message. */
  open({ view, start, end }: FramePlace): void {
    this.#view = view;
    this.#at = start;
    this.#end = end;
  }

  /** Bytes not read yet. */
  get left(): number {
    return this.#end - this.#at;
  }

  skip(bytes: number): void {
    this.#take(bytes);
  }

  byte(): number {
    return this.#view.getUint8(this.#take(1));
  }

  uint16(): number {
    return this.#view.getUint16(this.#take(2));
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  int64(): bigint {
    return this.#view.getBigInt64(this.#take(8));
  }

  lsn(): Lsn {
    return this.#view.getBigUint64(this.#take(8));
  }

  text(): string {
    const bytes = new Uint8Array(this.#view.buffer, this.#at, this.left);
    const end = bytes.indexOf(0);
    if (end < 0 || end > maxNameBytes) throw malformedChange();
    this.#at += end + 1;
    return decoder.decode(bytes.subarray(0, end));
  }

  /** The next byte, which stays the next one. */
  peek(): number {
    if (this.left < 1) throw malformedChange();
    return this.#view.getUint8(this.#at);
  }

  expect(byte: number): void {
    if (this.byte() !== byte) throw malformedChange();
  }

  /** A row before the change, or its key. */
  oldTuple(relation: Relation): Tuple {
    const kind = this.byte();
    if (kind !== letter.key && kind !== letter.oldRow) throw malformedChange();
    return this.tuple(relation);
  }

  expectEnd(): void {
    if (this.left !== 0) throw malformedChange();
  }

  tuple({ columns }: Relation): Tuple {
    if (this.uint16() !== columns.length) throw malformedChange();
    const tuple = Tuple.read(this.#view, {
      start: this.#at,
      limit: this.#end,
      columns: columns.length,
    });
    this.#at = tuple.end;
    return tuple;
  }

  /** Moves on and returns where it was. */
  #take(bytes: number): number {
    const start = this.#at;
    if (bytes > this.#end - start) throw malformedChange();
    this.#at = start + bytes;
    return start;
  }
}
