/** Addresses from which programs run as if on separate machines. */
export interface TestHosts extends AsyncDisposable {
  /**
   * `namespaces`: each has its own interface, routes and ports; `loopback`: they share this
   * machine's.
   */
  readonly kind: "namespaces" | "loopback";
  /** Why namespaces are unavailable. */
  readonly reason?: string;
  /** Addresses that servers must listen on besides 127.0.0.1. */
  readonly listen: readonly string[];
  /** The network of all hosts. */
  readonly network: string;
  readonly hosts: readonly TestHost[];
}

/** One host. */
export interface TestHost {
  /** Its address; with `loopback`, connections still come from 127.0.0.1. */
  readonly address: string;
  /** The address at which it reaches servers on this machine. */
  readonly gateway: string;
  /** A command prefix that runs a program there; may be empty. */
  readonly through: readonly string[];
  /** Disconnects or reconnects it from the network; only with `namespaces`. */
  connect(connected: boolean): Promise<void>;
}

/**
 * Creates network namespaces, each connected to a bridge on this machine. Without root privileges,
 * or on other systems than Linux, hosts are loopback addresses.
 *
 * Everything is removed on disposal, and also if this process dies, even by SIGKILL.
 */
export async function makeHosts(count: number): Promise<TestHosts> {
  const names = namesOf(`seren${Deno.pid}`, count);
  const subnet = `10.${200 + Deno.pid % 50}.${Math.floor(Deno.pid / 50) % 250}`;
  const bridge = `${subnet}.1`;
  const cleaner = new Cleaner(names);
  const hosts: TestHost[] = [];
  try {
    await ip("link", "add", names.bridge, "type", "bridge");
    await ip("addr", "add", `${bridge}/24`, "dev", names.bridge);
    await ip("link", "set", names.bridge, "up");
    for (const [index, { namespace, outer, inner }] of names.hosts.entries()) {
      const address = `${subnet}.${index + 11}`;
      await ip("netns", "add", namespace);
      await ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", namespace);
      await ip("link", "set", outer, "master", names.bridge, "up");
      await ip("-n", namespace, "addr", "add", `${address}/24`, "dev", inner);
      for (const link of [inner, "lo"]) await ip("-n", namespace, "link", "set", link, "up");
      hosts.push({
        address,
        gateway: bridge,
        through: ["ip", "netns", "exec", namespace],
        connect: (connected) => ip("link", "set", outer, connected ? "up" : "down"),
      });
    }
    return {
      kind: "namespaces",
      listen: [bridge],
      network: `${subnet}.0/24`,
      hosts,
      [Symbol.asyncDispose]: () => cleaner[Symbol.asyncDispose](),
    };
  } catch (error) {
    await cleaner[Symbol.asyncDispose]();
    return loopbackHosts(count, error instanceof Error ? error.message : String(error));
  }
}

function loopbackHosts(count: number, reason: string): TestHosts {
  // other systems than Linux have only 127.0.0.1
  const addresses = Array.from(
    { length: count },
    (_, index) => Deno.build.os === "linux" ? `127.0.0.${index + 2}` : "127.0.0.1",
  );
  return {
    kind: "loopback",
    reason,
    listen: addresses,
    network: "127.0.0.0/8",
    hosts: addresses.map((address) => ({
      address,
      gateway: address,
      through: [],
      connect: () => Promise.reject(new Error("a loopback address has no cable")),
    })),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

interface Names {
  readonly bridge: string;
  readonly hosts: readonly {
    readonly namespace: string;
    readonly outer: string;
    readonly inner: string;
  }[];
}

/** Interface names are limited to 15 bytes. */
function namesOf(prefix: string, count: number): Names {
  return {
    bridge: `${prefix}b`,
    hosts: Array.from({ length: count }, (_, index) => ({
      namespace: `${prefix}-${index}`,
      outer: `${prefix}v${index}`,
      inner: "eth0",
    })),
  };
}

/**
 * A shell that waits for the end of its standard input, which occurs when this process ends in any
 * way.
 */
class Cleaner implements AsyncDisposable {
  readonly #process: Deno.ChildProcess | undefined;

  constructor({ bridge, hosts }: Names) {
    const steps = hosts.flatMap(({ namespace }) => [
      `for pid in $(ip netns pids ${namespace} 2>/dev/null); do kill -9 $pid; done`,
      `ip netns del ${namespace} 2>/dev/null`, // and its end of the cable, with the other one
    ]);
    const script = [
      "trap '' INT TERM HUP",
      "cat >/dev/null",
      ...steps,
      `ip link del ${bridge} 2>/dev/null`,
    ];
    this.#process = Deno.build.os === "windows" ? undefined : new Deno.Command("sh", {
      args: ["-c", `${script.join("\n")}\nexit 0`],
      stdin: "piped",
    }).spawn();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process?.stdin.close();
    await this.#process?.status;
  }
}

async function ip(...args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("ip", { args: [...args] }).output();
  if (success) return;
  throw new Error(`ip ${args.join(" ")}: ${new TextDecoder().decode(stderr).trim()}`);
}
