/**
 * One connection used in turn by the driver and by exchanges of the tool.
 *
 * postgres.js runs queries over {@linkcode Connection.driverSocket}; the server's answers are
 * checked before they get there. While the driver is idle the connection can be acquired for whole
 * protocol exchanges (COPY, the traffic of an embedded pg_dump), from ReadyForQuery to
 * ReadyForQuery, of which the driver never sees a byte.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";
import { AnswerGuard } from "../protocol/answer_guard.ts";
import { encodeFrame, frame, FrameScanner } from "../protocol/frames.ts";
import type { BackendKey, Started } from "./start_session.ts";
import type { Transport } from "./transport.ts";

/** Large, because each read and write has a fixed cost; unused pages stay untouched. */
const plainBufferBytes = 1024 * 1024;
/** TLS delivers less at a time. */
const tlsBufferBytes = 256 * 1024;

/**
 * Receives what the server sends. Reading continues when the promise resolves; the view is valid
 * until then.
 */
export type Receiver = (chunk: Uint8Array) => void | Promise<void>;

/** A connection acquired for an exchange. */
export interface ExchangeConnection {
  /** Sends bytes to the server; resolves when the socket has accepted them. */
  write(bytes: Uint8Array): Promise<void>;
  /** Sets the receiver of what the server sends. */
  receive(receiver: Receiver): void;
}

/**
 * States: driving (bytes go to the driver) ⇄ acquired (bytes go to the receiver of {@linkcode
 * acquire}) → closed, which is final.
 */
export class Connection {
  readonly #transport: Transport;
  readonly #closed = Promise.withResolvers<void>();
  #receiver: Receiver | undefined;
  #onBroken: ((reason: Error) => void) | undefined;
  #writes: Promise<void> = Promise.resolve();
  #state: "open" | "closed" = "open";
  #failure: Error | undefined;
  /** Writes not accepted yet. */
  #unwritten = 0;
  /** Whether incoming bytes would be read: not while the receiver applies backpressure. */
  #listening = false;
  #lastActivityMs = performance.now();
  /** For cancel requests; undefined when the server sent none. */
  readonly backendKey: BackendKey | undefined;
  /** The socket of postgres.js. */
  readonly driverSocket: DriverSocket;
  readonly #guard = new AnswerGuard();
  readonly #answers = new FrameScanner({
    header: (type, length) => this.#guard.header(type, length),
    message: (type, body, { whole, own }) => {
      this.#guard.message(type, body);
      this.driverSocket.receive(whole, own);
    },
  });

  /** @param transport a session started by `startSession` */
  constructor(transport: Transport, { backendKey }: Started) {
    this.#transport = transport;
    this.backendKey = backendKey;
    this.driverSocket = new DriverSocket(this);
    void this.#pump();
  }

  /** Whether TLS protects the connection. */
  get encrypted(): boolean {
    return this.#transport.encrypted;
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Resolves when the connection has closed. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Why the connection was closed, if it failed. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** When bytes last went either way, by `performance.now()`. */
  get lastActivityMs(): number {
    return this.#lastActivityMs;
  }

  /** Whether written bytes have not been accepted yet. */
  get isWriting(): boolean {
    return this.#unwritten > 0;
  }

  /** Whether incoming bytes would be read at once. */
  get isListening(): boolean {
    return this.#listening;
  }

  /** Writes messages of the driver. */
  writeQuery(messages: Uint8Array): Promise<void> {
    this.#guard.sent(messages);
    return this.write(messages);
  }

  /** Raises the limit of the driver's results until the returned function is called. */
  allowResult(bytes: number): () => void {
    return this.#guard.allow(bytes);
  }

  /** Writes after everything written before. */
  write(bytes: Uint8Array): Promise<void> {
    this.#unwritten++;
    const written = this.#writes.then(async () => {
      if (this.#state === "closed") throw this.#failure ?? new Error("the connection is closed");
      await this.#transport.write(bytes);
      this.#unwritten--;
      this.#lastActivityMs = performance.now();
    });
    this.#writes = written.catch((error) => this.close(error));
    return written;
  }

  /**
   * Diverts incoming bytes from the driver, which must be idle, to a receiver; they are discarded
   * until one is set.
   *
   * @param onBroken called when the connection ends meanwhile
   * @returns `receive` sets the receiver; `release` returns the connection to the driver, once the
   * exchange has reached ReadyForQuery
   */
  acquire(onBroken: (reason: Error) => void): {
    readonly receive: (receiver: Receiver) => void;
    readonly release: () => void;
  } {
    if (this.#receiver !== undefined) {
      throw new Error("the connection is in use by another exchange");
    }
    if (this.#state === "closed") throw this.#failure ?? new Error("the connection is closed");
    this.#receiver = () => {};
    this.#onBroken = onBroken;
    return {
      receive: (receiver) => this.#receiver = receiver,
      release: () => {
        this.#receiver = undefined;
        this.#onBroken = undefined;
      },
    };
  }

  /** Closes at once. */
  close(reason?: Error): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#failure = reason;
    this.#transport.close();
    this.#onBroken?.(reason ?? new Error("the connection was closed"));
    this.driverSocket.closed(reason);
    this.#closed.resolve();
  }

  /** Reads at the receiver's pace, one chunk ahead. */
  async #pump(): Promise<void> {
    const size = this.encrypted ? tlsBufferBytes : plainBufferBytes;
    const buffers = [new Uint8Array(size), new Uint8Array(size)] as const;
    let delivery: void | Promise<void> = undefined;
    try {
      for (let turn = 0; this.#state === "open"; turn ^= 1) {
        const buffer = buffers[turn === 0 ? 0 : 1];
        this.#listening = true;
        const count = await this.#transport.read(buffer);
        this.#listening = false;
        this.#lastActivityMs = performance.now();
        await delivery;
        if (count === null) break;
        delivery = this.#deliver(buffer.subarray(0, count));
      }
      this.close();
    } catch (error) {
      this.close(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #deliver(chunk: Uint8Array): void | Promise<void> {
    if (this.#receiver !== undefined) return this.#receiver(chunk);
    this.#answers.push(chunk);
    this.driverSocket.flush();
  }
}

/**
 * Answer to the driver's startup packet: the session is open already, and no password is needed.
 */
const greeting = [
  encodeFrame(frame.authentication, new Uint8Array(4)),
  encodeFrame(frame.ready, new Uint8Array([0x49])), // I: idle
];

/** Whole messages are passed on together up to this size. */
const batchBytes = 64 * 1024;

/** The part of `net.Socket` that postgres.js uses. */
class DriverSocket extends EventEmitter {
  readonly #connection: Connection;
  readyState: "open" | "closed" = "open";
  #started = false;
  readonly #batch = new Uint8Array(batchBytes);
  #batched = 0;

  constructor(connection: Connection) {
    super();
    this.#connection = connection;
  }

  /**
   * Takes a whole message for the driver. The driver keeps views of it, so it is copied unless it
   * may be kept (`own`).
   */
  receive(message: Uint8Array, own: boolean): void {
    if (this.#batched + message.length > batchBytes) this.flush();
    if (message.length > batchBytes) {
      this.emit(
        "data",
        own
          ? Buffer.from(message.buffer, message.byteOffset, message.length)
          : Buffer.from(message),
      );
    } else {
      this.#batch.set(message, this.#batched);
      this.#batched += message.length;
    }
  }

  /** Passes buffered messages on. */
  flush(): void {
    if (this.#batched === 0) return;
    const messages = Buffer.from(this.#batch.subarray(0, this.#batched));
    this.#batched = 0;
    this.emit("data", messages);
  }

  closed(reason: Error | undefined): void {
    if (this.readyState === "closed") return;
    this.readyState = "closed";
    if (reason !== undefined && this.listenerCount("error") > 0) this.emit("error", reason);
    this.emit("close", reason !== undefined);
  }

  write(bytes: Uint8Array, done?: (error?: Error) => void): boolean {
    if (!this.#started) {
      // the startup packet
      this.#started = true;
      queueMicrotask(() => this.emit("data", Buffer.concat(greeting)));
    } else this.#connection.writeQuery(bytes).then(() => done?.(), (error) => done?.(error));
    return true;
  }

  end(bytes?: Uint8Array): void {
    const last = bytes === undefined ? Promise.resolve() : this.#connection.write(bytes);
    last.catch(() => {}).then(() => this.#connection.close());
  }

  destroy(): void {
    this.#connection.close();
  }

  pause(): void {}

  resume(): void {}

  setKeepAlive(): void {}
}
