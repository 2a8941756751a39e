/**
 * Lanes in threads of their own, for copies that keep more than one core of the client busy.
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
import type { CopyWorkerJob, CopyWorkerOptions } from "./copy_worker.ts";
import type { CopyWorkerEvent, MessageFromThread, MessageToThread } from "./worker_messages.ts";

/** Sessions over TLS that one thread can serve: together they are faster than most networks. */
const tlsLanesOfThread = 8;
/** With fewer cores the system has a better use for them. */
const minCpuCount = 4;

/**
 * How many threads a copy should have besides the caller's. Pure.
 *
 * One thread passes on more than a gigabyte a second in the clear, and about 350 MB with TLS
 * (docs/internals/performance.md), while each thread takes up to 50 MB of memory. So threads are
 * worth it for many sessions over TLS, when there are cores for them.
 */
export function copyThreadsFor({ endpoints, jobs, cpuCount }: {
  readonly endpoints: readonly Endpoint[];
  readonly jobs: number;
  readonly cpuCount: number;
}): number {
  const encrypts = ({ tls, hosts }: Endpoint) =>
    tls.mode !== "disable" && tls.mode !== "allow" &&
    hosts.some(({ host }) => !host.startsWith("/"));
  if (!endpoints.some(encrypts) || cpuCount < minCpuCount || jobs <= tlsLanesOfThread) return 0;
  return Math.min(Math.ceil(jobs / tlsLanesOfThread), Math.floor(cpuCount / 2));
}

/** How the threads are started. */
export interface CopyThreadsOptions {
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** How many threads. Lanes are dealt out to them in turn. */
  readonly threads: number;
  /**
   * Whether a thread may do nothing but connect to the two servers. Deno wants
   * `--unstable-worker-options` for it and **ends the process** where that is missing, without a
   * way to find out before. Default: in an executable, whose threads come with the option; see
   * `docs/guides/permissions.md`.
   */
  readonly limited?: boolean;
}

/**
 * Threads that run lanes with `runCopyWorker`, each lane with both of its connections in one
 * thread.
 *
 * States: started (lanes may be run) → disposed (the threads are gone, with every connection that
 * they still had).
 */
export class CopyThreads implements Disposable {
  readonly #threads: readonly LaneThread[];

  private constructor(threads: readonly LaneThread[]) {
    this.#threads = threads;
  }

  /**
   * Starts the threads.
   *
   * Requires, besides what `runCopyWorker` requires, `--allow-read` of the module of the thread
   * when it is a file (or `--allow-import` of its host).
   *
   * @returns undefined where they cannot be had: the module of the thread is not there (a bundle is
   * one file) or may not be read. The caller's own thread does the same work then.
   */
  static async start(options: CopyThreadsOptions): Promise<CopyThreads | undefined> {
    if (!mayLoad(threadModule)) return undefined;
    const starting = await Promise.allSettled(
      Array.from({ length: options.threads }, () => LaneThread.start(options)),
    );
    const started = starting.flatMap((one) => one.status === "fulfilled" ? [one.value] : []);
    if (started.length === starting.length) return new CopyThreads(started);
    for (const thread of started) thread.end();
    return undefined;
  }

  /** Runs a lane: as `runCopyWorker`, in one of the threads. */
  runCopyWorker<Job extends CopyWorkerJob>(
    lane: number,
    options: CopyWorkerOptions<Job>,
  ): Promise<void> {
    const thread = this.#threads[lane % this.#threads.length];
    if (thread === undefined) throw new Error("there are no copy threads");
    return thread.run(lane, options);
  }

  [Symbol.dispose](): void {
    for (const thread of this.#threads) thread.end();
  }
}

class LaneThread {
  readonly #worker: Worker;
  readonly #lanes = new Map<number, RemoteLane>();
  readonly #backends = new Set<string>();
  readonly #passOn: OwnBackendListener;
  readonly #unfollow: () => void;
  #failure: Error | undefined;

  private constructor(worker: Worker) {
    this.#worker = worker;
    this.#passOn = (change) =>
      worker.postMessage({ kind: "own-backend", change } satisfies MessageToThread);
    this.#unfollow = followOwnBackends(this.#passOn);
  }

  static async start(
    { source, target, limited = Deno.build.standalone }: CopyThreadsOptions,
  ): Promise<LaneThread> {
    const worker = new Worker(threadModule, {
      type: "module",
      name: "copy",
      ...(limited ? { deno: { permissions: permissionsFor(source, target) } } : {}),
    });
    const ready = Promise.withResolvers<void>();
    const thread = new LaneThread(worker);
    worker.onmessage = ({ data }: MessageEvent<MessageFromThread>) => {
      if (data.kind === "ready") ready.resolve();
      else if (data.kind === "own-backend") thread.#noteBackend(data.change);
      else thread.#lanes.get(data.lane)?.receive(data.event);
    };
    worker.onerror = (event) => {
      event.preventDefault(); // else it would end the whole process
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
    lane: number,
    options: CopyWorkerOptions<Job>,
  ): Promise<void> {
    options.signal.throwIfAborted();
    if (this.#failure !== undefined) throw this.#failure;
    const remote = new RemoteLane<Job>(
      options,
      (message) => this.#worker.postMessage({ ...message, lane } as MessageToThread),
    );
    this.#lanes.set(lane, remote as unknown as RemoteLane);
    try {
      await remote.run();
    } finally {
      this.#lanes.delete(lane);
    }
  }

  end(): void {
    this.#worker.terminate();
    this.#forgetBackends();
  }

  #noteBackend(change: OwnBackendChange): void {
    if (change.isOpen) this.#backends.add(change.backend);
    else this.#backends.delete(change.backend);
    noteOwnBackend(change, this.#passOn);
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
    for (const lane of this.#lanes.values()) lane.lost(error);
  }
}

type WithoutLane<Message> = Message extends unknown ? Omit<Message, "lane"> : never;

/** The main thread's end of a lane: keeps the jobs, answers what the lane asks. */
class RemoteLane<Job extends CopyWorkerJob = CopyWorkerJob> {
  readonly #options: CopyWorkerOptions<Job>;
  readonly #post: (message: WithoutLane<MessageToThread>) => void;
  readonly #jobs = new Map<number, Job>();
  readonly #ended = Promise.withResolvers<void>();
  #lastId = 0;
  /**
   * What went wrong on our side: it counts more than what the lane says when it is ended for it.
   */
  #failure: { readonly error: unknown } | undefined;

  constructor(
    options: CopyWorkerOptions<Job>,
    post: (message: WithoutLane<MessageToThread>) => void,
  ) {
    this.#options = options;
    this.#post = post;
  }

  /** Resolves or throws when the lane's sessions are closed. */
  async run(): Promise<void> {
    const { source, target, snapshot, pace, signal } = this.#options;
    const { targetSettings, recordedConstraint, delaysMs } = this.#options;
    const abort = () => this.#post({ kind: "abort" });
    this.#post({
      kind: "begin",
      source: endpointToMessage(source),
      target: endpointToMessage(target),
      snapshot,
      targetSettings,
      recordedConstraint,
      delaysMs,
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
    this.#post({ kind: "go-on" });
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#post({ kind: "abort" });
  }

  #job(id: number): Job {
    const job = this.#jobs.get(id);
    if (job === undefined) throw new Error(`a copy thread speaks of job ${id}, which it has not`);
    return job;
  }

  #revive(error: Parameters<typeof errorFromMessage>[0]): Error {
    const { source, target } = this.#options;
    const endpoints: Readonly<Record<Side, Endpoint>> = { source, target };
    return errorFromMessage(error, endpoints);
  }
}

/** A caller's job may carry what no message can. */
function plainJob(
  { name, copyOut, copyIn, expectedBytes, isRecorded }: CopyWorkerJob,
): CopyWorkerJob {
  const plain = { name, copyOut, copyIn, expectedBytes };
  return isRecorded === undefined ? plain : { ...plain, isRecorded };
}

// the driver asks for them at every connection, whatever they hold
const driverVariables: readonly string[] = ["PGAPPNAME", "PGTARGETSESSIONATTRS"];

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
    env: driverVariables.filter((variable) => isGranted({ name: "env", variable })),
    run: false,
    sys: false,
    ffi: false,
    import: false,
  };
}

const threadModule = new URL("./copy_thread.ts", import.meta.url);

/**
 * Whether the module can be loaded: trying would write Deno's own message to the terminal when it
 * fails.
 */
function mayLoad(module: URL): boolean {
  if (module.protocol !== "file:") {
    // within a bundle the module's address is made from the bundle's, and nothing is there
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

// asking for the state never asks the user
function isGranted(descriptor: Deno.PermissionDescriptor): boolean {
  return Deno.permissions.querySync(descriptor).state === "granted";
}
