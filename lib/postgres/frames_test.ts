import { deepStrictEqual, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { decodeErrorFields, encodeFrame, encodeQuery, frame, FrameScanner } from "./frames.ts";

interface Seen {
  readonly copy: number[];
  readonly messages: { type: number; body: number[] }[];
}

function scan(
  stream: Uint8Array,
  cuts: readonly number[],
): Seen & { atBoundary: boolean } {
  const seen: Seen = { copy: [], messages: [] };
  const scanner = new FrameScanner({
    copyData: (bytes) => seen.copy.push(...bytes),
    message: (type, body) => seen.messages.push({ type, body: [...body] }),
  });
  const edges = [
    0,
    ...[...new Set(cuts)].filter((cut) => cut < stream.length).sort((a, b) => a - b),
    stream.length,
  ];
  for (let index = 1; index < edges.length; index++) {
    scanner.push(stream.slice(edges[index - 1], edges[index]));
  }
  return { ...seen, atBoundary: scanner.atBoundary };
}

Deno.test("FrameScanner passes CopyData on verbatim and messages whole, wherever the stream is cut", () => {
  const message = fc.record({
    type: fc.constantFrom(
      frame.copyData,
      frame.commandComplete,
      frame.error,
      frame.ready,
      frame.copyDone,
    ),
    body: fc.uint8Array({ maxLength: 40 }),
  });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 20 }), fc.array(fc.nat(400)), (messages, cuts) => {
      const frames = messages.map(({ type, body }) => encodeFrame(type, body));
      const stream = new Uint8Array(frames.flatMap((bytes) => [...bytes]));
      const seen = scan(stream, cuts);
      const copies = messages.filter(({ type }) => type === frame.copyData);
      deepStrictEqual(seen.copy, copies.flatMap(({ type, body }) => [...encodeFrame(type, body)]));
      deepStrictEqual(
        seen.messages,
        messages.filter(({ type }) => type !== frame.copyData).map(({ type, body }) => ({
          type,
          body: [...body],
        })),
      );
      strictEqual(seen.atBoundary, true);
    }),
  );
});

Deno.test("FrameScanner keeps CopyData and messages in their order", () => {
  const order: string[] = [];
  const scanner = new FrameScanner({
    copyData: (bytes) => order.push(`data ${bytes.length}`),
    message: (type) => order.push(String.fromCharCode(type)),
  });
  const one = encodeFrame(frame.copyData, new Uint8Array(3));
  const done = encodeFrame(frame.copyDone, new Uint8Array(0));
  scanner.push(new Uint8Array([...one, ...one, ...done, ...one]));
  deepStrictEqual(order, ["data 16", "c", "data 8"]);
});

Deno.test("FrameScanner without a receiver for CopyData hands it out as any other message", () => {
  const types: number[] = [];
  const scanner = new FrameScanner({ message: (type) => types.push(type) });
  scanner.push(encodeFrame(frame.copyData, new Uint8Array(2)));
  deepStrictEqual(types, [frame.copyData]);
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
