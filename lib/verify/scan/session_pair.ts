/**
 * Pairs of sessions for reading, one on each side.
 *
 * @module
 */
import { retry, type Side } from "../../core/internal.ts";
import { type Endpoint, openSession, type Session } from "../../postgres/internal.ts";
import { scanSettings } from "./scan.ts";

/** A session on each side. */
export interface SessionPair {
  readonly source: Session;
  readonly target: Session;
}

/** The endpoints of a {@linkcode PairPool}. */
export interface PairPlaces {
  readonly source: Endpoint;
  readonly target: Endpoint;
}

/**
 * A pool of session pairs. If a session breaks, its pair is replaced and the work repeated, which
 * is safe because it only reads.
 */
export class PairPool implements AsyncDisposable {
  readonly #places: PairPlaces;
  readonly #idle: SessionPair[] = [];

  constructor(places: PairPlaces) {
    this.#places = places;
  }

  /** Runs work that may be repeated with a pair from the pool. */
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
 * Works on both sides in parallel; a failure is thrown after both have ended.
 */
export async function both<Result>(
  work: (side: Side) => Promise<Result>,
): Promise<readonly [Result, Result]> {
  const [source, target] = await Promise.allSettled([work("source"), work("target")]);
  if (source.status === "rejected") throw source.reason;
  if (target.status === "rejected") throw target.reason;
  return [source.value, target.value];
}
