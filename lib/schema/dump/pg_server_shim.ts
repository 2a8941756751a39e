/**
 * Acts as a PostgreSQL server for pg_dump: simulates the login, and forwards everything after it to
 * a real session.
 *
 * Source: PostgreSQL documentation, "54.2. Message Flow" and "54.7. Message Formats".
 *
 * @module
 */
import {
  decodeErrorFields,
  encodeFrame,
  frame,
  FrameScanner,
  type ServerMessage,
  serverMessageFromFields,
  type Session,
} from "../../postgres/internal.ts";

/**
 * Parameters that a server reports at login; libpq uses the version, the encodings and
 * standard_conforming_strings.
 */
const reportedParameters = [
  "server_version",
  "server_encoding",
  "client_encoding",
  "application_name",
  "default_transaction_read_only",
  "in_hot_standby",
  "is_superuser",
  "session_authorization",
  "DateStyle",
  "IntervalStyle",
  "TimeZone",
  "integer_datetimes",
  "standard_conforming_strings",
] as const;

const message = {
  authentication: 0x52, // R
  parameterStatus: 0x53, // S
  sync: 0x53, // S, from the client
  terminate: 0x58, // X
} as const;

const protocol3 = 3 << 16;
const encoder = new TextEncoder();

/**
 * States: awaiting the startup packet → logged in. Bytes may be split anywhere: libpq flushes every
 * 8 kB.
 */
export class PgServerShim {
  readonly #session: Session;
  readonly #parameters: ReadonlyMap<string, string>;
  #loggedIn = false;
  #pending: Uint8Array = new Uint8Array(0);
  /** The server's last error, which made pg_dump fail. */
  lastError: ServerMessage | undefined;

  private constructor(session: Session, parameters: ReadonlyMap<string, string>) {
    this.#session = session;
    this.#parameters = parameters;
  }

  /** Reads from the session the parameters that the login will report. */
  static async for(session: Session): Promise<PgServerShim> {
    const rows = await session.query<{ name: string; setting: string | null }>(`
      SELECT name, coalesce(pg_catalog.current_setting(name, true),
                            CASE name WHEN 'in_hot_standby' THEN
                              CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'on' ELSE 'off' END END) AS setting
        FROM pg_catalog.unnest(pg_catalog.string_to_array('${
      reportedParameters.join(",")
    }', ',')) AS name`);
    return new PgServerShim(
      session,
      new Map(rows.flatMap(({ name, setting }) => setting === null ? [] : [[name, setting]])),
    );
  }

  /**
   * Takes bytes of the client and resolves to the reply, which is empty until a request is
   * complete.
   */
  async answer(bytes: Uint8Array): Promise<Uint8Array> {
    this.#pending = concatenate([this.#pending, bytes]);
    if (!this.#loggedIn) return this.#login();
    const end = this.#requestEnd();
    if (end === undefined) return new Uint8Array(0);
    const request = this.#pending.slice(0, end);
    this.#pending = this.#pending.slice(end);
    // the session is closed by its owner
    if (request[0] === message.terminate) return new Uint8Array(0);
    const reply = await this.#session.exchange(request);
    this.#noteError(reply);
    return reply;
  }

  #login(): Uint8Array {
    const view = new DataView(this.#pending.buffer, this.#pending.byteOffset);
    if (this.#pending.length < 8 || this.#pending.length < view.getInt32(0)) {
      return new Uint8Array(0);
    }
    const version = view.getInt32(4);
    this.#pending = this.#pending.slice(view.getInt32(0));
    // a request for encryption: refuse it
    if (version < protocol3 || version >= 4 << 16) return encoder.encode("N");
    this.#loggedIn = true;
    const authenticated = encodeFrame(message.authentication, new Uint8Array(4));
    const parameters = [...this.#parameters].map(([name, value]) =>
      encodeFrame(message.parameterStatus, encoder.encode(`${name}\0${value}\0`))
    );
    const ready = encodeFrame(frame.ready, encoder.encode("I"));
    const key = encodeFrame(frame.keyData, new Uint8Array(8));
    return concatenate([authenticated, ...parameters, key, ready]);
  }

  /** Position after the last complete Query, Sync or Terminate message. */
  #requestEnd(): number | undefined {
    const view = new DataView(this.#pending.buffer, this.#pending.byteOffset, this.#pending.length);
    let end: number | undefined;
    for (let at = 0; at + 5 <= view.byteLength;) {
      const type = view.getUint8(at);
      at += 1 + view.getInt32(at + 1);
      if (at > view.byteLength) break;
      if (type === frame.query || type === message.sync || type === message.terminate) end = at;
    }
    return end;
  }

  #noteError(reply: Uint8Array): void {
    new FrameScanner({
      message: (type, body) => {
        if (type === frame.error) this.lastError = serverMessageFromFields(decodeErrorFields(body));
      },
    }).push(reply);
  }
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const [first, second] = parts;
  if (parts.length === 2 && first?.length === 0 && second !== undefined) return second;
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
