import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import {
  decodeErrorFields,
  encodeFrame,
  encodeQuery,
  frame,
  FrameScanner,
} from "../../../lib/postgres/protocol/frames.ts";
import { ProtocolError } from "../../../lib/postgres/protocol/message_limits.ts";
import { concat, pieces } from "./streams_test.ts";

Deno.test("FrameScanner returns whole frames in order, for any chunks", () => {
  const message = fc.record(
    {
      type: fc.constantFrom<number>(frame.row, frame.error, frame.copyData, frame.rowDescription),
      body: fc.oneof(
        fc.uint8Array({ maxLength: 40 }),
        fc.uint8Array({ minLength: 4_000, maxLength: 9_000, size: "max" }),
      ),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(fc.array(message, { maxLength: 20 }), fc.array(fc.nat(9_000)), (messages, cuts) => {
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

/** Only a header. */
function header(type: string, length: number): Uint8Array {
  const bytes = new Uint8Array(5);
  bytes[0] = type.charCodeAt(0);
  new DataView(bytes.buffer).setInt32(1, length);
  return bytes;
}

Deno.test("FrameScanner rejects invalid messages as soon as the header is complete, for any chunks", () => {
  const refused: readonly (readonly [string, number])[] = [
    ["D", 3],
    ["D", 0],
    ["D", -1],
    ["D", -2_147_483_648],
    ["d", 2],
    ["d", 2_000_000_000],
    ["N", -1],
    ["E", 2_000_000_000],
    ["T", 2_000_000_000],
    ["Z", 6],
    ["C", 100_000],
    ["K", 100_000],
    ["1", 5],
    ["!", 4],
    ["\0", 4],
    ["v", 8], // the requested version needs no negotiation
    ["V", 8],
  ];
  for (const [type, length] of refused) {
    for (const cut of [0, 1, 4]) {
      const scanner = new FrameScanner({ message: () => {} });
      throws(
        () => pieces(header(type, length), [cut]).forEach((piece) => scanner.push(piece)),
        ProtocolError,
        `${type} ${length} cut at ${cut}`,
      );
    }
  }
});

Deno.test("FrameScanner skips notices of any length without buffering them, up to 256 MB", () => {
  const handed: number[] = [];
  const scanner = new FrameScanner({ message: (type) => handed.push(type) });
  const mebibyte = new Uint8Array(1024 * 1024);
  scanner.push(header("N", 4 + 200 * mebibyte.length));
  for (let count = 0; count < 200; count++) scanner.push(mebibyte);
  scanner.push(encodeFrame(frame.ready, new Uint8Array([0x49])));
  deepStrictEqual(handed, [frame.ready]);
  // a complete answer resets the count
  scanner.push(header("A", 4 + 200 * mebibyte.length));
  for (let count = 0; count < 200; count++) scanner.push(mebibyte);
  throws(() => scanner.push(header("S", 4 + 100 * mebibyte.length)), ProtocolError);
});

Deno.test("FrameScanner allocates memory for received, not announced bytes, and copies them at most twice", () => {
  const mebibyte = new Uint8Array(1024 * 1024);
  const scanner = new FrameScanner({
    message: (_, body, { own }) => {
      strictEqual(body.length, 64 * mebibyte.length);
      ok(own, "a long message is passed on without another copy");
    },
  });
  // ten thousand chunks would take minutes if each were appended by copying everything
  const piece = new Uint8Array(6_711);
  scanner.push(header("D", 4 + 64 * mebibyte.length));
  let left = 64 * mebibyte.length;
  for (; left > 0; left -= piece.length) scanner.push(piece.subarray(0, Math.min(left, 6_711)));
  ok(scanner.atBoundary);
  const before = Deno.memoryUsage().external;
  const many = Array.from({ length: 64 }, () => {
    const announced = new FrameScanner({ message: () => {} });
    announced.push(header("D", 1024 * mebibyte.length));
    announced.push(piece);
    return announced;
  });
  ok(Deno.memoryUsage().external - before < 16 * mebibyte.length);
  strictEqual(many.length, 64);
});
