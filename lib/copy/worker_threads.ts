/**
 * Copy workers in threads, for copies that occupy more than one core of the client.
 *
 * @module
 */
import type { Side } from "../core/internal.ts";
import {
  type Endpoint,
  endpointToMessage,
  errorFromMessage,
  followOwnBackends,
  noteOwnBackend,
  type OwnBackendChange,
  type OwnBackendListener,
} from "../postgres/internal.ts";
import { threadModule } from "./copy_thread_module.ts";
import type { CopyWorkerJob, CopyWorkerOptions } from "./copy_worker.ts";
import type { CopyWorkerEvent, MessageFromThread, MessageToThread } from "./worker_messages.ts";

/** Workers with TLS that one thread can serve: together they are faster than most networks. */
const maxTlsWorkersPerThread = 8;
/** With fewer cores, threads do not pay. */
const minCpuCount = 4;

/**
 * The number of threads that a copy should use besides the caller's. Pure.
 *
 * One thread relays more than a gigabyte per second in plain text, and about 350 MB with TLS
 * (docs/internals/performance.md); each thread takes up to 50 MB of memory. So threads pay for many
 * sessions over TLS, given enough cores.
 */
export function copyThreadsFor({ endpoints, jobs, cpuCount }: {
  readonly endpoints: readonly Endpoint[];
  readonly jobs: number;
  readonly cpuCount: number;
}): number {
  const encrypts = ({ tls, hosts }: Endpoint) =>
    tls.mode !== "disable" && tls.mode !== "allow" &&
    hosts.some(({ host }) => !host.startsWith("/"));
  if (!endpoints.some(encrypts) || cpuCount < minCpuCount || jobs <= maxTlsWorkersPerThread) {
    return 0;
  }
  return Math.min(Math.ceil(jobs / maxTlsWorkersPerThread), Math.floor(cpuCount / 2));
}

/** How threads are started. */
export interface CopyThreadsOptions {
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** Number of threads; workers are assigned to them in turn. */
  readonly threads: number;
  /**
   * Whether a thread may only connect to the two servers. Deno requires
   * `--unstable-worker-options` for this and **ends the process** without it; there is no way to
   * check beforehand. Default: only in the compiled executable, which has the option; see
   * `docs/guides/permissions.md`.
   */
  readonly limited?: boolean;
}

/**
 * Threads that run copy workers, both connections of a worker in the same thread.
 *
 * States: started (workers can be run) → disposed (the threads are gone, and their connections with
 * them).
 */
export class CopyThreads implements Disposable {
  readonly #threads: readonly CopyThread[];

  private constructor(threads: readonly CopyThread[]) {
    this.#threads = threads;
  }

  /**
   * Starts the threads.
   *
   * Requires, besides what `runCopyWorker` requires, `--allow-read` of the module of the thread
   * when it is a file (or `--allow-import` of its host).
   *
   * @returns undefined if the thread's module does not exist (a bundle is one file) or may not be
   * read; the caller's thread can do the same work
   */
  static async start(options: CopyThreadsOptions): Promise<CopyThreads | undefined> {
    if (!mayLoad(threadModule)) return undefined;
    const starting = await Promise.allSettled(
      Array.from({ length: options.threads }, () => CopyThread.start(options)),
    );
    const started = starting.flatMap((one) => one.status === "fulfilled" ? [one.value] : []);
    if (started.length === starting.length) return new CopyThreads(started);
    for (const thread of started) thread.end();
    return undefined;
  }

  /** Like the function `runCopyWorker`, in one of the threads. */
  runCopyWorker<Job extends CopyWorkerJob>(
    worker: number,
    options: CopyWorkerOptions<Job>,
  ): Promise<void> {
    const thread = this.#threads[worker % this.#threads.length];
    if (thread === undefined) throw new Error("there are no copy threads");
    return thread.run(worker, options);
  }

  [Symbol.dispose](): void {
    for (const thread of this.#threads) thread.end();
  }
}

class CopyThread {
  readonly #worker: Worker;
  readonly #workers = new Map<number, RemoteWorker>();
  readonly #backends = new Set<string>();
  readonly #forward: OwnBackendListener;
  readonly #unfollow: () => void;
  #failure: Error | undefined;

  private constructor(worker: Worker) {
    this.#worker = worker;
    this.#forward = (change) =>
      worker.postMessage({ kind: "own-backend", change } satisfies MessageToThread);
    this.#unfollow = followOwnBackends(this.#forward);
  }

  static async start(
    { source, target, limited = Deno.build.standalone }: CopyThreadsOptions,
  ): Promise<CopyThread> {
    const worker = new Worker(threadModule, {
      type: "module",
      name: "copy",
      ...(limited ? { deno: { permissions: permissionsFor(source, target) } } : {}),
    });
    const ready = Promise.withResolvers<void>();
    const thread = new CopyThread(worker);
    worker.onmessage = ({ data }: MessageEvent<MessageFromThread>) => {
      if (data.kind === "ready") ready.resolve();
      else if (data.kind === "own-backend") thread.#noteBackend(data.change);
      else thread.#workers.get(data.worker)?.receive(data.event);
    };
    worker.onerror = (event) => {
      event.preventDefault(); // otherwise the error ends the process
      const error = new Error(`a copy thread ended: ${event.message}`);
      ready.reject(error);
      thread.#broke(error);
    };
    try {
      await ready.promise;
    } catch (error) {
      thread.end();
      throw error;
    }
    return thread;
  }

  async run<Job extends CopyWorkerJob>(
    worker: number,
    options: CopyWorkerOptions<Job>,
  ): Promise<void> {
    options.signal.throwIfAborted();
    if (this.#failure !== undefined) throw this.#failure;
    const remote = new RemoteWorker<Job>(
      options,
      (message) => this.#worker.postMessage({ ...message, worker } as MessageToThread),
    );
    this.#workers.set(worker, remote as unknown as RemoteWorker);
    try {
      await remote.run();
    } finally {
      this.#workers.delete(worker);
    }
  }

  end(): void {
    this.#worker.terminate();
    this.#forgetBackends();
  }

  #noteBackend(change: OwnBackendChange): void {
    if (change.isOpen) this.#backends.add(change.backend);
    else this.#backends.delete(change.backend);
    noteOwnBackend(change, this.#forward);
  }

  /** The thread is gone, and its sessions with it. */
  #forgetBackends(): void {
    this.#unfollow();
    for (const backend of this.#backends) noteOwnBackend({ backend, isOpen: false });
    this.#backends.clear();
  }

  #broke(error: Error): void {
    this.#failure ??= error;
    this.#forgetBackends();
    for (const worker of this.#workers.values()) worker.lost(error);
  }
}

type WithoutWorker<Message> = Message extends unknown ? Omit<Message, "worker"> : never;

/** The main thread's end of a worker: holds its jobs and answers its requests. */
class RemoteWorker<Job extends CopyWorkerJob = CopyWorkerJob> {
  readonly #options: CopyWorkerOptions<Job>;
  readonly #post: (message: WithoutWorker<MessageToThread>) => void;
  readonly #jobs = new Map<number, Job>();
  readonly #ended = Promise.withResolvers<void>();
  #lastId = 0;
  /** An error of the main thread; it takes precedence over the error that ends the worker. */
  #failure: { readonly error: unknown } | undefined;

  constructor(
    options: CopyWorkerOptions<Job>,
    post: (message: WithoutWorker<MessageToThread>) => void,
  ) {
    this.#options = options;
    this.#post = post;
  }

  /** Resolves or throws when the worker's sessions are closed. */
  async run(): Promise<void> {
    const { source, target, snapshot, pace, signal } = this.#options;
    const { targetSettings, recordedConstraint, retryDelaysMs } = this.#options;
    const abort = () => this.#post({ kind: "abort" });
    this.#post({
      kind: "begin",
      source: endpointToMessage(source),
      target: endpointToMessage(target),
      snapshot,
      targetSettings,
      recordedConstraint,
      retryDelaysMs,
      paced: pace !== undefined,
    });
    signal.addEventListener("abort", abort, { once: true });
    try {
      await this.#ended.promise;
      if (this.#failure !== undefined) throw this.#failure.error;
    } catch (error) {
      throw signal.aborted
        ? signal.reason
        : this.#failure === undefined
        ? error
        : this.#failure.error;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  receive(event: CopyWorkerEvent): void {
    try {
      this.#handle(event);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** The thread is gone. */
  lost(error: Error): void {
    this.#ended.reject(error);
  }

  #handle(event: CopyWorkerEvent): void {
    const { onStarted, onBytes, onFinished, onRetry } = this.#options;
    switch (event.kind) {
      case "next":
        void this.#answerNext();
        break;
      case "started":
        onStarted?.(this.#job(event.id));
        break;
      case "moved":
        onBytes?.(this.#job(event.id), event.bytes);
        break;
      case "pace":
        void this.#answerPace(event.bytes);
        break;
      case "finished":
        onFinished(this.#job(event.id), event.outcome);
        this.#jobs.delete(event.id);
        break;
      case "retry":
        onRetry?.(this.#revive(event.error), event.attempt, event.delayMs);
        break;
      case "lock-wait":
        this.#options[event.wait.side].onLockWait?.(event.wait);
        break;
      case "ended":
        if (event.error === undefined) this.#ended.resolve();
        else this.#ended.reject(this.#revive(event.error));
        break;
    }
  }

  async #answerNext(): Promise<void> {
    let job: Job | undefined;
    try {
      job = await this.#options.next();
    } catch (error) {
      this.#fail(error);
    }
    const id = ++this.#lastId;
    if (job !== undefined) this.#jobs.set(id, job);
    this.#post({ kind: "job", id, job: job === undefined ? undefined : plainJob(job) });
  }

  async #answerPace(bytes: number): Promise<void> {
    try {
      await this.#options.pace?.(bytes);
    } catch (error) {
      this.#fail(error);
    }
    this.#post({ kind: "resume" });
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#post({ kind: "abort" });
  }

  #job(id: number): Job {
    const job = this.#jobs.get(id);
    if (job === undefined) {
      throw new Error(`a copy thread reported job ${id}, which it does not have`);
    }
    return job;
  }

  #revive(error: Parameters<typeof errorFromMessage>[0]): Error {
    const { source, target } = this.#options;
    const endpoints: Readonly<Record<Side, Endpoint>> = { source, target };
    return errorFromMessage(error, endpoints);
  }
}

/** Without properties of the caller's job that a message cannot carry. */
function plainJob(
  { name, copyOut, copyIn, expectedBytes, isRecorded }: CopyWorkerJob,
): CopyWorkerJob {
  const plain = { name, copyOut, copyIn, expectedBytes };
  return isRecorded === undefined ? plain : { ...plain, isRecorded };
}

/** Permissions of a thread: the two servers. */
function permissionsFor(...endpoints: readonly Endpoint[]): Deno.PermissionOptionsObject {
  const places = endpoints.flatMap(({ hosts }) => hosts);
  const sockets = places.filter(({ host }) => host.startsWith("/"))
    .map(({ host, port }) => `${host}/.s.PGSQL.${port}`);
  const net = places.map(({ host, port }) => {
    if (host.startsWith("/")) return `unix:${host}/.s.PGSQL.${port}`;
    return `${host.includes(":") ? `[${host}]` : host}:${port}`;
  });
  const files = sockets.length === 0 ? false : sockets;
  return {
    net,
    read: files,
    write: files,
    env: false,
    run: false,
    sys: false,
    ffi: false,
    import: false,
  };
}

/** Whether the module can be loaded. A failed attempt would write to the terminal. */
function mayLoad(module: URL): boolean {
  if (module.protocol !== "file:") {
    // in a bundle, the URL is relative to the bundle, and no module exists there
    return import.meta.url.endsWith("/copy/worker_threads.ts") &&
      isGranted({ name: "import", host: module.host });
  }
  if (!isGranted({ name: "read", path: module })) return false;
  try {
    return Deno.statSync(module).isFile;
  } catch {
    return false;
  }
}

// querying never prompts
function isGranted(descriptor: Deno.PermissionDescriptor): boolean {
  return Deno.permissions.querySync(descriptor).state === "granted";
}
