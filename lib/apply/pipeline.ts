/**
 * Sends messages to the target without waiting for the answers to earlier ones, and checks every
 * answer, in order.
 *
 * @module
 */
import {
  ConnectionError,
  decodeErrorFields,
  decodeTag,
  type ExchangeConnection,
  frame,
  FrameScanner,
  ProtocolError,
  ServerError,
  type ServerMessage,
  serverMessageFromFields,
  type Session,
} from "../postgres/internal.ts";

/** What the server answered to the messages of one {@linkcode Pipeline.send}. */
export interface PipelineAnswer {
  /** Command tags of the statements that succeeded, in order. */
  readonly tags: readonly string[];
  /** The first error; the statements after it did not run. */
  readonly error: ServerMessage | undefined;
}

interface Expected {
  readonly tags: string[];
  error: ServerMessage | undefined;
  /** ReadyForQuery still to come. */
  left: number;
  readonly answered: PromiseWithResolvers<PipelineAnswer>;
}

/** States: open → failed, for good, with whatever ended it; the session closes it. */
export class Pipeline {
  readonly #session: Session;
  readonly #connection: ExchangeConnection;
  readonly #expected: Expected[] = [];
  readonly #failed = Promise.withResolvers<never>();

  constructor(session: Session, connection: ExchangeConnection) {
    this.#session = session;
    this.#connection = connection;
    this.#failed.promise.catch(() => {}); // raced by each sender
    const scanner = new FrameScanner({ message: (type, body) => this.#take(type, body) });
    connection.receive((chunk) => {
      try {
        scanner.push(chunk);
      } catch (error) {
        this.#failed.reject(error);
        throw error;
      }
    });
  }

  /** Whether an answer is due. */
  get awaitsAnswer(): boolean {
    return this.#expected.length > 0;
  }

  /**
   * Sends messages.
   *
   * @param answers how many ReadyForQuery they lead to
   */
  async send(
    { bytes, answers }: { readonly bytes: Uint8Array; readonly answers: number },
  ): Promise<PipelineAnswer> {
    const answered = Promise.withResolvers<PipelineAnswer>();
    this.#expected.push({ tags: [], error: undefined, left: answers, answered });
    const [answer] = await Promise.race([
      Promise.all([answered.promise, this.#connection.write(bytes)]),
      this.#failed.promise,
    ]);
    return answer;
  }

  #take(type: number, body: Uint8Array): void {
    const [expected] = this.#expected;
    if (type === frame.error) {
      const fields = decodeErrorFields(body);
      const message = serverMessageFromFields(fields);
      // the server answers nothing more
      if (expected === undefined || isFatal(fields)) throw this.#ended(message);
      expected.error ??= message;
      return;
    }
    if (expected === undefined) {
      throw new ProtocolError(`it sent a message of type ${type} that was not requested`);
    }
    if (type === frame.commandComplete) expected.tags.push(decodeTag(body));
    else if (type === frame.ready && --expected.left === 0) {
      this.#expected.shift();
      expected.answered.resolve(expected);
    }
  }

  #ended(message: ServerMessage): ConnectionError {
    const { side, endpoint } = this.#session;
    return new ConnectionError(`the server has ended the session: ${message.message}`, {
      endpoint,
      transient: true,
      sqlState: message.sqlState,
      cause: new ServerError(message, { side, object: endpoint.database }),
    });
  }
}

/** Whether the server closes the connection after the error; the field is never translated. */
function isFatal(fields: ReadonlyMap<string, string>): boolean {
  const severity = fields.get("V");
  return severity === "FATAL" || severity === "PANIC";
}
