/**
 * Sessions for reading, one on each side.
 *
 * @module
 */
import { type Endpoint, openSession, retry, type Session } from "../../postgres/internal.ts";
import { scanSettings } from "./scan.ts";

/** A session on each side. */
export interface SessionPair {
  readonly source: Session;
  readonly target: Session;
}

/** Where the pairs of a {@linkcode PairPool} are opened. */
export interface PairPlaces {
  readonly source: Endpoint;
  readonly target: Endpoint;
}

/**
 * Session pairs that are used again; one that broke is replaced, and what it was to do is done
 * again: it only reads.
 */
export class PairPool implements AsyncDisposable {
  readonly #places: PairPlaces;
  readonly #idle: SessionPair[] = [];

  constructor(places: PairPlaces) {
    this.#places = places;
  }

  /** Lends a pair for work that may be repeated. */
  use<Result>(work: (pair: SessionPair) => Promise<Result>, signal: AbortSignal): Promise<Result> {
    return retry(async () => {
      const pair = this.#idle.pop() ?? await this.#open(signal);
      let result: Result;
      try {
        result = await work(pair);
      } catch (error) {
        await close(pair);
        throw error;
      }
      this.#idle.push(pair);
      return result;
    }, { signal });
  }

  async #open(signal: AbortSignal): Promise<SessionPair> {
    const open = (endpoint: Endpoint) => openSession(endpoint, { signal, settings: scanSettings });
    const [source, target] = await Promise.allSettled([
      open(this.#places.source),
      open(this.#places.target),
    ]);
    if (source.status === "fulfilled" && target.status === "fulfilled") {
      return { source: source.value, target: target.value };
    }
    if (source.status === "fulfilled") await source.value.close();
    if (target.status === "fulfilled") await target.value.close();
    throw source.status === "rejected" ? source.reason : (target as PromiseRejectedResult).reason;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#idle.map(close));
  }
}

async function close({ source, target }: SessionPair): Promise<void> {
  await Promise.all([source.close(), target.close()]);
}

/**
 * Does something on both sides at once; when one fails it is told after the other has ended too.
 */
export async function both<Result>(
  work: (side: "source" | "target") => Promise<Result>,
): Promise<readonly [Result, Result]> {
  const [source, target] = await Promise.allSettled([work("source"), work("target")]);
  if (source.status === "rejected") throw source.reason;
  if (target.status === "rejected") throw target.reason;
  return [source.value, target.value];
}
