/**
 * COPY from one server to another without looking at the rows.
 *
 * CopyData has the same framing in both directions, so the source's rows go to the target byte for
 * byte; only the 5-byte headers are looked at, and left out where rows are put together (see
 * `RowPacker`). Statements are sent ahead of their answers on both sides: while one table's last
 * rows are on their way the next one's COPY waits in the source's queue, and the target's statement
 * is followed by its rows without waiting for CopyInResponse. Many small tables so cost no latency
 * each.
 *
 * That is safe: a server that has refused the statement drops the CopyData and CopyDone that still
 * come ("54.2.6. COPY Operations"), and the implicit transaction of a simple Query makes everything
 * in it one ("54.2.2.1. Multiple Statements in a Simple Query").
 *
 * @module
 */
import { type ReplicatorError } from "../../core/internal.ts";
import {
  copyDone,
  decodeErrorFields,
  decodeTag,
  encodeCopyFail,
  encodeQuery,
  frame,
  FrameScanner,
} from "../protocol/frames.ts";
import { describeType, ProtocolError } from "../protocol/message_limits.ts";
import { RowPacker } from "../protocol/row_packer.ts";
import { ConnectionError, ServerError } from "../connect/server_error.ts";
import { serverMessageFromFields } from "../protocol/server_message.ts";
import type { ExchangeWire } from "../connect/connection.ts";
import type { Session } from "./session.ts";

/** One COPY from source to target. */
export interface CopyJob {
  /** What it is, for errors: the table as a person would write it. */
  readonly name: string;
  /** `COPY … TO STDOUT` */
  readonly copyOut: string;
  /** Statements that contain exactly one `COPY … FROM STDIN`; all of them are one transaction. */
  readonly copyIn: string;
  /** What is expected to come, in bytes: decides how far ahead statements are sent. */
  readonly expectedBytes: number;
}

/** Where the jobs come from and who is told. */
export interface RelayOptions<Job extends CopyJob> {
  /**
   * The next job, or undefined when there is none any more. What is promised has to be given: a job
   * that comes too late is lost.
   */
  readonly next: () => Job | undefined | Promise<Job | undefined>;
  readonly onStarted?: (job: Job) => void;
  /** The source has sent all of the job's rows; whether the target keeps them is not known yet. */
  readonly onSent?: (job: Job, outcome: CopyOutcome) => void;
  /** COPY bytes that the target has taken. */
  readonly onBytes?: (job: Job, bytes: number) => void;
  /**
   * Asked after each chunk of the source: the next one is read when the promise resolves, at once
   * when there is none.
   */
  readonly pace?: ((bytes: number) => Promise<void> | undefined) | undefined;
  /** The job is committed on the target. */
  readonly onFinished: (job: Job, outcome: CopyOutcome) => void;
}

/** What a finished job moved. */
export interface CopyOutcome {
  readonly rows: number;
  /** COPY bytes, framing included. */
  readonly bytes: number;
}

/** Jobs are sent ahead while the ones under way are expected to bring less than this. */
const aheadBytes = 4 * 1024 * 1024;
const aheadJobs = 32;

/**
 * Relays jobs until there are none. Both sessions are taken over meanwhile; the source's should be
 * in a transaction with its snapshot.
 *
 * The first error on either side ends both copies at once: what was not committed is rolled back,
 * both sessions are closed, and the error names the job's object.
 */
export async function relayCopies<Job extends CopyJob>(
  source: Session,
  target: Session,
  options: RelayOptions<Job>,
): Promise<void> {
  let relay: Relay<Job> | undefined;
  try {
    await source.takeOver(
      (sourceWire) =>
        target.takeOver((targetWire) => {
          relay = new Relay({ source, target, sourceWire, targetWire, ...options });
          return relay.run();
        }, () => relay?.awaitsTarget ?? false),
      () => relay?.awaitsSource ?? false,
    );
  } catch (error) {
    // a backend that waits for a lock or works on a row would not notice the closed connection
    await Promise.allSettled([source.cancel(), target.cancel()]);
    await Promise.all([source.close(), target.close()]);
    throw error instanceof ConnectionError ? error.during(nameOf(relay)) : error;
  }
}

/** Read through a function: the compiler does not see the assignment in the callback. */
function nameOf<Job extends CopyJob>(relay: Relay<Job> | undefined): string {
  return relay?.underWay ?? "COPY";
}

interface Progress<Job> {
  readonly job: Job;
  bytes: number;
  sourceRows: number | undefined;
  targetRows: number | undefined;
  /** Set once the statement has gone to the target. */
  sent: boolean;
  error: ReplicatorError | undefined;
}

interface Ends {
  readonly source: Session;
  readonly target: Session;
  readonly sourceWire: ExchangeWire;
  readonly targetWire: ExchangeWire;
}

class Relay<Job extends CopyJob> {
  readonly #options: RelayOptions<Job> & Ends;
  /** Sent to the source, in order; the first is the one whose rows come. */
  readonly #reading: Progress<Job>[] = [];
  /** Sent to the target, in order; the first is the one whose outcome comes. */
  readonly #writing: Progress<Job>[] = [];
  readonly #done = Promise.withResolvers<void>();
  #exhausted = false;
  /** Whether a job is promised that has not come. */
  #asking = false;
  #failed = false;
  #lastWrite: Promise<void> = Promise.resolve();
  /** Bytes of the target's answers to the current job. */
  #answered = 0;
  readonly #packer = new RowPacker({
    rows: (frames) => this.#forward(frames),
    header: limitMessage,
    message: (type, body) => this.#sourceMessage(type, body),
  });

  constructor(options: RelayOptions<Job> & Ends) {
    this.#options = options;
  }

  /** What was being copied, in words. */
  get underWay(): string {
    const [reading] = this.#reading;
    const [writing] = this.#writing;
    const name = (writing ?? reading)?.job.name;
    return name === undefined ? "COPY" : `COPY of table ${name}`;
  }

  /** Whether rows or an answer have to come from the source. */
  get awaitsSource(): boolean {
    return this.#reading.length > 0;
  }

  /** Whether the target has all of a job's rows, and has not answered yet. */
  get awaitsTarget(): boolean {
    return this.#writing[0]?.sourceRows !== undefined;
  }

  async run(): Promise<void> {
    const { sourceWire, targetWire } = this.#options;
    const fromTarget = new FrameScanner({
      header: (type, length) => {
        this.#answered += length;
        limitMessage(type, Math.max(length, this.#answered));
      },
      message: (type, body) => this.#targetMessage(type, body),
    });
    sourceWire.receive((chunk) => {
      this.#packer.push(chunk);
      const pause = this.#options.pace?.(chunk.length);
      // the next chunk is pushed when this one has been taken: backpressure
      return pause === undefined
        ? this.#lastWrite
        : Promise.all([this.#lastWrite, pause]).then(() => {});
    });
    targetWire.receive((chunk) => fromTarget.push(chunk));
    this.#sendAhead();
    await this.#done.promise;
    // the target has answered for everything that was sent; after a failure a write may still be
    // under way
    this.#packer[Symbol.dispose]();
  }

  /** Keeps the source's queue filled as far as small jobs allow. */
  #sendAhead(): void {
    while (!this.#exhausted && !this.#failed && !this.#asking && this.#hasRoom()) {
      const job = this.#options.next();
      if (job instanceof Promise) this.#waitFor(job);
      else this.#begin(job);
    }
    this.#finishWhenIdle();
  }

  #hasRoom(): boolean {
    const expected = this.#reading.reduce(
      (sum, { job, bytes }) => sum + Math.max(0, job.expectedBytes - bytes),
      0,
    );
    return this.#reading.length === 0 ||
      this.#reading.length < aheadJobs && expected <= aheadBytes;
  }

  #waitFor(promised: Promise<Job | undefined>): void {
    this.#asking = true;
    promised.then((job) => {
      this.#asking = false;
      if (this.#failed) return;
      this.#begin(job);
      this.#sendAhead();
    }).catch((error) => {
      this.#failed = true;
      this.#done.reject(error);
    });
  }

  #begin(job: Job | undefined): void {
    if (job === undefined) {
      this.#exhausted = true;
      return;
    }
    this.#reading.push({
      job,
      bytes: 0,
      sourceRows: undefined,
      targetRows: undefined,
      sent: false,
      error: undefined,
    });
    this.#write(this.#options.sourceWire, encodeQuery(job.copyOut));
  }

  #write(wire: ExchangeWire, bytes: Uint8Array): void {
    const written = wire.write(bytes);
    written.catch(() => {}); // the session that broke is reported by its own takeOver
    if (wire === this.#options.targetWire) this.#lastWrite = written.catch(() => {});
  }

  #forward(bytes: Uint8Array): void {
    const [current] = this.#reading;
    if (this.#failed || current?.error !== undefined) return;
    if (!current?.sent) throw unexpected(frame.copyData);
    current.bytes += bytes.length;
    this.#write(this.#options.targetWire, bytes);
    this.#options.onBytes?.(current.job, bytes.length);
  }

  #sourceMessage(type: number, body: Uint8Array): void {
    const [current] = this.#reading;
    if (this.#failed) return;
    if (current === undefined) {
      if (type === frame.error) return; // the backend is being ended; the connection closes next
      throw unexpected(type);
    }
    const { targetWire } = this.#options;
    switch (type) {
      case frame.copyOut:
        if (current.sent) throw unexpected(type);
        current.sent = true;
        this.#writing.push(current);
        this.#options.onStarted?.(current.job);
        this.#write(targetWire, encodeQuery(current.job.copyIn));
        break;
      case frame.copyDone:
        if (!current.sent) throw unexpected(type);
        break;
      case frame.commandComplete:
        if (!current.sent || current.sourceRows !== undefined) throw unexpected(type);
        current.sourceRows = copiedRows(body) ?? current.sourceRows;
        // not at CopyDone already: what the target may commit from here on is complete, and known
        // to be
        this.#write(targetWire, copyDone);
        this.#options.onSent?.(current.job, {
          rows: current.sourceRows ?? 0,
          bytes: current.bytes,
        });
        break;
      case frame.error:
        if (current.sent) this.#write(targetWire, encodeCopyFail("the source failed"));
        this.#fail(current, this.#refusal(body, this.#options.source, current.job));
        break;
      case frame.ready:
        if (current.sourceRows === undefined) throw unexpected(type);
        this.#reading.shift();
        this.#sendAhead();
        break;
      default:
        throw unexpected(type);
    }
  }

  #targetMessage(type: number, body: Uint8Array): void {
    const [current] = this.#writing;
    if (this.#failed) return;
    if (current === undefined) {
      if (type === frame.error) return; // likewise
      throw unexpected(type);
    }
    if (!targetAnswers.has(type)) throw unexpected(type);
    switch (type) {
      case frame.commandComplete:
        current.targetRows = copiedRows(body) ?? current.targetRows;
        break;
      case frame.error:
        this.#fail(current, this.#refusal(body, this.#options.target, current.job));
        break;
      case frame.ready:
        if (current.sourceRows === undefined || current.targetRows === undefined) {
          throw unexpected(type);
        }
        this.#writing.shift();
        this.#answered = 0;
        this.#finish(current);
        break;
    }
  }

  /** The target has answered for a job: it is committed, or rolled back. */
  #finish(progress: Progress<Job>): void {
    const { job, bytes, targetRows, sourceRows, error } = progress;
    if (error !== undefined) return;
    if (targetRows === undefined || targetRows !== sourceRows) {
      return this.#fail(
        progress,
        new Error(
          `${job.name}: the source sent ${sourceRows} rows and the target took ${targetRows}`,
        ),
      );
    }
    this.#options.onFinished(job, { rows: targetRows, bytes });
    this.#finishWhenIdle();
  }

  #finishWhenIdle(): void {
    if (this.#exhausted && this.#reading.length === 0 && this.#writing.length === 0) {
      this.#done.resolve();
    }
  }

  #fail(progress: Progress<Job>, error: Error): void {
    // when the source fails the target reports our CopyFail: the first error is the cause
    if (this.#failed) return;
    this.#failed = true;
    progress.error = error as ReplicatorError;
    this.#done.reject(error);
  }

  #refusal(body: Uint8Array, session: Session, job: Job): ServerError {
    return new ServerError(serverMessageFromFields(decodeErrorFields(body)), {
      side: session.side,
      object: `database ${session.endpoint.database}, table ${job.name}`,
    });
  }
}

/** What the statements around a COPY, and itself, are answered with. */
const targetAnswers: ReadonlySet<number> = new Set([
  frame.copyIn,
  frame.commandComplete,
  frame.error,
  frame.ready,
  frame.rowDescription,
  frame.row,
]);

const maxMessageBytes = 16 * 1024 * 1024;

/** Rows are passed on piece by piece; everything else is gathered. */
function limitMessage(type: number, length: number): void {
  if (type === frame.copyData || length <= maxMessageBytes) return;
  throw new ProtocolError(
    `it announced a message of type ${
      describeType(type)
    } during COPY, with which its answers have ${length} bytes`,
  );
}

function unexpected(type: number): ProtocolError {
  return new ProtocolError(
    `it sent a message of type ${describeType(type)} where COPY has none`,
  );
}

/** The count of a `COPY 42` tag; undefined for other tags. */
function copiedRows(body: Uint8Array): number | undefined {
  const match = /^COPY (\d+)$/.exec(decodeTag(body));
  return match === null ? undefined : Number(match[1]);
}
