/**
 * Checks what a server answers to the driver, before the driver sees it.
 *
 * The driver believes what it is sent: a RowDescription without an end makes it loop for ever, a
 * row that is announced with 2 GB makes it gather 2 GB, and rows are kept as long as they come.
 *
 * @module
 */
import { frame } from "./frames.ts";
import { defaultResultBytes, describeType, ProtocolError } from "./message_limits.ts";

/** Types of messages that answer queries; anything else has no place here. */
const answers: ReadonlySet<number> = new Set([..."TDCZE123nstI"].map((type) => type.charCodeAt(0)));

const syncMessage = 0x53;
const flushMessage = 0x48;
/** What an object of a row and each of its values weigh besides their bytes. */
const rowWeight = 96;
const valueWeight = 24;
const messageWeight = 256;
/** A query is answered by one error; another may come when the server is shut down just then. */
const maxErrors = 8;

/**
 * Follows the answers of one connection: idle ⇄ answering, by the ReadyForQuery messages that are
 * due.
 */
export class AnswerGuard {
  /** ReadyForQuery messages that are due: one for each Query and Sync. */
  #due = 0;
  /** Whether answers were asked for whose ReadyForQuery is asked for later. */
  #flushed = false;
  /** Columns of the rows that may come. */
  #columns: number | undefined;
  /** What has come of the answer, as it weighs in memory. */
  #weight = 0;
  /** Errors since the last ReadyForQuery. */
  #errors = 0;
  readonly #allowances: number[] = [];

  /** Notes what goes to the server: whole messages. */
  sent(messages: Uint8Array): void {
    const view = new DataView(messages.buffer, messages.byteOffset, messages.byteLength);
    for (let at = 0; at + 5 <= messages.length; at += 1 + view.getUint32(at + 1)) {
      const type = view.getUint8(at);
      if (type === frame.query || type === syncMessage) this.#due++;
      this.#flushed = type === flushMessage || this.#flushed && type !== syncMessage;
    }
  }

  /** Allows a larger answer until the returned function is called. */
  allow(bytes: number): () => void {
    this.#allowances.push(bytes);
    return () => void this.#allowances.splice(this.#allowances.indexOf(bytes), 1);
  }

  /**
   * Checks a header before its body is kept.
   *
   * @throws ProtocolError
   */
  header(type: number, length: number): void {
    const asked = this.#due > 0 || this.#flushed && type !== frame.ready;
    if (type !== frame.error && !(asked && answers.has(type))) {
      throw new ProtocolError(
        `it sent a message of type ${describeType(type)} ${
          asked ? "as an answer to a query" : "that nobody asked for"
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
      throw new ProtocolError("it sent more errors than queries were sent to it");
    }
    const most = Math.max(defaultResultBytes, ...this.#allowances);
    if (this.#weight > most) {
      throw new ProtocolError(
        `its answer to one query takes more than ${Math.round(most / 1024 / 1024)} MB of memory`,
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
    throw new ProtocolError("it described rows with a length that does not fit their columns");
  }
  return columns;
}

function checkRow(body: Uint8Array, columns: number | undefined): void {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const count = body.length < 2 ? -1 : view.getUint16(0);
  if (count !== columns) {
    throw new ProtocolError(
      columns === undefined
        ? "it sent a row without describing it"
        : `it described ${columns} columns and sent a row of ${count}`,
    );
  }
  let at = 2;
  for (let column = 0; column < count && at <= body.length; column++) {
    const length = at + 4 <= body.length ? view.getInt32(at) : -2;
    at = length < -1 ? Infinity : at + 4 + Math.max(0, length);
  }
  if (at !== body.length) {
    throw new ProtocolError("it sent a row whose values do not fit into it");
  }
}

function checkParameters(body: Uint8Array): void {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  if (body.length < 2 || body.length !== 2 + 4 * view.getUint16(0)) {
    throw new ProtocolError("it described parameters with a length that does not fit them");
  }
}
