import { deepStrictEqual as equal } from "node:assert/strict";
import fc from "fast-check";
import { escapedLiteral, quoteLiteral } from "../../lib/core/identifiers.ts";
import {
  decodeOpaque,
  encodeOpaque,
  hasOpaqueBytes,
  showOpaque,
} from "../../lib/core/opaque_text.ts";

Deno.test("arbitrary bytes survive a round trip", () => {
  const bytes = fc.oneof(
    fc.uint8Array(),
    fc.array(fc.constantFrom(0x41, 0x80, 0xbf, 0xc2, 0xe0, 0xed, 0xa0, 0xf0, 0x90, 0xf4, 0xff))
      .map((some) => Uint8Array.from(some)),
  );
  fc.assert(fc.property(bytes, (some) => equal([...encodeOpaque(decodeOpaque(some))], [...some])));
});

Deno.test("only valid text is decoded as such", () => {
  fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => {
    const read = decodeOpaque(new TextEncoder().encode(text));
    equal([read, hasOpaqueBytes(read)], [text, false]);
  }));
  const mixed = Uint8Array.from([...new TextEncoder().encode("é😀"), 0xe9, 0x41, 0xf0, 0x9f]);
  equal(decodeOpaque(mixed), "é😀\udce9A\udcf0\udc9f");
});

Deno.test("invalid bytes are displayed in hexadecimal, and sent in ASCII literals", () => {
  equal(showOpaque("é\udce9'😀"), "é\\xe9'😀");
  equal(quoteLiteral("é\udce9'\\"), " E'\\xc3\\xa9\\xe9''\\\\'");
  equal(quoteLiteral("é"), "'é'");
  equal(escapedLiteral("'a''\udce9'"), " E'a''\\xe9'");
  equal(escapedLiteral(" E'\\\\\udce9'"), " E'\\\\\\xe9'");
  equal(escapedLiteral("'é'"), "'é'");
});
