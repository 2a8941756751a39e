import { deepStrictEqual, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { decodeErrorFields, encodeFrame, encodeQuery, FrameScanner } from "./frames.ts";
import { concat, pieces } from "./streams_test.ts";

Deno.test("FrameScanner hands out whole frames in their order, wherever the stream is cut", () => {
  const message = fc.record(
    { type: fc.nat(255), body: fc.uint8Array({ maxLength: 40 }) },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(fc.array(message, { maxLength: 20 }), fc.array(fc.nat(400)), (messages, cuts) => {
      const seen: { type: number; body: Uint8Array }[] = [];
      const scanner = new FrameScanner({
        message: (type, body) => seen.push({ type, body: body.slice() }),
      });
      const frames = messages.map(({ type, body }) => encodeFrame(type, body));
      for (const piece of pieces(concat(frames), cuts)) scanner.push(piece);
      deepStrictEqual(seen, messages);
      strictEqual(scanner.atBoundary, true);
    }),
  );
});

Deno.test("encodeQuery() counts bytes, not characters", () => {
  deepStrictEqual([...encodeQuery("ü")], [0x51, 0, 0, 0, 7, 0xc3, 0xbc, 0]);
});

Deno.test("decodeErrorFields() finds every field", () => {
  const body = new TextEncoder().encode("SERROR\0C23505\0Mduplicate key\0\0");
  deepStrictEqual([...decodeErrorFields(body)], [["S", "ERROR"], ["C", "23505"], [
    "M",
    "duplicate key",
  ]]);
});
