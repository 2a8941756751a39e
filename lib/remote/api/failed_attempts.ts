import { parseAddress } from "../guard/mod.ts";

/** How many invalid keys an address may present. */
export interface FailureLimits {
  /** Burst size. */
  readonly burst: number;
  /** Sustained rate, per second. */
  readonly perSecond: number;
  /** Addresses remembered; beyond it, the one with the oldest last failure is dropped. */
  readonly maxAddresses: number;
}

/** Enough for a client with a stale key, too slow to guess keys. */
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
 * Counts invalid keys by client address, never by key: prefixes are not secret, and knowing one
 * must not allow locking out its owner. Valid keys are neither counted nor refused, whatever their
 * address.
 *
 * The address is that of the connection; `X-Forwarded-For` is ignored.
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

  /** Number of addresses remembered. */
  get size(): number {
    return this.#buckets.size;
  }

  /** Whether an address has used up its attempts. */
  isExhausted(address: string | undefined): boolean {
    return this.#refilled(networkOf(address)).tokens < 1;
  }

  /** Counts a failed attempt. */
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
