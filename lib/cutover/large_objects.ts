/**
 * Large objects at a cutover: replication does not carry them. They are compared and copied before
 * writers wait, and again while they do: then only what has changed since.
 *
 * The barrier does not stop a session that writes to large objects alone. One that also writes to a
 * table in scope has committed when the barrier is granted, or waits for it.
 *
 * @module
 */
import { retry } from "../core/internal.ts";
import {
  durableSettings,
  openSession,
  type Session,
  silenceEventTriggers,
} from "../postgres/internal.ts";
import { summarizeLargeObjects } from "../catalog/internal.ts";
import { type LargeObjectDelta, refreshLargeObjects } from "../copy/internal.ts";
import { digestLargeObjects } from "../verify/internal.ts";
import type { DatabaseRoute } from "./route.ts";

/** What one comparison showed. */
export interface CarriedLargeObjects {
  /** Those of the side in use. */
  readonly compared: number;
  /** Created or changed, and copied. */
  readonly copied: number;
  /** Deleted on the side in use, and removed. */
  readonly removed: number;
  readonly ms: number;
  /** What could not be done. */
  readonly notes: readonly string[];
}

/** Contents by OID, as a text that can be compared. */
type Contents = ReadonlyMap<number, string>;

const refreshAttempts = 3;

interface CarrierOptions {
  readonly signal: AbortSignal;
  /** Has a session that writes on the other side take part in the lock of the switch. */
  readonly join: (session: Session) => Promise<void>;
}

/**
 * The large objects of one database of a switch.
 *
 * States: unknown → known, once {@linkcode carry} has compared both sides; from then on only the
 * side in use is read.
 */
export class LargeObjectCarrier implements AsyncDisposable {
  readonly #route: DatabaseRoute;
  readonly #signal: AbortSignal;
  readonly #reading: Session;
  readonly #join: CarrierOptions["join"];
  /** What the other side has. */
  #known: Contents | undefined;

  private constructor(
    route: DatabaseRoute,
    { reading, signal, join }: CarrierOptions & { readonly reading: Session },
  ) {
    this.#route = route;
    this.#reading = reading;
    this.#signal = signal;
    this.#join = join;
  }

  /** Process ID of the backend that reads the side in use. */
  get processId(): number {
    return this.#reading.processId;
  }

  /** Opens the session that reads the side in use. */
  static async open(route: DatabaseRoute, options: CarrierOptions): Promise<LargeObjectCarrier> {
    const { signal } = options;
    const reading = await retry(() => openSession(route.from, { signal }), { signal });
    return new LargeObjectCarrier(route, { ...options, reading });
  }

  /**
   * Makes the other side's large objects equal to those of the side in use. Can be repeated; other
   * writes than those of the tool on the other side are found only by the first call.
   */
  async carry(): Promise<CarriedLargeObjects> {
    const start = performance.now();
    for (let attempt = 1;; attempt++) {
      const { unreadable } = await summarizeLargeObjects(this.#reading);
      if (unreadable > 0) {
        return {
          compared: 0,
          copied: 0,
          removed: 0,
          ms: performance.now() - start,
          notes: [`large objects were not compared: the role may not read ${unreadable} of them`],
        };
      }
      const here = await readDigests(this.#reading);
      const delta = compareContents(here, this.#known ?? await this.#readOther());
      try {
        const refused = await this.#refresh(delta);
        this.#known = here;
        return {
          compared: here.size,
          copied: delta.created.length + delta.changed.length,
          removed: delta.removed.length,
          ms: performance.now() - start,
          notes: refused,
        };
      } catch (error) {
        // one may have been deleted in the meantime; the next comparison finds what is left to do
        this.#known = undefined;
        this.#signal.throwIfAborted();
        if (attempt >= refreshAttempts) throw error;
      }
    }
  }

  /** Those that have been written since they were copied, while the side was being closed. */
  async readLate(): Promise<readonly number[]> {
    if (this.#known === undefined) return [];
    await using session = await retry(() => openSession(this.#route.from));
    const { created, changed, removed } = compareContents(
      await readDigests(session),
      this.#known,
    );
    return [...created, ...changed, ...removed];
  }

  async #readOther(): Promise<Contents> {
    await using session = await this.#open("to");
    return await readDigests(session);
  }

  async #refresh(delta: LargeObjectDelta): Promise<readonly string[]> {
    const { created, changed, removed } = delta;
    if (created.length + changed.length + removed.length === 0) return [];
    await using source = await this.#open("from");
    await using target = await this.#open("to");
    await this.#join(target);
    await silenceEventTriggers(target);
    const refused: string[] = [];
    await refreshLargeObjects({ source, target }, {
      ...delta,
      onRefused: (message, object) => refused.push(`${object}: ${message}`),
    });
    return refused;
  }

  #open(side: "from" | "to"): Promise<Session> {
    const signal = this.#signal;
    return retry(
      () => openSession(this.#route[side], { signal, settings: durableSettings }),
      { signal },
    );
  }

  /** Closes its session. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reading.close();
  }
}

async function readDigests(session: Session): Promise<Contents> {
  const contents = new Map<number, string>();
  for await (const page of digestLargeObjects(session)) {
    for (const { oid, bytes, hash } of page) contents.set(oid, `${bytes}:${hash}`);
  }
  return contents;
}

/** What makes the other side's large objects equal to those here. Pure. */
function compareContents(here: Contents, there: Contents): LargeObjectDelta {
  const oids = [...here.keys()];
  return {
    created: oids.filter((oid) => !there.has(oid)),
    changed: oids.filter((oid) => there.has(oid) && there.get(oid) !== here.get(oid)),
    removed: [...there.keys()].filter((oid) => !here.has(oid)),
  };
}
