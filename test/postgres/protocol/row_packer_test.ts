import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import { encodeFrame, frame, FrameScanner } from "../../../lib/postgres/protocol/frames.ts";
import { ProtocolError } from "../../../lib/postgres/protocol/message_limits.ts";
import { RowPacker } from "../../../lib/postgres/protocol/row_packer.ts";
import { concat, pieces } from "./streams_test.ts";

interface Message {
  readonly type: number;
  readonly body: Uint8Array;
}

/** Output of the packer: forwarded frames, and messages in between. */
function pack(given: readonly Uint8Array[]) {
  const out: Message[] = [];
  const sent = new FrameScanner({
    message: (type, body) => out.push({ type, body: body.slice() }),
  });
  using packer = new RowPacker({
    rows: (frames) => {
      sent.push(frames);
      ok(sent.atBoundary, "only whole frames are forwarded");
    },
    message: (type, body) => out.push({ type, body: body.slice() }),
  });
  for (const piece of given) packer.push(piece);
  return out;
}

/** Joins consecutive rows, whose frame boundaries do not matter. */
function joined(messages: readonly Message[]): readonly Message[] {
  const result: Message[] = [];
  for (const message of messages) {
    const last = result.at(-1);
    if (message.type === frame.copyData && last?.type === frame.copyData) {
      result[result.length - 1] = { ...last, body: concat([last.body, message.body]) };
    } else result.push(message);
  }
  return result.filter(({ type, body }) => type !== frame.copyData || body.length > 0);
}

const others = [frame.commandComplete, frame.error, frame.copyOut];
const anyMessage = fc.oneof(
  { weight: 4, arbitrary: fc.constant(frame.copyData as number) },
  fc.constantFrom<number>(...others),
).chain((type) =>
  fc.record({
    type: fc.constant(type),
    // around the sizes at which the copying strategy changes
    body: fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.uint8Array({ minLength: 490, maxLength: 540 }),
    ),
  }, { noNullPrototype: true })
);

Deno.test("RowPacker forwards every byte of every row, in order with the messages, for any chunks", () => {
  fc.assert(
    fc.property(
      fc.array(anyMessage, { maxLength: 30 }),
      fc.array(fc.nat(4_000), { maxLength: 40 }),
      (messages, cuts) => {
        const stream = concat(messages.map(({ type, body }) => encodeFrame(type, body)));
        deepStrictEqual(joined(pack(pieces(stream, cuts))), joined(messages));
      },
    ),
  );
});

Deno.test("RowPacker combines narrow rows into frames of at most 32 KB", () => {
  const row = encodeFrame(frame.copyData, new Uint8Array(100));
  const stream = new Uint8Array(5_000 * row.length);
  for (let at = 0; at < stream.length; at += row.length) stream.set(row, at);
  const frames = pack([stream]);
  strictEqual(frames.reduce((sum, { body }) => sum + body.length, 0), 500_000);
  strictEqual(Math.max(...frames.map(({ body }) => body.length)), 32_700);
  strictEqual(frames.length, Math.ceil(5_000 / 327));
});

Deno.test("RowPacker forwards the received parts of a long row as separate frames", () => {
  const row = crypto.getRandomValues(new Uint8Array(60_000));
  const stream = concat([encodeFrame(frame.copyData, row), encodeFrame(frame.error, row)]);
  const frames = pack(pieces(stream, [3, 5, 10_000, 40_000, 60_004]));
  deepStrictEqual(frames.map(({ body }) => body.length), [
    ...[9_995, 30_000, 20_004, 1], // nothing in the first two chunks
    60_000,
  ]);
  deepStrictEqual(joined(frames), [
    { type: frame.copyData, body: row },
    { type: frame.error, body: row },
  ]);
});

Deno.test("RowPacker starts afresh after one that ended within a row", () => {
  const row = encodeFrame(frame.copyData, new Uint8Array(100));
  deepStrictEqual(pack([row.subarray(0, 50)]).length, 1);
  deepStrictEqual(pack([row]), [{ type: frame.copyData, body: new Uint8Array(100) }]);
});

Deno.test("RowPacker rejects rows and messages of an invalid length", () => {
  for (const type of ["d", "E", "C"]) {
    for (const length of [0, 3, -1, -5, -2_147_483_648, 0x4000_0004, 2_147_483_647]) {
      const bad = new Uint8Array(105);
      bad[0] = type.charCodeAt(0);
      new DataView(bad.buffer).setInt32(1, length);
      const row = encodeFrame(frame.copyData, new Uint8Array(100));
      for (const cut of [[], [3], [105], [107, 5], [109]]) {
        throws(() => pack(pieces(concat([row, bad]), cut)), ProtocolError, `${type} ${length}`);
      }
    }
  }
  // the longest row that PostgreSQL can produce is valid
  const long = new Uint8Array(5);
  long[0] = frame.copyData;
  new DataView(long.buffer).setInt32(1, 0x3fff_ffff + 4);
  deepStrictEqual(pack([long]), []);
});
