import { lookup } from "node:dns/promises";
import { ExitCode, ReplicatorError } from "../../core/internal.ts";
import type { Endpoint, HostPort } from "../../postgres/internal.ts";
import {
  type AddressRange,
  type AddressValue,
  isIn,
  parseAddress,
  parseAddressRange,
  reasonToRefuse,
} from "./address.ts";

/** Asks for all addresses of a name. */
export type Resolver = (host: string) => Promise<readonly string[]>;

/** The system's resolver: hosts file, then DNS. Requires `--allow-net` of the name. */
export const systemResolver: Resolver = async (host) =>
  (await lookup(host, { all: true })).map(({ address }) => address);

/** A host of a URL leads where the service does not connect to. */
export class AddressRefusedError extends ReplicatorError {
  override readonly name = "AddressRefusedError";
  constructor(message: string) {
    super(message, {
      exitCode: ExitCode.usage,
      remedy: "the operator of the service can allow it with --allow-address",
    });
  }
}

/** What {@linkcode AddressGuard} lets through besides the public internet. */
export interface AllowList {
  /** `10.0.0.0/8`, `10.1.2.3`, `fd00::/8`. */
  readonly ranges: readonly AddressRange[];
  /** Names whose addresses are good wherever they lead to. */
  readonly hosts: ReadonlySet<string>;
}

/** Reads an operator's list; what is neither a range nor a host name comes back as a problem. */
export function readAllowList(
  texts: readonly string[],
): { readonly allow: AllowList; readonly problems: readonly string[] } {
  const ranges: AddressRange[] = [];
  const hosts = new Set<string>();
  const problems: string[] = [];
  for (const text of texts) {
    const range = parseAddressRange(text);
    if (range !== undefined) ranges.push(range);
    else if (/^(?!\d+(\.\d+)*(\/|$))[\p{L}\p{N}_-]+(\.[\p{L}\p{N}_-]+)*$/u.test(text)) {
      hosts.add(text.toLowerCase());
    } else {problems.push(
        `"${text}" is neither an address, a range like 10.0.0.0/8, nor a host name`,
      );}
  }
  return { allow: { ranges, hosts }, problems };
}

/**
 * Keeps a service from being used to reach what only the service can reach (SSRF).
 *
 * A name is resolved once; every address that it has must be allowed, and the connection is then
 * made to one of those addresses, so that a name that resolves otherwise a moment later (DNS
 * rebinding) gains nothing.
 */
export class AddressGuard {
  readonly #allow: AllowList;
  readonly #resolve: Resolver;

  constructor(allow: AllowList, resolve: Resolver = systemResolver) {
    this.#allow = allow;
    this.#resolve = resolve;
  }

  /**
   * The endpoint with the addresses that were checked.
   *
   * @throws AddressRefusedError when a host leads to an address that is not allowed, or is a Unix
   * socket
   * @throws ReplicatorError when a name cannot be resolved
   */
  async pin(endpoint: Endpoint): Promise<Endpoint> {
    const hosts = await Promise.all(
      endpoint.hosts.map((place) => this.#addresses(place, endpoint)),
    );
    return { ...endpoint, hosts };
  }

  async #addresses(place: HostPort, { side }: Endpoint): Promise<HostPort> {
    const { host } = place;
    if (host.startsWith("/") || host.startsWith("@")) {
      throw new AddressRefusedError(`the ${side} is a Unix socket`);
    }
    const literal = parseAddress(host);
    const addresses = literal === undefined ? await this.#resolved(place, side) : [host];
    for (const address of addresses) {
      const value = parseAddress(address);
      const reason = value === undefined
        ? "no address that can be read"
        : this.#refusal(value, host);
      if (reason !== undefined) {
        throw new AddressRefusedError(
          `the ${side} host ${host} leads to an address that this service does not connect to (${reason})`,
        );
      }
    }
    return { ...place, addresses };
  }

  #refusal(address: AddressValue, host: string): string | undefined {
    if (this.#allow.hosts.has(host.toLowerCase())) return undefined;
    if (this.#allow.ranges.some((range) => isIn(range, address))) return undefined;
    return reasonToRefuse(address);
  }

  async #resolved({ host }: HostPort, side: Endpoint["side"]): Promise<readonly string[]> {
    try {
      const addresses = await this.#resolve(host);
      if (addresses.length > 0) return addresses;
      throw new Error("it has no address");
    } catch (cause) {
      throw new ReplicatorError(`the ${side} host ${host} cannot be resolved`, {
        side,
        exitCode: side === "source" ? ExitCode.sourceUnreachable : ExitCode.targetUnreachable,
        remedy: "is the name right, and does the worker's network know it?",
        cause,
      });
    }
  }
}
