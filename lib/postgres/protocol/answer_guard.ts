/**
 * Validates a server's answers before the driver sees them.
 *
 * The driver trusts its input: an unterminated RowDescription makes it loop forever, a row
 * announced with 2 GB makes it allocate 2 GB, and it buffers rows without limit.
 *
 * @module
 */
import { frame } from "./frames.ts";
import { defaultResultBytes, describeType, ProtocolError } from "./message_limits.ts";

/** Types of messages that answer queries. */
const answers: ReadonlySet<number> = new Set([..."TDCZE123nstI"].map((type) => type.charCodeAt(0)));

const syncMessage = 0x53;
const flushMessage = 0x48;
/** Memory of a row's object and of each of its values, besides their bytes. */
const rowWeight = 96;
const valueWeight = 24;
const messageWeight = 256;
/** A query gets one error; another may follow when the server is being shut down. */
const maxErrors = 8;

/**
 * Tracks the answers on one connection: idle ⇄ answering, by the ReadyForQuery messages due.
 */
export class AnswerGuard {
  /** ReadyForQuery messages due: one for each Query and Sync. */
  #due = 0;
  /** Whether a Flush requested answers before the Sync. */
  #flushed = false;
  /** Columns of the rows described last. */
  #columns: number | undefined;
  /** Memory that the answer takes so far. */
  #weight = 0;
  /** Errors since the last ReadyForQuery. */
  #errors = 0;
  readonly #allowances: number[] = [];

  /** Notes whole messages sent to the server. */
  sent(messages: Uint8Array): void {
    const view = new DataView(messages.buffer, messages.byteOffset, messages.byteLength);
    for (let at = 0; at + 5 <= messages.length; at += 1 + view.getUint32(at + 1)) {
      const type = view.getUint8(at);
      if (type === frame.query || type === syncMessage) this.#due++;
      this.#flushed = type === flushMessage || this.#flushed && type !== syncMessage;
    }
  }

  /** Raises the limit of an answer until the returned function is called. */
  allow(bytes: number): () => void {
    this.#allowances.push(bytes);
    return () => void this.#allowances.splice(this.#allowances.indexOf(bytes), 1);
  }

  /**
   * Checks a header before its body is buffered.
   *
   * @throws ProtocolError
   */
  header(type: number, length: number): void {
    const expected = this.#due > 0 || this.#flushed && type !== frame.ready;
    if (type !== frame.error && !(expected && answers.has(type))) {
      throw new ProtocolError(
        `it sent a message of type ${describeType(type)} ${
          expected ? "in answer to a query" : "unsolicited"
        }`,
      );
    }
    this.#weight += length +
      (type === frame.row
        ? rowWeight + valueWeight * (this.#columns ?? 0)
        : type === frame.rowDescription
        ? 4 * (messageWeight + length)
        : messageWeight);
    if (type === frame.error && ++this.#errors > maxErrors + this.#due) {
      throw new ProtocolError("it sent more errors than it received queries");
    }
    const maxWeight = Math.max(defaultResultBytes, ...this.#allowances);
    if (this.#weight > maxWeight) {
      throw new ProtocolError(
        `its answer to one query takes more than ${
          Math.round(maxWeight / 1024 / 1024)
        } MB of memory`,
      );
    }
  }

  /**
   * Checks a whole message.
   *
   * @throws ProtocolError
   */
  message(type: number, body: Uint8Array): void {
    if (type === frame.row) checkRow(body, this.#columns);
    else if (type === frame.rowDescription) this.#columns = countColumns(body);
    else if (type === frame.noData) this.#columns = 0;
    else if (type === frame.parameterDescription) checkParameters(body);
    else if (type === frame.ready) {
      this.#due--;
      this.#weight = 0;
      this.#errors = 0;
      this.#columns = undefined;
    }
  }
}

function countColumns(body: Uint8Array): number {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const columns = body.length < 2 ? -1 : view.getUint16(0);
  let at = 2;
  for (let column = 0; column < columns; column++) {
    const end = body.indexOf(0, at);
    at = end < 0 ? Infinity : end + 1 + 18;
    if (at > body.length) break;
  }
  if (at !== body.length) {
    throw new ProtocolError("it sent a row description whose length does not match its columns");
  }
  return columns;
}

function checkRow(body: Uint8Array, columns: number | undefined): void {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const count = body.length < 2 ? -1 : view.getUint16(0);
  if (count !== columns) {
    throw new ProtocolError(
      columns === undefined
        ? "it sent a row without a row description"
        : `it described ${columns} columns and sent a row with ${count}`,
    );
  }
  let at = 2;
  for (let column = 0; column < count && at <= body.length; column++) {
    const length = at + 4 <= body.length ? view.getInt32(at) : -2;
    at = length < -1 ? Infinity : at + 4 + Math.max(0, length);
  }
  if (at !== body.length) {
    throw new ProtocolError("it sent a row whose length does not match its values");
  }
}

function checkParameters(body: Uint8Array): void {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  if (body.length < 2 || body.length !== 2 + 4 * view.getUint16(0)) {
    throw new ProtocolError(
      "it sent a parameter description whose length does not match its parameters",
    );
  }
}
