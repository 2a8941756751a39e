/**
 * COPY from one server to another without parsing rows.
 *
 * CopyData has the same framing in both directions, so the source's rows go to the target byte for
 * byte; only the 5-byte headers are read, and omitted where rows are combined (see `RowPacker`).
 * Statements are pipelined on both sides: while the last rows of one table are in transit, the next
 * COPY is already queued on the source, and the target's statement is followed by its rows without
 * waiting for CopyInResponse. So many small tables do not cost a round trip each.
 *
 * This is safe: a server that rejects the statement discards the CopyData and CopyDone that follow
 * ("54.2.6. COPY Operations"), and a simple Query is one implicit transaction ("54.2.2.1. Multiple
 * Statements in a Simple Query").
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
import type { ExchangeConnection } from "../connect/connection.ts";
import type { Session } from "./session.ts";

/** One COPY from source to target. */
export interface CopyJob {
  /** Name for errors: the table as a user would write it. */
  readonly name: string;
  /** `COPY … TO STDOUT` */
  readonly copyOut: string;
  /** Statements with exactly one `COPY … FROM STDIN`, which form one transaction. */
  readonly copyIn: string;
  /** Expected COPY bytes: decides how far ahead statements are sent. */
  readonly expectedBytes: number;
}

/** Source of jobs, and callbacks. */
export interface RelayOptions<Job extends CopyJob> {
  /**
   * The next job, or undefined when none is left. A promised job must arrive before the relay ends,
   * or it is lost.
   */
  readonly next: () => Job | undefined | Promise<Job | undefined>;
  /** Called when the source starts to send the job's rows. */
  readonly onStarted?: (job: Job) => void;
  /** The source has sent all rows of the job; the target has not confirmed them yet. */
  readonly onSent?: (job: Job, outcome: CopyOutcome) => void;
  /** COPY bytes sent to the target. */
  readonly onBytes?: (job: Job, bytes: number) => void;
  /**
   * Called after each chunk from the source: the next one is read when the promise resolves, or at
   * once without one.
   */
  readonly pace?: ((bytes: number) => Promise<void> | undefined) | undefined;
  /** The job is committed on the target. */
  readonly onFinished: (job: Job, outcome: CopyOutcome) => void;
}

/** What a finished job moved. */
export interface CopyOutcome {
  /** Number of rows copied. */
  readonly rows: number;
  /** COPY bytes, framing included. */
  readonly bytes: number;
}

/** Further jobs are sent ahead while those in progress have fewer bytes left than this. */
const aheadBytes = 4 * 1024 * 1024;
const aheadJobs = 32;

/**
 * Relays jobs until none is left. Both sessions are acquired meanwhile; the source's should be in a
 * transaction with its snapshot.
 *
 * The first error on either side ends both copies at once: uncommitted work is rolled back, both
 * sessions are closed, and the error names the job's object.
 */
export async function relayCopies<Job extends CopyJob>(
  source: Session,
  target: Session,
  options: RelayOptions<Job>,
): Promise<void> {
  let relay: Relay<Job> | undefined;
  try {
    await source.exclusive(
      (fromSource) =>
        target.exclusive((toTarget) => {
          relay = new Relay({ source, target, fromSource, toTarget, ...options });
          return relay.run();
        }, () => relay?.awaitsTarget ?? false),
      () => relay?.awaitsSource ?? false,
    );
  } catch (error) {
    // a backend that waits for a lock or processes a row does not notice a closed connection
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
  readonly fromSource: ExchangeConnection;
  readonly toTarget: ExchangeConnection;
}

class Relay<Job extends CopyJob> {
  readonly #options: RelayOptions<Job> & Ends;
  /** Sent to the source, in order; rows arrive for the first. */
  readonly #reading: Progress<Job>[] = [];
  /** Sent to the target, in order; the outcome of the first is awaited. */
  readonly #writing: Progress<Job>[] = [];
  readonly #done = Promise.withResolvers<void>();
  #exhausted = false;
  /** Whether a promised job has not arrived yet. */
  #awaitsJob = false;
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

  /** The current copy, for messages. */
  get underWay(): string {
    const [reading] = this.#reading;
    const [writing] = this.#writing;
    const name = (writing ?? reading)?.job.name;
    return name === undefined ? "COPY" : `COPY of table ${name}`;
  }

  /** Whether rows or an answer from the source are due. */
  get awaitsSource(): boolean {
    return this.#reading.length > 0;
  }

  /** Whether the target has all rows of a job and has not answered yet. */
  get awaitsTarget(): boolean {
    return this.#writing[0]?.sourceRows !== undefined;
  }

  async run(): Promise<void> {
    const { fromSource, toTarget } = this.#options;
    const answers = new FrameScanner({
      header: (type, length) => {
        this.#answered += length;
        limitMessage(type, Math.max(length, this.#answered));
      },
      message: (type, body) => this.#targetMessage(type, body),
    });
    fromSource.receive((chunk) => {
      this.#packer.push(chunk);
      const pause = this.#options.pace?.(chunk.length);
      // backpressure: the next chunk is read when this one has been accepted
      return pause === undefined
        ? this.#lastWrite
        : Promise.all([this.#lastWrite, pause]).then(() => {});
    });
    toTarget.receive((chunk) => answers.push(chunk));
    this.#sendAhead();
    await this.#done.promise;
    // the target has answered everything; after a failure, when a write may still be in progress,
    // this is not reached
    this.#packer[Symbol.dispose]();
  }

  /** Keeps the source's queue filled with small jobs. */
  #sendAhead(): void {
    while (!this.#exhausted && !this.#failed && !this.#awaitsJob && this.#hasRoom()) {
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
    this.#awaitsJob = true;
    promised.then((job) => {
      this.#awaitsJob = false;
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
    this.#write(this.#options.fromSource, encodeQuery(job.copyOut));
  }

  #write(connection: ExchangeConnection, bytes: Uint8Array): void {
    const written = connection.write(bytes);
    written.catch(() => {}); // reported by the session's own exclusive()
    if (connection === this.#options.toTarget) this.#lastWrite = written.catch(() => {});
  }

  #forward(bytes: Uint8Array): void {
    const [current] = this.#reading;
    if (this.#failed || current?.error !== undefined) return;
    if (!current?.sent) throw unexpected(frame.copyData);
    current.bytes += bytes.length;
    this.#write(this.#options.toTarget, bytes);
    this.#options.onBytes?.(current.job, bytes.length);
  }

  #sourceMessage(type: number, body: Uint8Array): void {
    const [current] = this.#reading;
    if (this.#failed) return;
    if (current === undefined) {
      // the backend is being terminated; the connection closes next
      if (type === frame.error) return;
      throw unexpected(type);
    }
    const { toTarget } = this.#options;
    switch (type) {
      case frame.copyOut:
        if (current.sent) throw unexpected(type);
        current.sent = true;
        this.#writing.push(current);
        this.#options.onStarted?.(current.job);
        this.#write(toTarget, encodeQuery(current.job.copyIn));
        break;
      case frame.copyDone:
        if (!current.sent) throw unexpected(type);
        break;
      case frame.commandComplete:
        if (!current.sent || current.sourceRows !== undefined) throw unexpected(type);
        current.sourceRows = copiedRows(body) ?? current.sourceRows;
        // not at CopyDone: only now are the rows that the target may commit known to be complete
        this.#write(toTarget, copyDone);
        this.#options.onSent?.(current.job, {
          rows: current.sourceRows ?? 0,
          bytes: current.bytes,
        });
        break;
      case frame.error:
        if (current.sent) this.#write(toTarget, encodeCopyFail("the source failed"));
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

  /** The target has answered a job: it is committed or rolled back. */
  #finish(progress: Progress<Job>): void {
    const { job, bytes, targetRows, sourceRows, error } = progress;
    if (error !== undefined) return;
    if (targetRows === undefined || targetRows !== sourceRows) {
      return this.#fail(
        progress,
        new Error(
          `${job.name}: the source sent ${sourceRows} rows and the target received ${targetRows}`,
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
    // when the source fails, the target reports the CopyFail: the first error is the cause
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

/** Answers to a COPY and the statements around it. */
const targetAnswers: ReadonlySet<number> = new Set([
  frame.copyIn,
  frame.commandComplete,
  frame.error,
  frame.ready,
  frame.rowDescription,
  frame.row,
]);

const maxMessageBytes = 16 * 1024 * 1024;

/** Rows are forwarded in pieces; everything else is buffered. */
function limitMessage(type: number, length: number): void {
  if (type === frame.copyData || length <= maxMessageBytes) return;
  throw new ProtocolError(
    `it announced a message of type ${
      describeType(type)
    } during COPY, which makes its answers ${length} bytes long`,
  );
}

function unexpected(type: number): ProtocolError {
  return new ProtocolError(
    `it sent a message of type ${describeType(type)}, which is invalid during COPY`,
  );
}

/** The count of a `COPY 42` tag; undefined for other tags. */
function copiedRows(body: Uint8Array): number | undefined {
  const match = /^COPY (\d+)$/.exec(decodeTag(body));
  return match === null ? undefined : Number(match[1]);
}
