/**
 * Starts a session: startup packet, authentication, and messages up to the first ReadyForQuery.
 *
 * Not left to the driver, which sends a password in whatever form the server requests, accepts
 * AuthenticationOk at any time, and checks neither the server's nonce nor the order of its
 * messages.
 *
 * Source: PostgreSQL documentation, "54.2.1. Start-up" and "54.7. Message Formats".
 *
 * @module
 */
import { type Endpoint, passwordFor } from "./endpoint.ts";
import { decodeErrorFields, frame, FrameScanner } from "../protocol/frames.ts";
import { Login } from "./login.ts";
import { StartupRefusedError } from "./login_error.ts";
import { describeType, ProtocolError, startupBytes } from "../protocol/message_limits.ts";
import { serverMessageFromFields } from "../protocol/server_message.ts";
import type { Transport } from "./transport.ts";
import type { HostPort } from "./url.ts";

/** Key of a backend, for a CancelRequest. */
export interface BackendKey {
  readonly processId: number;
  readonly bytes: Uint8Array;
}

/** A started session. */
export interface Started {
  /** Undefined when the server sent none. */
  readonly backendKey: BackendKey | undefined;
}

/** Parameters of a session. */
export interface StartOptions {
  readonly endpoint: Endpoint;
  readonly place: HostPort;
  /** Further parameters of the startup packet, such as settings. */
  readonly parameters: Readonly<Record<string, string>>;
}

/**
 * Starts a session and authenticates as the endpoint's rules allow.
 *
 * @throws StartupRefusedError when the server rejects it, LoginError when the server requests what
 * is not allowed, ProtocolError when it violates the protocol
 */
export async function startSession(
  transport: Transport,
  { endpoint, place, parameters }: StartOptions,
): Promise<Started> {
  const messages = new MessageReader(transport);
  const login = new Login({
    user: endpoint.user,
    rules: endpoint.login,
    password: () => passwordFor(endpoint, place),
    certificateHash: transport.certificateHash,
    encrypted: transport.encrypted,
  });
  login.refuseBeforehand();
  await transport.write(startupPacket({
    user: endpoint.user,
    database: endpoint.database,
    client_encoding: "UTF8",
    ...parameters,
  }));
  let backendKey: BackendKey | undefined;
  while (true) {
    const { type, body } = await messages.next();
    if (type === frame.error) {
      throw new StartupRefusedError(serverMessageFromFields(decodeErrorFields(body)));
    }
    if (type === frame.authentication) {
      const answer = await login.answer(body);
      if (answer !== undefined) await transport.write(answer);
    } else if (type === frame.keyData && login.isDone && body.length >= 8) {
      const bytes = body.slice();
      backendKey = { processId: new DataView(bytes.buffer).getInt32(0), bytes };
    } else if (type === frame.ready && login.isDone) {
      await messages.expectNothingMore();
      return { backendKey };
    } else {
      throw new ProtocolError(
        `it sent a message of type ${describeType(type)} during session startup`,
      );
    }
  }
}

const protocol3 = 196608;

function startupPacket(parameters: Readonly<Record<string, string>>): Uint8Array {
  const text = Object.entries(parameters).map(([name, value]) => `${name}\0${value}\0`).join("");
  const body = new TextEncoder().encode(`${text}\0`);
  const packet = new Uint8Array(8 + body.length);
  const view = new DataView(packet.buffer);
  view.setInt32(0, packet.length);
  view.setInt32(4, protocol3);
  packet.set(body, 8);
  return packet;
}

interface ReceivedMessage {
  readonly type: number;
  readonly body: Uint8Array;
}

/** Reads whole messages, one after the other. */
class MessageReader {
  readonly #transport: Transport;
  readonly #buffer = new Uint8Array(16 * 1024);
  readonly #received: ReceivedMessage[] = [];
  #bytes = 0;
  readonly #scanner = new FrameScanner({
    message: (type, body) => void this.#received.push({ type, body: body.slice() }),
  });

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async next(): Promise<ReceivedMessage> {
    while (true) {
      const message = this.#received.shift();
      if (message !== undefined) return message;
      await this.#read();
    }
  }

  /**
   * After ReadyForQuery: part of a notice may have arrived, anything else is unsolicited.
   */
  async expectNothingMore(): Promise<void> {
    while (!this.#scanner.atBoundary) await this.#read();
    const [first] = this.#received;
    if (first === undefined) return;
    throw new ProtocolError(
      `it sent an unsolicited message of type ${describeType(first.type)}`,
    );
  }

  async #read(): Promise<void> {
    const count = await this.#transport.read(this.#buffer);
    if (count === null) throw new Error("the server closed the connection");
    this.#bytes += count;
    if (this.#bytes > startupBytes) {
      throw new ProtocolError(
        `it sent more than ${startupBytes / 1024 / 1024} MB during session startup`,
      );
    }
    this.#scanner.push(this.#buffer.subarray(0, count));
  }
}
