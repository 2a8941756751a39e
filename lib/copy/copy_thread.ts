/**
 * The program of a copy thread: runs lanes as the main thread would, and tells it by messages.
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

/** The thread's end of one lane. */
class ThreadLane {
  readonly #abort = new AbortController();
  readonly #tell: (event: CopyWorkerEvent) => void;
  #gotJob: (job: NumberedJob | undefined) => void = () => {};
  #goOn: () => void = () => {};

  constructor(tell: (event: CopyWorkerEvent) => void) {
    this.#tell = tell;
  }

  async run(begin: MessageToThread & { kind: "begin" }): Promise<void> {
    const reportWait: LockWaitSink = (wait) => this.#tell({ kind: "lock-wait", wait });
    const source = endpointFromMessage(begin.source, reportWait);
    const target = endpointFromMessage(begin.target, reportWait);
    const { snapshot, targetSettings, recordedConstraint, delaysMs, paced } = begin;
    try {
      await runCopyWorker<NumberedJob>({
        source,
        target,
        snapshot,
        targetSettings,
        recordedConstraint,
        signal: this.#abort.signal,
        delaysMs,
        next: () => {
          this.#tell({ kind: "next" });
          return new Promise((resolve) => this.#gotJob = resolve);
        },
        onStarted: ({ id }) => this.#tell({ kind: "started", id }),
        onBytes: ({ id }, bytes) => this.#tell({ kind: "moved", id, bytes }),
        pace: paced ? (bytes) => this.#pace(bytes) : undefined,
        onFinished: ({ id }, outcome) => this.#tell({ kind: "finished", id, outcome }),
        onRetry: (error, attempt, delayMs) =>
          this.#tell({ kind: "retry", error: errorToMessage(error), attempt, delayMs }),
      });
      this.#tell({ kind: "ended", error: undefined });
    } catch (error) {
      this.#tell({ kind: "ended", error: errorToMessage(error) });
    }
  }

  receive(message: MessageToThread): void {
    switch (message.kind) {
      case "job":
        this.#gotJob(message.job === undefined ? undefined : { ...message.job, id: message.id });
        break;
      case "go-on":
        this.#goOn();
        break;
      case "abort":
        this.#abort.abort(new InterruptedError());
        this.#goOn();
        break;
    }
  }

  #pace(bytes: number): Promise<void> {
    this.#tell({ kind: "pace", bytes });
    return new Promise((resolve) => this.#goOn = resolve);
  }
}

function serve(scope: ThreadScope): void {
  const lanes = new Map<number, ThreadLane>();
  const passOn: OwnBackendListener = (change) => scope.postMessage({ kind: "own-backend", change });
  followOwnBackends(passOn);
  scope.onmessage = ({ data }) => {
    if (data.kind === "own-backend") return noteOwnBackend(data.change, passOn);
    const { lane } = data;
    if (data.kind !== "begin") return lanes.get(lane)?.receive(data);
    const begun = new ThreadLane((event) => scope.postMessage({ kind: "lane", lane, event }));
    lanes.set(lane, begun);
    void begun.run(data).finally(() => lanes.delete(lane));
  };
  scope.postMessage({ kind: "ready" });
}

// imported anywhere else it does nothing
if ("DedicatedWorkerGlobalScope" in globalThis) serve(globalThis as unknown as ThreadScope);
