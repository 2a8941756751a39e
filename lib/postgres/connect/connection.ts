/**
 * One connection shared in turn by the driver and by us.
 *
 * postgres.js runs queries over {@linkcode Connection.driverSocket}; what a server answers is
 * checked before it gets there. While the driver is idle the wire can be taken over: then whole
 * protocol exchanges (COPY, the traffic of an embedded pg_dump) run past it, from ReadyForQuery to
 * ReadyForQuery, and it never sees a byte of them.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";
import { AnswerGuard } from "../protocol/answer_guard.ts";
import { encodeFrame, frame, FrameScanner } from "../protocol/frames.ts";
import type { BackendKey, Started } from "./start_session.ts";
import type { Transport } from "./transport.ts";

/** Each read and write has a cost of its own; pages that no read fills stay untouched. */
const plainBufferBytes = 1024 * 1024;
/** TLS hands over less at a time. */
const tlsBufferBytes = 256 * 1024;

/**
 * Receives what the server sends; reading goes on when the promise resolves. The view is valid
 * until then.
 */
export type Receiver = (chunk: Uint8Array) => void | Promise<void>;

/** What an exchange may do with the connection it has taken over. */
export interface ExchangeWire {
  write(bytes: Uint8Array): Promise<void>;
  /** Sets who gets what the server sends. */
  receive(receiver: Receiver): void;
}

/**
 * States: driving (bytes go to the driver) ⇄ taken (bytes go to the receiver of {@linkcode take}) →
 * closed, for good.
 */
export class Connection {
  readonly #transport: Transport;
  readonly #closed = Promise.withResolvers<void>();
  #receiver: Receiver | undefined;
  #onBroken: ((reason: Error) => void) | undefined;
  #writes: Promise<void> = Promise.resolve();
  #state: "open" | "closed" = "open";
  #failure: Error | undefined;
  /** Writes that have not been taken yet. */
  #unwritten = 0;
  /** Whether bytes would be read if any came: not while the receiver holds the reading back. */
  #listening = false;
  #movedMs = performance.now();
  /** For cancelling; undefined when the server gave none. */
  readonly backendKey: BackendKey | undefined;
  /** The stream that postgres.js talks to. */
  readonly driverSocket: DriverSocket;
  readonly #guard = new AnswerGuard();
  readonly #answers = new FrameScanner({
    header: (type, length) => this.#guard.header(type, length),
    message: (type, body, { whole, own }) => {
      this.#guard.message(type, body);
      this.driverSocket.receive(whole, own);
    },
  });

  /** @param transport a session that the server has let in, see `startSession` */
  constructor(transport: Transport, { backendKey }: Started) {
    this.#transport = transport;
    this.backendKey = backendKey;
    this.driverSocket = new DriverSocket(this);
    void this.#pump();
  }

  /** Whether TLS protects it. */
  get encrypted(): boolean {
    return this.#transport.encrypted;
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Resolves when nothing more will come. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Why the connection was closed, where there was a reason. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** When a byte last went either way: `performance.now()`. */
  get movedMs(): number {
    return this.#movedMs;
  }

  /** Whether bytes wait for the other end to take them. */
  get isWriting(): boolean {
    return this.#unwritten > 0;
  }

  /** Whether what comes would be read at once. */
  get isListening(): boolean {
    return this.#listening;
  }

  /** Messages of the driver. */
  writeQuery(messages: Uint8Array): Promise<void> {
    this.#guard.sent(messages);
    return this.write(messages);
  }

  /** Allows larger answers to the driver's queries until the returned function is called. */
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
      this.#movedMs = performance.now();
    });
    this.#writes = written.catch((error) => this.close(error));
    return written;
  }

  /**
   * Sends what comes to a receiver instead of the driver: nowhere until there is one. The driver
   * must be idle.
   *
   * @param onBroken told when the connection ends meanwhile
   * @returns `receive` sets the receiver; `giveBack` gives the wire back to the driver: the
   * exchange must have come to ReadyForQuery
   */
  take(onBroken: (reason: Error) => void): {
    readonly receive: (receiver: Receiver) => void;
    readonly giveBack: () => void;
  } {
    if (this.#receiver !== undefined) throw new Error("the wire is taken already");
    if (this.#state === "closed") throw this.#failure ?? new Error("the connection is closed");
    this.#receiver = () => {};
    this.#onBroken = onBroken;
    return {
      receive: (receiver) => this.#receiver = receiver,
      giveBack: () => {
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

  /** Reads as fast as the receiver takes, one chunk ahead of it. */
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
        this.#movedMs = performance.now();
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
 * What the driver gets for its startup packet: the session is open already, and nobody's password
 * is needed.
 */
const greeting = [
  encodeFrame(frame.authentication, new Uint8Array(4)),
  encodeFrame(frame.ready, new Uint8Array([0x49])), // I: idle
];

/** Whole messages are handed over together up to this size. */
const batchBytes = 64 * 1024;

/** As much of `net.Socket` as postgres.js uses. */
class DriverSocket extends EventEmitter {
  readonly #wire: Connection;
  readyState: "open" | "closed" = "open";
  #started = false;
  readonly #batch = new Uint8Array(batchBytes);
  #batched = 0;

  constructor(wire: Connection) {
    super();
    this.#wire = wire;
  }

  /**
   * Takes a whole message for the driver, which keeps views of what it gets: a copy, unless the
   * message is its own.
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

  /** Hands over what has been taken. */
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
    } else this.#wire.writeQuery(bytes).then(() => done?.(), (error) => done?.(error));
    return true;
  }

  end(bytes?: Uint8Array): void {
    const last = bytes === undefined ? Promise.resolve() : this.#wire.write(bytes);
    last.catch(() => {}).then(() => this.#wire.close());
  }

  destroy(): void {
    this.#wire.close();
  }

  pause(): void {}

  resume(): void {}

  setKeepAlive(): void {}
}
