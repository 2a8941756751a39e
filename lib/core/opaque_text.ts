/**
 * Text that may contain bytes which are not valid UTF-8, as databases in SQL_ASCII do: read and
 * written unchanged.
 *
 * Each of these bytes is represented by a lone surrogate, U+DC80 to U+DCFF, which valid text never
 * contains.
 *
 * @module
 */

const firstSurrogate = 0xdc00;
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();
const opaqueBytes = /[\u{dc80}-\u{dcff}]+/u;

/** Decodes bytes; {@linkcode encodeOpaque} is the exact inverse. */
export function decodeOpaque(bytes: Uint8Array): string {
  const whole = decodeStrictly(bytes);
  if (whole !== undefined) return whole;
  const pieces: string[] = [];
  let from = 0;
  for (let at = 0; at < bytes.length;) {
    const length = sequenceLength(bytes, at);
    if (length > 0) {
      at += length;
      continue;
    }
    pieces.push(strict.decode(bytes.subarray(from, at)));
    pieces.push(opaqueCharacter(bytes[at]!));
    from = ++at;
  }
  pieces.push(strict.decode(bytes.subarray(from)));
  return pieces.join("");
}

/** Encodes a text as bytes. */
export function encodeOpaque(text: string): Uint8Array<ArrayBuffer> {
  if (!hasOpaqueBytes(text)) return encoder.encode(text);
  const parts = text.split(/([\u{dc80}-\u{dcff}]+)/u).map((part) =>
    opaqueBytes.test(part)
      ? Uint8Array.from(part, (letter) => letter.charCodeAt(0) - firstSurrogate)
      : encoder.encode(part)
  );
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The surrogate that represents a byte from 0x80 on. */
export function opaqueCharacter(byte: number): string {
  return String.fromCharCode(firstSurrogate + byte);
}

/** Formats a text for display, with these bytes as `\xe9`. */
export function showOpaque(text: string): string {
  return text.replace(
    /[\u{dc80}-\u{dcff}]/gu,
    (letter) => hexEscape(letter.charCodeAt(0) - firstSurrogate),
  );
}

/**
 * Escapes everything beyond ASCII as bytes, for an SQL string constant with backslash escapes.
 */
export function escapeOpaque(text: string): string {
  return text.replace(
    /[^\0-\x7f]+/gu,
    (letters) => Array.from(encodeOpaque(letters), hexEscape).join(""),
  );
}

/** Whether a text represents bytes that are not valid UTF-8. */
export function hasOpaqueBytes(text: string): boolean {
  return opaqueBytes.test(text);
}

function hexEscape(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, "0")}`;
}

function decodeStrictly(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return undefined;
  }
}

/** Length of the valid character at a position, in bytes; 0 when none begins there. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at]!;
  if (first < 0x80) return 1;
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || at + length > bytes.length) return 0;
  const second = bytes[at + 1]!;
  // no overlong forms, no surrogates, nothing beyond U+10FFFF
  const min = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const max = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < min || second > max) return 0;
  for (let next = at + 2; next < at + length; next++) {
    if ((bytes[next]! & 0xc0) !== 0x80) return 0;
  }
  return length;
}
