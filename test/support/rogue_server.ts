import { encodeFrame } from "../../lib/postgres/protocol/frames.ts";

const encoder = new TextEncoder();

/**
 * One connection to a {@linkcode RogueServer}, as seen by the server. Writes wait until the client
 * has received the bytes.
 */
export class RogueConnection {
  readonly #connection: Deno.Conn;
  #buffered = new Uint8Array(0);

  readonly #onSession: () => void;

  constructor(connection: Deno.Conn, onSession: () => void) {
    this.#connection = connection;
    this.#onSession = onSession;
  }

  /** Writes raw bytes. */
  async send(...parts: readonly Uint8Array[]): Promise<void> {
    for (const part of parts) {
      for (let at = 0; at < part.length;) at += await this.#connection.write(part.subarray(at));
    }
  }

  /** Reads the startup packet; requests for TLS are declined. */
  async startup(): Promise<void> {
    while (true) {
      const length = new DataView((await this.#read(4)).buffer).getInt32(0);
      const body = await this.#read(length - 4);
      const code = new DataView(body.buffer).getInt32(0);
      if (code >> 16 === 3) {
        this.#onSession();
        return;
      }
      if (code === 80877102) throw new Error("a cancel request");
      await this.send(encoder.encode("N"));
    }
  }

  /** Reads a message: its type and what follows the length. */
  async message(): Promise<{ readonly type: string; readonly body: Uint8Array }> {
    const header = await this.#read(5);
    const length = new DataView(header.buffer).getInt32(1);
    return { type: String.fromCharCode(header[0] ?? 0), body: await this.#read(length - 4) };
  }

  /**
   * Accepts the login like a server of version 16, and answers the first queries of every session.
   */
  async letIn(): Promise<void> {
    await this.startup();
    await this.send(authentication(0), frame("K", new Uint8Array(8)), ready);
    await this.answerFirstQuery();
  }

  async answerFirstQuery(): Promise<void> {
    await this.message();
    const row: readonly (readonly [string, number, string])[] = [
      ["server_version", 23, "160000"],
      ["pid", 23, "1"],
      ["server_start", 25, "1"],
      ["opened_at", 25, "2"],
      ["in_recovery", 16, "f"],
      ["read_only", 25, "off"],
      ["event_triggers", 25, "off"],
    ];
    await this.send(
      commandComplete("SET"),
      rowDescription(row.map(([name, type]) => [name, type])),
      dataRow(row.map(([, , value]) => value)),
      commandComplete("SELECT 1"),
      ready,
    );
  }

  close(): void {
    this.#connection.close();
  }

  async #read(count: number): Promise<Uint8Array<ArrayBuffer>> {
    while (this.#buffered.length < count) {
      const chunk = new Uint8Array(64 * 1024);
      const come = await this.#connection.read(chunk);
      if (come === null) throw new Error("the client closed the connection");
      const joined = new Uint8Array(this.#buffered.length + come);
      joined.set(this.#buffered);
      joined.set(chunk.subarray(0, come), this.#buffered.length);
      this.#buffered = joined;
    }
    const result = this.#buffered.slice(0, count);
    this.#buffered = this.#buffered.slice(count);
    return result;
  }
}

/** A server that speaks the PostgreSQL protocol, correctly or not. */
export class RogueServer implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections = new Set<Promise<void>>();
  readonly #open = new Set<Deno.Conn>();
  /** Sessions requested so far, excluding cancel requests. */
  sessions = 0;

  /** @param behave handles each connection; the client may close it */
  constructor(behave: (connection: RogueConnection) => Promise<void>) {
    void this.#accept(behave);
  }

  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  /** A URL with a password. */
  url(parameters = "sslmode=disable"): string {
    return `postgresql://app:the-password@127.0.0.1:${this.port}/db?${parameters}`;
  }

  async #accept(behave: (connection: RogueConnection) => Promise<void>): Promise<void> {
    for await (const connection of this.#listener) {
      this.#open.add(connection);
      const handled = behave(new RogueConnection(connection, () => this.sessions++))
        .catch(() => {}) // the client has closed it, as it should
        .finally(() => {
          this.#open.delete(connection);
          try {
            connection.close();
          } catch { /* it was closed already */ }
          this.#connections.delete(handled);
        });
      this.#connections.add(handled);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of this.#open) connection.close();
    await Promise.all(this.#connections);
  }
}

/** A backend message. */
export function frame(type: string, body: Uint8Array): Uint8Array {
  return encodeFrame(type.charCodeAt(0), body);
}

/** A header with any length word. */
export function header(type: string, length: number): Uint8Array {
  const bytes = new Uint8Array(5);
  bytes[0] = type.charCodeAt(0);
  new DataView(bytes.buffer).setInt32(1, length);
  return bytes;
}

/** An Authentication message. */
export function authentication(code: number, data = ""): Uint8Array {
  const text = encoder.encode(data);
  const body = new Uint8Array(4 + text.length);
  new DataView(body.buffer).setInt32(0, code);
  body.set(text, 4);
  return frame("R", body);
}

/** ReadyForQuery. */
export const ready = frame("Z", encoder.encode("I"));

/** CommandComplete. */
export function commandComplete(tag: string): Uint8Array {
  return frame("C", encoder.encode(`${tag}\0`));
}

/** ErrorResponse or NoticeResponse. */
export function fields(type: "E" | "N", values: Readonly<Record<string, string>>): Uint8Array {
  const text = Object.entries(values).map(([letter, value]) => `${letter}${value}\0`).join("");
  return frame(type, encoder.encode(`${text}\0`));
}

/** RowDescription. */
export function rowDescription(columns: readonly (readonly [string, number])[]): Uint8Array {
  const parts: number[] = [columns.length >> 8, columns.length & 255];
  for (const [name, type] of columns) {
    const rest = new Uint8Array(18);
    new DataView(rest.buffer).setInt32(6, type);
    parts.push(...encoder.encode(name), 0, ...rest);
  }
  return frame("T", new Uint8Array(parts));
}

/** A DataRow of text values. */
export function dataRow(values: readonly string[]): Uint8Array {
  const parts: number[] = [values.length >> 8, values.length & 255];
  for (const value of values) {
    const bytes = encoder.encode(value);
    const length = new Uint8Array(4);
    new DataView(length.buffer).setInt32(0, bytes.length);
    parts.push(...length, ...bytes);
  }
  return frame("D", new Uint8Array(parts));
}
