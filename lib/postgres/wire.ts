/**
 * One connection shared in turn by the driver and by us.
 *
 * postgres.js does authentication and queries over {@linkcode Wire.driverSocket}. While the driver is idle the wire can be taken over:
 * then whole protocol exchanges (COPY, the traffic of an embedded pg_dump) run past it, from ReadyForQuery to
 * ReadyForQuery, and it never sees a byte of them.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";
import { frame, FrameScanner } from "./frames.ts";
import type { Transport } from "./transport.ts";

/** Each read and write has a cost of its own; pages that no read fills stay untouched. */
const plainBufferBytes = 1024 * 1024;
/** TLS hands over less at a time. */
const tlsBufferBytes = 256 * 1024;

/** Receives what the server sends; reading goes on when the promise resolves. The view is valid until then. */
export type Receiver = (chunk: Uint8Array) => void | Promise<void>;

/** Key of a backend for a CancelRequest. */
export interface BackendKey {
  readonly processId: number;
  readonly bytes: Uint8Array;
}

/**
 * States: driving (bytes go to the driver) ⇄ taken (bytes go to the receiver of {@linkcode take}) → closed, for good.
 */
export class Wire {
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
  /** From the start of the session, for cancelling. */
  backendKey: BackendKey | undefined;
  /** The stream that postgres.js talks to. */
  readonly driverSocket: DriverSocket;

  constructor(transport: Transport) {
    this.#transport = transport;
    this.driverSocket = new DriverSocket(this);
    this.#receiveWithKey();
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
   * Sends what comes to a receiver instead of the driver: nowhere until there is one. The driver must be idle.
   *
   * @param onBroken told when the connection ends meanwhile
   * @returns `receive` sets the receiver; `giveBack` gives the wire back to the driver: the exchange must have come to ReadyForQuery
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
    this.driverSocket.receive(chunk);
  }

  /** Looks at the first frames for BackendKeyData, which the driver keeps to itself. */
  #receiveWithKey(): void {
    const scanner = new FrameScanner({
      message: (type, body) => {
        if (type === frame.keyData) {
          const bytes = body.slice();
          this.backendKey = { processId: new DataView(bytes.buffer).getInt32(0), bytes };
        } else if (type === frame.ready) this.#receiver = undefined;
      },
    });
    this.#receiver = (chunk) => {
      scanner.push(chunk);
      this.driverSocket.receive(chunk);
    };
  }
}

/** As much of `net.Socket` as postgres.js uses. */
class DriverSocket extends EventEmitter {
  readonly #wire: Wire;
  readyState: "open" | "closed" = "open";

  constructor(wire: Wire) {
    super();
    this.#wire = wire;
  }

  /** Hands a copy to the driver, which keeps views of what it gets. */
  receive(chunk: Uint8Array): void {
    this.emit("data", Buffer.from(chunk));
  }

  closed(reason: Error | undefined): void {
    if (this.readyState === "closed") return;
    this.readyState = "closed";
    if (reason !== undefined && this.listenerCount("error") > 0) this.emit("error", reason);
    this.emit("close", reason !== undefined);
  }

  write(bytes: Uint8Array, done?: (error?: Error) => void): boolean {
    this.#wire.write(bytes).then(() => done?.(), (error) => done?.(error));
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
