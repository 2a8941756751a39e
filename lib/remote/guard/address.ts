/**
 * Addresses and ranges of them, and which of them a service must not connect to for a stranger.
 *
 * Source: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and its updates).
 *
 * @module
 */

/** An address as a number of 128 bits; IPv4 as IPv4-mapped IPv6 (RFC 4291, section 2.5.5.2). */
export type AddressValue = bigint;

/** A range of addresses. */
export interface AddressRange {
  readonly first: AddressValue;
  /** How many leading bits count, of 128. */
  readonly bits: number;
}

const mapped = 0xffffn << 32n;

/**
 * Reads an IPv4 or IPv6 address (without brackets, a zone is ignored); undefined when it is none.
 */
export function parseAddress(text: string): AddressValue | undefined {
  const [address = ""] = text.split("%");
  return address.includes(":") ? parseIpv6(address) : parseIpv4(address);
}

function parseIpv4(text: string): AddressValue | undefined {
  const parts = text.split(".");
  // no shorthand (127.1), no octal and no hexadecimal: what this does not read, nobody connects to
  if (parts.length !== 4 || parts.some((part) => !/^(0|[1-9]\d{0,2})$/.test(part))) {
    return undefined;
  }
  const numbers = parts.map(Number);
  if (numbers.some((number) => number > 255)) return undefined;
  return mapped | BigInt(numbers.reduce((value, number) => value * 256 + number, 0));
}

function parseIpv6(text: string): AddressValue | undefined {
  let rest = text;
  let tail: bigint | undefined;
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (dotted !== null) {
    const value = parseIpv4(dotted[2]!);
    if (value === undefined) return undefined;
    tail = value & 0xffff_ffffn;
    rest = `${dotted[1]}${(tail >> 16n).toString(16)}:${(tail & 0xffffn).toString(16)}`;
  }
  const halves = rest.split("::");
  if (halves.length > 2) return undefined;
  const groups = (half: string) => half === "" ? [] : half.split(":");
  const [left, right] = [groups(halves[0]!), groups(halves[1] ?? "")];
  const missing = 8 - left.length - right.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const all = [...left, ...Array<string>(Math.max(0, missing)).fill("0"), ...right];
  if (all.some((group) => !/^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  return all.reduce((value, group) => value << 16n | BigInt(`0x${group}`), 0n);
}

/** Reads `10.0.0.0/8`, `fd00::/8` or one address; undefined when it is none of these. */
export function parseAddressRange(text: string): AddressRange | undefined {
  const [address = "", length, ...more] = text.split("/");
  const first = parseAddress(address);
  if (first === undefined || more.length > 0) return undefined;
  const isIpv4 = !address.includes(":");
  const most = isIpv4 ? 32 : 128;
  const bits = length === undefined ? most : /^\d{1,3}$/.test(length) ? Number(length) : NaN;
  if (!(bits <= most)) return undefined;
  return { first, bits: isIpv4 ? bits + 96 : bits };
}

/** Whether the address is in the range. */
export function isIn({ first, bits }: AddressRange, address: AddressValue): boolean {
  const shift = BigInt(128 - bits);
  return first >> shift === address >> shift;
}

const special: readonly (readonly [range: string, what: string])[] = [
  ["0.0.0.0/8", "this network"],
  ["10.0.0.0/8", "a private network"],
  ["100.64.0.0/10", "a provider's shared network"],
  ["127.0.0.0/8", "the machine itself"],
  ["169.254.0.0/16", "link-local, where clouds keep their metadata"],
  ["172.16.0.0/12", "a private network"],
  ["192.0.0.0/24", "reserved for protocols"],
  ["192.0.2.0/24", "reserved for documentation"],
  ["192.88.99.0/24", "6to4 relays"],
  ["192.168.0.0/16", "a private network"],
  ["198.18.0.0/15", "reserved for benchmarks"],
  ["198.51.100.0/24", "reserved for documentation"],
  ["203.0.113.0/24", "reserved for documentation"],
  ["224.0.0.0/4", "multicast"],
  ["240.0.0.0/4", "reserved, broadcast among them"],
  ["168.63.129.16/32", "a cloud's internal services"],
  ["::/128", "no address"],
  ["::1/128", "the machine itself"],
  ["100::/64", "discarded"],
  ["2001::/23", "reserved for protocols, Teredo among them"],
  ["2001:db8::/32", "reserved for documentation"],
  ["3fff::/20", "reserved for documentation"],
  ["5f00::/16", "segment routing"],
  ["fc00::/7", "a private network"],
  ["fe80::/10", "link-local"],
  ["fec0::/10", "site-local"],
  ["ff00::/8", "multicast"],
];

const denied = special.map(([range, what]) => ({ range: parseAddressRange(range)!, what }));

/** Ranges whose addresses carry an IPv4 address, and where in them it is. */
const carriers: readonly { readonly range: AddressRange; readonly shift: bigint }[] = [
  { range: parseAddressRange("::/96")!, shift: 0n }, // IPv4-compatible, deprecated
  { range: parseAddressRange("::ffff:0:0:0/96")!, shift: 0n }, // IPv4-translated
  { range: parseAddressRange("64:ff9b::/96")!, shift: 0n }, // NAT64
  { range: parseAddressRange("64:ff9b:1::/48")!, shift: 0n }, // NAT64, local use
  { range: parseAddressRange("2002::/16")!, shift: 80n }, // 6to4
];

/**
 * Why the address must not be connected to; undefined when it is an address of the public internet.
 */
export function reasonToRefuse(address: AddressValue): string | undefined {
  const direct = denied.find(({ range }) => isIn(range, address));
  if (direct !== undefined) return direct.what;
  for (const { range, shift } of carriers) {
    if (!isIn(range, address)) continue;
    const inner = mapped | (address >> shift & 0xffff_ffffn);
    const found = denied.find(({ range }) => isIn(range, inner));
    if (found !== undefined) return `${found.what}, within an IPv6 address`;
  }
  return undefined;
}
