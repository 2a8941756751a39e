/**
 * Collects whole answers of a server.
 *
 * @module
 */
import { decodeErrorFields, frame, FrameScanner } from "../protocol/frames.ts";
import { ProtocolError } from "../protocol/message_limits.ts";
import { type ServerMessage, serverMessageFromFields } from "../protocol/server_message.ts";
import type { ExchangeConnection } from "../connect/connection.ts";

/**
 * pg_dump reads the columns of all tables at once: 400 MB for 100,000 tables with twenty columns
 * each.
 */
const maxResultBytes = 1024 * 1024 * 1024;
const firstBytes = 64 * 1024;

/**
 * Sends messages and collects the answer up to and including ReadyForQuery, without notices.
 *
 * @throws ProtocolError when the answer is larger than a gigabyte
 */
export async function collectResult(
  connection: ExchangeConnection,
  messages: Uint8Array,
): Promise<Uint8Array> {
  let answer = new Uint8Array(firstBytes);
  let bytes = 0;
  const ready = Promise.withResolvers<void>();
  const scanner = new FrameScanner({
    header: (_, length) => {
      if (bytes + 1 + length > maxResultBytes) {
        throw new ProtocolError("its answer to one query of pg_dump is larger than 1 GB");
      }
    },
    message: (type, _, { whole }) => {
      if (bytes + whole.length > answer.length) {
        const grown = new Uint8Array(Math.max(2 * answer.length, bytes + whole.length));
        grown.set(answer.subarray(0, bytes));
        answer = grown;
      }
      answer.set(whole, bytes);
      bytes += whole.length;
      if (type === frame.ready) ready.resolve();
    },
  });
  connection.receive((chunk) => scanner.push(chunk));
  await Promise.all([connection.write(messages), ready.promise]);
  return answer.slice(0, bytes);
}

/** The first error in an answer; undefined when there is none. */
export function firstError(answer: Uint8Array): ServerMessage | undefined {
  let error: ServerMessage | undefined;
  new FrameScanner({
    message: (type, body) => {
      if (type === frame.error) error ??= serverMessageFromFields(decodeErrorFields(body));
    },
  }).push(answer);
  return error;
}
