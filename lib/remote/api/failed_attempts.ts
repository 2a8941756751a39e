import { parseAddress } from "../guard/mod.ts";

/** How many wrong keys an address may show. */
export interface FailureLimits {
  /** At once. */
  readonly burst: number;
  /** Later, a second. */
  readonly perSecond: number;
  /** Addresses that are remembered; beyond it the one whose last failure is oldest is forgotten. */
  readonly maxAddresses: number;
}

/** Enough for a client with a stale key; too slow to learn anything by trying. */
export const defaultFailureLimits: FailureLimits = {
  burst: 20,
  perSecond: 1,
  maxAddresses: 10_000,
};

interface Bucket {
  tokens: number;
  atMs: number;
}

/**
 * Counts wrong keys by the address that showed them, never by the key: a prefix is no secret, and
 * whoever knows one must not be able to lock its owner out. A right key is not counted and not
 * refused, wherever it comes from.
 *
 * The address is that of the connection. What a client claims about itself (`X-Forwarded-For`) does
 * not count.
 */
export class FailedAttempts {
  readonly #limits: FailureLimits;
  readonly #buckets = new Map<string, Bucket>();
  readonly #now: () => number;

  constructor(
    limits: FailureLimits = defaultFailureLimits,
    now: () => number = () => performance.now(),
  ) {
    this.#limits = limits;
    this.#now = now;
  }

  /** Addresses that are remembered. */
  get size(): number {
    return this.#buckets.size;
  }

  /** Whether an address has none left. */
  isExhausted(address: string | undefined): boolean {
    return this.#refilled(networkOf(address)).tokens < 1;
  }

  /** Counts one more. */
  add(address: string | undefined): void {
    const network = networkOf(address);
    const bucket = this.#refilled(network);
    this.#buckets.delete(network); // to the end: maps keep the order of insertion
    this.#buckets.set(network, { ...bucket, tokens: Math.max(0, bucket.tokens - 1) });
    if (this.#buckets.size <= this.#limits.maxAddresses) return;
    const [oldest] = this.#buckets.keys();
    if (oldest !== undefined) this.#buckets.delete(oldest);
  }

  #refilled(network: string): Bucket {
    const { burst, perSecond } = this.#limits;
    const atMs = this.#now();
    const bucket = this.#buckets.get(network);
    if (bucket === undefined) return { tokens: burst, atMs };
    const tokens = bucket.tokens + perSecond * (atMs - bucket.atMs) / 1_000;
    return { tokens: Math.min(burst, tokens), atMs };
  }
}

/**
 * An IPv4 address, or the /64 network of an IPv6 address, since a client usually controls all
 * addresses of its network.
 */
export function networkOf(address: string | undefined): string {
  if (address === undefined) return "unknown";
  const value = parseAddress(address);
  if (value === undefined) return address;
  if (value.isIPv4MappedAddress()) return value.toIPv4Address().toString();
  return value.parts.slice(0, 4).map((group) => group.toString(16)).join(":");
}
