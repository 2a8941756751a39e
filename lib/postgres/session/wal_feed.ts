/**
 * Receives what a walsender streams, and reports back how much of it is durable elsewhere.
 *
 * Source: PostgreSQL documentation, "54.4. Streaming Replication Protocol".
 *
 * @module
 */
import type { Lsn } from "../../core/internal.ts";
import type { ExchangeConnection } from "../connect/connection.ts";
import { ConnectionError, ServerError } from "../connect/server_error.ts";
import {
  decodeErrorFields,
  encodeFrame,
  encodeQuery,
  frame,
  type FramePlace,
  FrameScanner,
} from "../protocol/frames.ts";
import { ProtocolError } from "../protocol/message_limits.ts";
import { serverMessageFromFields } from "../protocol/server_message.ts";
import type { Session } from "./session.ts";

/** What {@linkcode receiveWal} takes besides the session. */
export interface WalFeedOptions {
  /** The command that starts streaming: `START_REPLICATION SLOT … LOGICAL …`. */
  readonly command: string;
  /**
   * Takes one message of the output plugin, whose bytes may be kept; the place is valid during the
   * call.
   *
   * @throws whatever ends the feed
   */
  readonly onMessage: (message: FramePlace) => void;
  /** Takes the position up to which the source has sent everything that it had. */
  readonly onKeepalive: (walEnd: Lsn) => void;
  /** Called after each chunk of the network: the next one is read once the promise resolves. */
  readonly pace: () => Promise<void> | undefined;
  /** The position up to which everything is durable: the slot need not deliver it again. */
  readonly durable: () => Lsn;
}

/** Makes the feed report at once. */
export interface WalFeed {
  /** Reports the durable position to the source; never throws. */
  readonly acknowledge: () => void;
}

/** Shorter than any sensible `wal_sender_timeout` (60 s by default). */
const statusIntervalMs = 10_000;

/** XLogData: letter, start, end, clock. */
const dataHeaderBytes = 25;

/** Keepalive: letter, end, clock, whether a reply is due. */
const keepaliveBytes = 18;

/**
 * Streams until the connection ends, which is the only end: it never resolves. The session must be
 * a walsender of its own, and is closed.
 *
 * @param onStarted called once streaming has begun
 * @throws ServerError if the server refuses or ends the stream, ConnectionError if the connection
 * ends, ProtocolError for a message that a walsender never sends
 */
export async function receiveWal(
  session: Session,
  options: WalFeedOptions,
  onStarted: (feed: WalFeed) => void,
): Promise<never> {
  let feed: Feed | undefined;
  // not in the exchange, which does not end if the connection does
  const timer = setInterval(() => feed?.report(true), statusIntervalMs);
  try {
    return await session.exclusive<never>((connection) => {
      feed = new Feed(session, { ...options, connection, onStarted });
      return feed.run();
    }, () => feed?.awaitsReply ?? true);
  } finally {
    clearInterval(timer);
  }
}

interface OpenedFeed extends WalFeedOptions {
  readonly connection: ExchangeConnection;
  readonly onStarted: (feed: WalFeed) => void;
}

class Feed {
  readonly #session: Session;
  readonly #options: OpenedFeed;
  readonly #failed = Promise.withResolvers<never>();
  /** Reused for each message. */
  readonly #message = { view: new DataView(new ArrayBuffer(0)), start: 0, end: 0 };
  #isStarted = false;
  /** The durable position that was reported last. */
  #reported: Lsn = 0n;
  /** Whether a reply to the last status was requested and has not come. */
  awaitsReply = true;

  constructor(session: Session, options: OpenedFeed) {
    this.#session = session;
    this.#options = options;
  }

  async run(): Promise<never> {
    const { connection, command, pace } = this.#options;
    const scanner = FrameScanner.inPlace({ place: (type, place) => this.#take(type, place) });
    connection.receive((chunk) => {
      scanner.push(chunk.slice()); // the messages stay in it
      return pace();
    });
    await connection.write(encodeQuery(command));
    return await this.#failed.promise;
  }

  #take(type: number, place: FramePlace): void {
    try {
      if (type === frame.copyData && this.#isStarted) this.#takeData(place);
      else if (type === frame.copyBoth && !this.#isStarted) this.#start();
      else if (type === frame.error) {
        const { view, start, end } = place;
        const body = new Uint8Array(view.buffer, start, end - start);
        throw new ServerError(serverMessageFromFields(decodeErrorFields(body)), {
          side: this.#session.side,
          object: this.#session.endpoint.database,
        });
      } else if (type === frame.copyDone || type === frame.commandComplete) {
        throw new ConnectionError("the server has ended the stream of changes", {
          endpoint: this.#session.endpoint,
          transient: true,
        });
      } else {
        throw new ProtocolError(`it sent a message of type ${type} in a stream of changes`);
      }
    } catch (error) {
      this.#failed.reject(error);
      throw error;
    }
  }

  #start(): void {
    this.#isStarted = true;
    this.awaitsReply = false;
    this.#options.onStarted({ acknowledge: () => this.report(false) });
  }

  #takeData({ view, start, end }: FramePlace): void {
    const letter = end > start ? view.getUint8(start) : 0;
    this.awaitsReply = false;
    if (letter === 0x77 && end - start > dataHeaderBytes) { // w
      const message = this.#message;
      message.view = view;
      message.start = start + dataHeaderBytes;
      message.end = end;
      this.#options.onMessage(message);
    } else if (letter === 0x6b && end - start === keepaliveBytes) { // k
      this.#options.onKeepalive(view.getBigUint64(start + 1));
      // the source waits for nothing else before it considers everything confirmed
      const isNews = this.#options.durable() > this.#reported;
      if (isNews || view.getUint8(end - 1) === 1) this.report(false);
    } else throw new ProtocolError("it sent a malformed message in a stream of changes");
  }

  /** Sends a standby status update. */
  report(asksReply: boolean): void {
    if (!this.#isStarted) return;
    const body = new Uint8Array(34);
    const view = new DataView(body.buffer);
    const durable = this.#options.durable();
    this.#reported = durable;
    body[0] = 0x72; // r
    view.setBigUint64(1, durable); // received
    view.setBigUint64(9, durable); // durable
    view.setBigUint64(17, durable); // applied
    view.setBigInt64(25, BigInt(Date.now() - postgresEpochMs) * 1000n);
    body[33] = asksReply ? 1 : 0;
    if (asksReply) this.awaitsReply = true;
    // a connection that has ended rejects the exchange itself
    this.#options.connection.write(encodeFrame(frame.copyData, body)).catch(() => {});
  }
}

const postgresEpochMs = Date.UTC(2000, 0, 1);
