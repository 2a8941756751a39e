/**
 * The program of a copy thread: runs copy workers and reports to the main thread by messages.
 * Started by {@linkcode CopyThreads}.
 *
 * @module
 */
import { InterruptedError } from "../core/internal.ts";
import {
  endpointFromMessage,
  errorToMessage,
  followOwnBackends,
  type LockWaitSink,
  noteOwnBackend,
  type OwnBackendListener,
} from "../postgres/internal.ts";
import { type CopyWorkerJob, runCopyWorker } from "./copy_worker.ts";
import type { CopyWorkerEvent, MessageFromThread, MessageToThread } from "./worker_messages.ts";

interface ThreadScope {
  onmessage: (event: { readonly data: MessageToThread }) => void;
  postMessage: (message: MessageFromThread) => void;
}

interface NumberedJob extends CopyWorkerJob {
  readonly id: number;
}

/** The thread's end of one worker. */
class ThreadWorker {
  readonly #abort = new AbortController();
  readonly #report: (event: CopyWorkerEvent) => void;
  #resolveJob: (job: NumberedJob | undefined) => void = () => {};
  #resume: () => void = () => {};

  constructor(report: (event: CopyWorkerEvent) => void) {
    this.#report = report;
  }

  async run(begin: MessageToThread & { kind: "begin" }): Promise<void> {
    const reportWait: LockWaitSink = (wait) => this.#report({ kind: "lock-wait", wait });
    const source = endpointFromMessage(begin.source, reportWait);
    const target = endpointFromMessage(begin.target, reportWait);
    const { snapshot, targetSettings, recordedConstraint, retryDelaysMs, paced } = begin;
    try {
      await runCopyWorker<NumberedJob>({
        source,
        target,
        snapshot,
        targetSettings,
        recordedConstraint,
        signal: this.#abort.signal,
        retryDelaysMs,
        onSnapshot: undefined,
        next: () => {
          this.#report({ kind: "next" });
          return new Promise((resolve) => this.#resolveJob = resolve);
        },
        onStarted: ({ id }) => this.#report({ kind: "started", id }),
        onBytes: ({ id }, bytes) => this.#report({ kind: "moved", id, bytes }),
        pace: paced ? (bytes) => this.#pace(bytes) : undefined,
        onFinished: ({ id }, outcome) => this.#report({ kind: "finished", id, outcome }),
        onRetry: (error, attempt, delayMs) =>
          this.#report({ kind: "retry", error: errorToMessage(error), attempt, delayMs }),
      });
      this.#report({ kind: "ended", error: undefined });
    } catch (error) {
      this.#report({ kind: "ended", error: errorToMessage(error) });
    }
  }

  receive(message: MessageToThread): void {
    switch (message.kind) {
      case "job":
        this.#resolveJob(
          message.job === undefined ? undefined : { ...message.job, id: message.id },
        );
        break;
      case "resume":
        this.#resume();
        break;
      case "abort":
        this.#abort.abort(new InterruptedError());
        this.#resume();
        break;
    }
  }

  #pace(bytes: number): Promise<void> {
    this.#report({ kind: "pace", bytes });
    return new Promise((resolve) => this.#resume = resolve);
  }
}

function serve(scope: ThreadScope): void {
  const workers = new Map<number, ThreadWorker>();
  const forward: OwnBackendListener = (change) =>
    scope.postMessage({ kind: "own-backend", change });
  followOwnBackends(forward);
  scope.onmessage = ({ data }) => {
    if (data.kind === "own-backend") return noteOwnBackend(data.change, forward);
    const { worker: number } = data;
    if (data.kind !== "begin") return workers.get(number)?.receive(data);
    const worker = new ThreadWorker((event) =>
      scope.postMessage({ kind: "worker", worker: number, event })
    );
    workers.set(number, worker);
    void worker.run(data).finally(() => workers.delete(number));
  };
  scope.postMessage({ kind: "ready" });
}

// does nothing when it is imported elsewhere
if ("DedicatedWorkerGlobalScope" in globalThis) serve(globalThis as unknown as ThreadScope);
