import { PgBoss } from "pg-boss";
import { type Endpoint, type Session, SessionPool } from "../../postgres/internal.ts";
import { poolDatabase, sessionDatabase } from "./boss_database.ts";
import { type QueueName, queueNames } from "./resource_class.ts";
import { defaultQueueSettings, type QueueSettings } from "./settings.ts";

/** The schema of pg-boss's tables. */
const queueSchema = "seren_remote_queue";

/** The dead letter queue: messages whose workers were lost too many times. */
const deadLetters = "dead";

/**
 * pg-boss does not accept a longer expiry; for longer jobs the column is updated directly.
 */
const maxExpirySeconds = 23 * 3600;

/** The largest value of its column: 68 years. */
const noExpirySeconds = 2 ** 31 - 1;

/**
 * A claimed message. `retryCount` identifies the claim: only the latest is valid.
 */
export interface Message {
  readonly id: string;
  readonly queue: QueueName;
  readonly retryCount: number;
  readonly jobId: string;
  /** Whether this is the last attempt. */
  readonly isLast: boolean;
  /**
   * The worker is lost if it has not reported for this long; set when the message was sent.
   */
  readonly heartbeatSeconds: number;
}

/** A message to send. */
export interface NewMessage {
  readonly id: string;
  readonly queue: QueueName;
  readonly jobId: string;
  /** Jobs of a key share its limits. */
  readonly apiKeyId: string;
  /** Null for no limit. */
  readonly timeoutSeconds: number | null;
  /** Ahead of the key's other messages, for a helper of a running job. */
  readonly first?: boolean;
}

interface MessageData {
  readonly jobId: string;
}

/**
 * The queue, based on pg-boss, which stores messages, gives each to one worker, detects lost
 * workers and retries with increasing pauses. A message only refers to a job in the service's own
 * tables.
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
   * Opens the queue, creates its tables if they are missing, and starts checking for lost workers.
   *
   * @param onError called with errors of background work
   */
  static async open(
    endpoint: Endpoint,
    { settings = defaultQueueSettings, onError }: {
      readonly settings?: QueueSettings;
      readonly onError: (error: unknown) => void;
    },
  ): Promise<JobQueue> {
    // a separate pool: a call within a transaction must not wait for a session that the transaction
    // holds
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
    // a worker enforces the timeout itself; this covers a live worker that fails to
    const expirySeconds = message.timeoutSeconds === null
      ? noExpirySeconds
      : message.timeoutSeconds + 600;
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

  /** Claims the oldest message of a queue that is not of an ignored key; within a transaction. */
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

  /** Renews a claim. Returns false if it was lost. */
  async touch(message: Message): Promise<boolean> {
    const { affected } = await this.#boss.touch(message.queue, attemptOf(message)) as {
      readonly affected: number;
    };
    return affected > 0;
  }

  /**
   * Lets a claimed message last: from now on as many workers may be lost as if none had been, each
   * is replaced after the same pause, and the message is kept until its job ends. Within a
   * transaction.
   *
   * @returns false if the claim was lost
   */
  async prolong(
    session: Session,
    { id, retryCount }: Message,
    { retryDelaySeconds = this.settings.retryDelaySeconds }: {
      readonly retryDelaySeconds?: number;
    } = {},
  ): Promise<boolean> {
    // the count of retries identifies the claim, so it is the limit that moves
    const rows = await session.query(
      `UPDATE seren_remote_queue.job
          SET retry_limit = retry_count + $3::int, retry_delay = $4::int, retry_backoff = false,
              expire_seconds = $5::int, keep_until = pg_catalog.now() + interval '100 years'
        WHERE id = $1::pg_catalog.text::pg_catalog.uuid AND retry_count = $2::int AND state = 'active' RETURNING id`,
      [id, retryCount, this.settings.retryLimit, retryDelaySeconds, noExpirySeconds],
    );
    return rows.length > 0;
  }

  /** Completes a message, within a transaction. Returns false if the claim was lost. */
  async complete(session: Session, message: Message): Promise<boolean> {
    const { affected } = await this.#boss.complete(message.queue, attemptOf(message), undefined, {
      db: sessionDatabase(session),
    }) as unknown as { readonly affected: number };
    return affected > 0;
  }

  /** Retries a message after a pause; within a transaction. */
  async retryLater(session: Session, message: Message): Promise<void> {
    await this.#boss.fail(message.queue, attemptOf(message), undefined, {
      db: sessionDatabase(session),
    });
  }

  /** Cancels a message, claimed or not; within a transaction. */
  async cancel(
    session: Session,
    { queue, messageId }: { readonly queue: string; readonly messageId: string },
  ): Promise<void> {
    await this.#boss.cancel(queue, messageId, { db: sessionDatabase(session) });
  }

  /** Claims a dead letter; within a transaction. */
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
