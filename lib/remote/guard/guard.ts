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

/** Resolves a name to all of its addresses. */
export type Resolver = (host: string) => Promise<readonly string[]>;

/** The system's resolver: the hosts file, then DNS. Requires `--allow-net` for the name. */
const systemResolver: Resolver = async (host) =>
  (await lookup(host, { all: true })).map(({ address }) => address);

/** A host of a URL resolves to an address that the service does not connect to. */
export class AddressRefusedError extends ReplicatorError {
  override readonly name = "AddressRefusedError";
  constructor(message: string) {
    super(message, {
      exitCode: ExitCode.usage,
      remedy: "the service's operator can allow it with --allow-address",
    });
  }
}

/** What {@linkcode AddressGuard} allows besides the public internet. */
export interface AllowList {
  /** `10.0.0.0/8`, `10.1.2.3`, `fd00::/8`. */
  readonly ranges: readonly AddressRange[];
  /** Names that may resolve to any address. */
  readonly hosts: ReadonlySet<string>;
}

/** Parses the operator's list; an entry that is neither a range nor a host name is a problem. */
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
    } else {
      problems.push(`"${text}" is not an address, a range such as 10.0.0.0/8, or a host name`);
    }
  }
  return { allow: { ranges, hosts }, problems };
}

/**
 * Prevents clients from reaching, through the service, hosts that only the service can reach
 * (SSRF).
 *
 * A name is resolved once. All of its addresses must be allowed, and the connection is made to one
 * of them, so a name that resolves differently a moment later (DNS rebinding) gains nothing.
 */
export class AddressGuard {
  readonly #allow: AllowList;
  readonly #resolve: Resolver;

  constructor(allow: AllowList, resolve: Resolver = systemResolver) {
    this.#allow = allow;
    this.#resolve = resolve;
  }

  /**
   * Returns the endpoint with the addresses that were checked.
   *
   * @throws AddressRefusedError if a host is a Unix socket or resolves to an address that is not
   * allowed
   * @throws ReplicatorError if a name cannot be resolved
   */
  async pin(endpoint: Endpoint): Promise<Endpoint> {
    const hosts = await Promise.all(
      endpoint.hosts.map((hostPort) => this.#check(hostPort, endpoint)),
    );
    return { ...endpoint, hosts };
  }

  async #check(hostPort: HostPort, { side }: Endpoint): Promise<HostPort> {
    const { host } = hostPort;
    if (host.startsWith("/") || host.startsWith("@")) {
      throw new AddressRefusedError(`the ${side} is a Unix socket`);
    }
    const literal = parseAddress(host);
    const addresses = literal === undefined ? await this.#resolveName(hostPort, side) : [host];
    for (const address of addresses) {
      const value = parseAddress(address);
      const reason = value === undefined
        ? "not a valid IP address"
        : this.#reasonToRefuse(value, host);
      if (reason !== undefined) {
        throw new AddressRefusedError(
          `the ${side} host ${host} resolves to an address that this service does not connect to (${reason})`,
        );
      }
    }
    return { ...hostPort, addresses };
  }

  #reasonToRefuse(address: AddressValue, host: string): string | undefined {
    if (this.#allow.hosts.has(host.toLowerCase())) return undefined;
    if (this.#allow.ranges.some((range) => isIn(range, address))) return undefined;
    return reasonToRefuse(address);
  }

  async #resolveName({ host }: HostPort, side: Endpoint["side"]): Promise<readonly string[]> {
    try {
      const addresses = await this.#resolve(host);
      if (addresses.length > 0) return addresses;
      throw new Error("the name has no addresses");
    } catch (cause) {
      throw new ReplicatorError(`the ${side} host ${host} cannot be resolved`, {
        side,
        exitCode: side === "source" ? ExitCode.sourceUnreachable : ExitCode.targetUnreachable,
        remedy: "check the name, and that it resolves in the worker's network",
        cause,
      });
    }
  }
}
