/**
 * The values of a changed row, left in the bytes of their message: only those that are needed are
 * looked at.
 *
 * Source: PostgreSQL documentation, "54.9. Logical Replication Message Formats", TupleData.
 *
 * @module
 */
import { ProtocolError } from "./message_limits.ts";

/**
 * The value of a column as text: null for NULL, undefined for a TOASTed value that did not change
 * and is not sent.
 */
export type ColumnValue = Uint8Array | null | undefined;

/** What a value starts with. */
export const valueKind = {
  null: 0x6e, // n
  unchanged: 0x75, // u
  text: 0x74, // t
} as const;

/** Kind and length before the bytes of a text value. */
export const textHeaderBytes = 5;

/** The error for a message that PostgreSQL never sends. */
export function malformedChange(): ProtocolError {
  return new ProtocolError("it sent a malformed change");
}

/** The values of a row, in the order of its relation's columns. */
export class Tuple {
  /** The buffer with the message. */
  readonly view: DataView<ArrayBuffer>;
  /** Where its first value starts: a kind, and for a text value its length and bytes. */
  readonly start: number;
  readonly end: number;
  /** Number of values. */
  readonly columns: number;
  /** Whether a value is missing because it did not change. */
  readonly isPartial: boolean;

  private constructor(
    place: { readonly view: DataView<ArrayBuffer>; readonly start: number; readonly end: number },
    { columns, isPartial }: Pick<Tuple, "columns" | "isPartial">,
  ) {
    this.view = place.view;
    this.start = place.start;
    this.end = place.end;
    this.columns = columns;
    this.isPartial = isPartial;
  }

  /**
   * Checks the values and remembers where they are.
   *
   * @param limit where the message ends
   * @throws ProtocolError if they do not end before the limit
   */
  static read(
    view: DataView<ArrayBuffer>,
    { start, limit, columns }: {
      readonly start: number;
      readonly limit: number;
      readonly columns: number;
    },
  ): Tuple {
    let at = start;
    let isPartial = false;
    for (let column = 0; column < columns; column++) {
      if (at >= limit) throw malformedChange();
      const kind = view.getUint8(at);
      if (kind === valueKind.text) {
        if (at + textHeaderBytes > limit) throw malformedChange();
        at += textHeaderBytes + view.getUint32(at + 1);
        if (at > limit) throw malformedChange();
      } else if (kind === valueKind.null || kind === valueKind.unchanged) {
        at++;
        if (kind === valueKind.unchanged) isPartial = true;
      } else throw malformedChange();
    }
    return new Tuple({ view, start, end: at }, { columns, isPartial });
  }

  /** A row with given values. */
  static of(values: readonly ColumnValue[]): Tuple {
    const bytes = new Uint8Array(
      values.reduce((sum, value) => sum + (value ? textHeaderBytes + value.length : 1), 0),
    );
    const view = new DataView(bytes.buffer);
    let at = 0;
    for (const value of values) {
      view.setUint8(
        at,
        value ? valueKind.text : value === null ? valueKind.null : valueKind.unchanged,
      );
      if (!value) {
        at++;
        continue;
      }
      view.setUint32(at + 1, value.length);
      bytes.set(value, at + textHeaderBytes);
      at += textHeaderBytes + value.length;
    }
    return Tuple.read(view, { start: 0, limit: bytes.length, columns: values.length });
  }

  /** Bytes of all values. */
  get size(): number {
    return this.end - this.start;
  }

  /** The value of a column, by its position from 0. */
  value(position: number): ColumnValue {
    return this.valueAt(this.place(position));
  }

  /** Where the value of a column starts in the buffer. */
  place(position: number): number {
    let at = this.start;
    for (let column = 0; column < position; column++) at = this.after(at);
    return at;
  }

  /** All values. */
  values(): ColumnValue[] {
    let at = this.start;
    return Array.from({ length: this.columns }, () => {
      const value = this.valueAt(at);
      at = this.after(at);
      return value;
    });
  }

  /** The value that starts at a place in the buffer. */
  valueAt(at: number): ColumnValue {
    const kind = this.view.getUint8(at);
    if (kind !== valueKind.text) return kind === valueKind.null ? null : undefined;
    return new Uint8Array(this.view.buffer, at + textHeaderBytes, this.view.getUint32(at + 1));
  }

  /** Where the value after the one at a place starts. */
  after(at: number): number {
    return this.view.getUint8(at) === valueKind.text
      ? at + textHeaderBytes + this.view.getUint32(at + 1)
      : at + 1;
  }
}
