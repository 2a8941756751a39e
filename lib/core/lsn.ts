/**
 * Positions in the write-ahead log. Pure.
 *
 * Source: PostgreSQL documentation, "8.20. pg_lsn Type".
 *
 * @module
 */

/** A position in the write-ahead log: bytes since its start. Its text form is `16/B374D848`. */
export type Lsn = bigint;

const form = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i;

/**
 * Reads `16/B374D848`.
 *
 * @throws RangeError when the text is not a valid position
 */
export function parseLsn(text: string): Lsn {
  const [, high, low] = form.exec(text) ?? [];
  if (high === undefined || low === undefined) {
    throw new RangeError(`"${text}" is not a valid WAL position (for example 16/B374D848)`);
  }
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}

/**
 * Reads a position that the server may not know: NULL and `0/0` become undefined.
 */
export function parseOptionalLsn(text: string | null): Lsn | undefined {
  const lsn = text === null ? 0n : parseLsn(text);
  return lsn === 0n ? undefined : lsn;
}

/** Formats a position as PostgreSQL does: `16/B374D848`. */
export function formatLsn(lsn: Lsn): string {
  const part = (value: bigint) => value.toString(16).toUpperCase();
  return `${part(lsn >> 32n)}/${part(lsn & 0xffff_ffffn)}`;
}

/** Compares for sorting: negative when `a` comes first. */
export function compareLsn(a: Lsn, b: Lsn): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Bytes of WAL between two positions; negative when `to` comes first. Exact up to 8 PB.
 */
export function lsnDistance(from: Lsn, to: Lsn): number {
  return Number(to - from);
}
