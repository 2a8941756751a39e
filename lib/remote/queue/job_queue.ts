import { PgBoss } from "pg-boss";
import { type Endpoint, type Session, SessionPool } from "../../postgres/internal.ts";
import { poolDatabase, sessionDatabase } from "./boss_database.ts";
import { type QueueName, queueNames } from "./resource_class.ts";
import { defaultQueueSettings, type QueueSettings } from "./settings.ts";

/** Where pg-boss keeps its tables. */
export const queueSchema = "seren_remote_queue";

/** Messages whose workers were lost too often. */
const deadLetters = "dead";

/**
 * pg-boss takes no longer time for one claim; for jobs that may take longer the column is set by
 * us.
 */
const maxExpirySeconds = 23 * 3600;

/**
 * A claimed message; `retryCount` tells one claim from a later one, which is then the only one that
 * counts.
 */
export interface Message {
  readonly id: string;
  readonly queue: QueueName;
  readonly retryCount: number;
  readonly jobId: string;
  /** Whether a further attempt would be one too many. */
  readonly isLast: boolean;
  /**
   * Its worker is lost when it was not heard of for so long: as whoever sent the message had it.
   */
  readonly heartbeatSeconds: number;
}

/** A message to send. */
export interface NewMessage {
  readonly id: string;
  readonly queue: QueueName;
  readonly jobId: string;
  /** Jobs of one key share its limits. */
  readonly apiKeyId: string;
  readonly timeoutSeconds: number;
  /** Before the others of its key: it helps a job that runs already. */
  readonly first?: boolean;
}

interface MessageData {
  readonly jobId: string;
}

/**
 * The queue: pg-boss. It keeps messages, hands each to one worker, notices lost workers, and tries
 * again with growing pauses. What a job is stands in our own tables; a message only names it.
 *
 * Open → disposed. Requires `--allow-net` for the service's database.
 */
export class JobQueue implements AsyncDisposable {
  readonly settings: QueueSettings;
  readonly #boss: PgBoss;
  readonly #pool: SessionPool;

  private constructor(boss: PgBoss, pool: SessionPool, settings: QueueSettings) {
    this.#boss = boss;
    this.#pool = pool;
    this.settings = settings;
  }

  /**
   * Opens the queue, makes its tables where they are missing, and begins to look for lost workers.
   *
   * @param onError told of what fails in the background
   */
  static async open(
    endpoint: Endpoint,
    { settings = defaultQueueSettings, onError }: {
      readonly settings?: QueueSettings;
      readonly onError: (error: unknown) => void;
    },
  ): Promise<JobQueue> {
    // of its own: a call within one of our transactions must not wait for a session that such a
    // transaction holds
    const pool = new SessionPool(endpoint, { size: 2, values: "native" });
    const boss = new PgBoss({
      db: poolDatabase(pool),
      schema: queueSchema,
      schedule: false,
      registerInstance: false,
      superviseIntervalSeconds: settings.superviseSeconds,
      monitorIntervalSeconds: settings.superviseSeconds,
      openTelemetry: { enabled: false },
    });
    boss.on("error", onError);
    const queue = new JobQueue(boss, pool, settings);
    try {
      await boss.start();
      await queue.#createQueues();
    } catch (error) {
      await queue[Symbol.asyncDispose]();
      throw error;
    }
    return queue;
  }

  async #createQueues(): Promise<void> {
    await this.#boss.createQueue(deadLetters, { retryLimit: 100 });
    for (const name of queueNames) {
      await this.#boss.createQueue(name, { deadLetter: deadLetters });
    }
  }

  /** Sends a message within a transaction. */
  async send(session: Session, message: NewMessage): Promise<void> {
    const { heartbeatSeconds, retryLimit, retryDelaySeconds } = this.settings;
    // the worker ends a job at its time; this is for a worker that lives and does not
    const expirySeconds = message.timeoutSeconds + 600;
    const data: MessageData = { jobId: message.jobId };
    await this.#boss.send(message.queue, data, {
      id: message.id,
      group: { id: message.apiKeyId },
      priority: message.first === true ? 1 : 0,
      heartbeatSeconds,
      retryLimit,
      retryDelay: retryDelaySeconds,
      retryBackoff: true,
      retryDelayMax: 300,
      retentionSeconds: 30 * 86_400,
      expireInSeconds: Math.min(expirySeconds, maxExpirySeconds),
      db: sessionDatabase(session),
    });
    if (expirySeconds <= maxExpirySeconds) return;
    await session.query(
      "UPDATE seren_remote_queue.job SET expire_seconds = $2::int WHERE id = $1::pg_catalog.text::pg_catalog.uuid",
      [message.id, expirySeconds],
    );
  }

  /** Claims the oldest message of a queue that is none of the given keys'; within a transaction. */
  async fetch(
    session: Session,
    { queue, ignoredKeys }: { readonly queue: QueueName; readonly ignoredKeys: readonly string[] },
  ): Promise<Message | undefined> {
    const [message] = await this.#boss.fetch<MessageData>(queue, {
      includeMetadata: true,
      ignoreGroups: [...ignoredKeys],
      db: sessionDatabase(session),
    });
    if (message === undefined) return undefined;
    return {
      id: message.id,
      queue,
      retryCount: message.retryCount,
      jobId: message.data.jobId,
      isLast: message.retryCount >= message.retryLimit,
      heartbeatSeconds: message.heartbeatSeconds ?? this.settings.heartbeatSeconds,
    };
  }

  /** Says that the worker lives. False: the claim is no longer its own. */
  async touch(message: Message): Promise<boolean> {
    const { affected } = await this.#boss.touch(message.queue, attemptOf(message)) as {
      readonly affected: number;
    };
    return affected > 0;
  }

  /**
   * The message is done with; within a transaction. False: the claim was no longer the worker's
   * own.
   */
  async complete(session: Session, message: Message): Promise<boolean> {
    const { affected } = await this.#boss.complete(message.queue, attemptOf(message), undefined, {
      db: sessionDatabase(session),
    }) as unknown as { readonly affected: number };
    return affected > 0;
  }

  /** The job is to be begun again after a pause; within a transaction. */
  async retryLater(session: Session, message: Message): Promise<void> {
    await this.#boss.fail(message.queue, attemptOf(message), undefined, {
      db: sessionDatabase(session),
    });
  }

  /** Takes a message back, claimed or not; within a transaction. */
  async cancel(
    session: Session,
    { queue, messageId }: { readonly queue: string; readonly messageId: string },
  ): Promise<void> {
    await this.#boss.cancel(queue, messageId, { db: sessionDatabase(session) });
  }

  /** The job of a message whose workers were lost too often, claimed; within a transaction. */
  async fetchDead(
    session: Session,
  ): Promise<{ readonly jobId: string; readonly done: () => Promise<void> } | undefined> {
    const db = sessionDatabase(session);
    const [message] = await this.#boss.fetch<MessageData>(deadLetters, { db });
    if (message === undefined) return undefined;
    return {
      jobId: message.data.jobId,
      done: async () => {
        await this.#boss.complete(deadLetters, message.id, undefined, { db });
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#boss.stop({ graceful: false, close: false });
    await this.#pool[Symbol.asyncDispose]();
  }
}

function attemptOf({ id, retryCount }: Message) {
  return { id, retryCount };
}
