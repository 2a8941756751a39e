/**
 * IP addresses and ranges, and which of them a service must not connect to on a client's behalf.
 *
 * Source: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and its updates).
 *
 * @module
 */
import ipaddr from "ipaddr.js";

/** An IP address; IPv4 as IPv4-mapped IPv6 (RFC 4291, section 2.5.5.2). */
export type AddressValue = ipaddr.IPv6;

/** A range of addresses: the first one, and how many of its 128 leading bits are fixed. */
export type AddressRange = readonly [first: AddressValue, bits: number];

/**
 * Parses an IPv4 or IPv6 address without brackets; a zone is ignored. Returns undefined for
 * anything else, including the short, octal and hexadecimal forms of IPv4 that some resolvers
 * accept.
 */
export function parseAddress(text: string): AddressValue | undefined {
  const [address = ""] = text.split("%");
  if (!address.includes(":")) return parseIpv4(address)?.toIPv4MappedAddress();
  const plain = withoutDottedTail(address);
  return plain !== undefined && ipaddr.IPv6.isValid(plain) ? ipaddr.IPv6.parse(plain) : undefined;
}

function parseIpv4(text: string): ipaddr.IPv4 | undefined {
  return ipaddr.IPv4.isValidFourPartDecimal(text) ? ipaddr.IPv4.parse(text) : undefined;
}

/**
 * `64:ff9b::10.0.0.1` as `64:ff9b::a00:1`. The library reads such a tail as octal or hexadecimal
 * too, and `::10.0.0.1` as an IPv4-mapped address.
 */
function withoutDottedTail(text: string): string | undefined {
  const tail = text.slice(text.lastIndexOf(":") + 1);
  if (!tail.includes(".")) return text;
  const groups = parseIpv4(tail)?.toIPv4MappedAddress().parts.slice(6);
  return groups &&
    text.slice(0, -tail.length) + groups.map((group) => group.toString(16)).join(":");
}

/** Parses `10.0.0.0/8`, `fd00::/8` or a single address; undefined for anything else. */
export function parseAddressRange(text: string): AddressRange | undefined {
  const [address = "", length, ...more] = text.split("/");
  const first = parseAddress(address);
  if (first === undefined || more.length > 0) return undefined;
  const isIpv4 = !address.includes(":");
  const maxBits = isIpv4 ? 32 : 128;
  const bits = length === undefined ? maxBits : /^\d{1,3}$/.test(length) ? Number(length) : NaN;
  if (!(bits <= maxBits)) return undefined;
  return [first, isIpv4 ? bits + 96 : bits];
}

/** Whether the range contains the address. */
export function isIn([first, bits]: AddressRange, address: AddressValue): boolean {
  return address.match(first, bits);
}

const special: readonly (readonly [range: string, what: string])[] = [
  ["0.0.0.0/8", "this network"],
  ["10.0.0.0/8", "a private network"],
  ["100.64.0.0/10", "a provider's shared network"],
  ["127.0.0.0/8", "this machine"],
  ["169.254.0.0/16", "link-local, includes cloud metadata services"],
  ["172.16.0.0/12", "a private network"],
  ["192.0.0.0/24", "reserved for protocols"],
  ["192.0.2.0/24", "reserved for documentation"],
  ["192.88.99.0/24", "6to4 relays"],
  ["192.168.0.0/16", "a private network"],
  ["198.18.0.0/15", "reserved for benchmarks"],
  ["198.51.100.0/24", "reserved for documentation"],
  ["203.0.113.0/24", "reserved for documentation"],
  ["224.0.0.0/4", "multicast"],
  ["240.0.0.0/4", "reserved, including broadcast"],
  ["168.63.129.16/32", "a cloud provider's internal services"],
  ["::/128", "the unspecified address"],
  ["::1/128", "this machine"],
  ["100::/64", "discard-only"],
  ["2001::/23", "reserved for protocols, including Teredo"],
  ["2001:db8::/32", "reserved for documentation"],
  ["3fff::/20", "reserved for documentation"],
  ["5f00::/16", "segment routing"],
  ["fc00::/7", "a private network"],
  ["fe80::/10", "link-local"],
  ["fec0::/10", "site-local"],
  ["ff00::/8", "multicast"],
];

const denied = special.map(([range, what]) => ({ range: parseAddressRange(range)!, what }));

/** Ranges whose addresses embed an IPv4 address, and the offset of its four bytes. */
const embeddings: readonly { readonly range: AddressRange; readonly offset: number }[] = [
  { range: parseAddressRange("::/96")!, offset: 12 }, // IPv4-compatible, deprecated
  { range: parseAddressRange("::ffff:0:0:0/96")!, offset: 12 }, // IPv4-translated
  { range: parseAddressRange("64:ff9b::/96")!, offset: 12 }, // NAT64
  { range: parseAddressRange("64:ff9b:1::/48")!, offset: 12 }, // NAT64, local use
  { range: parseAddressRange("2002::/16")!, offset: 2 }, // 6to4
];

/**
 * Why the service must not connect to the address; undefined if it belongs to the public internet.
 */
export function reasonToRefuse(address: AddressValue): string | undefined {
  const direct = denied.find(({ range }) => isIn(range, address));
  if (direct !== undefined) return direct.what;
  for (const { range, offset } of embeddings) {
    if (!isIn(range, address)) continue;
    const bytes = address.toByteArray().slice(offset, offset + 4);
    const inner = new ipaddr.IPv4(bytes).toIPv4MappedAddress();
    const found = denied.find(({ range }) => isIn(range, inner));
    if (found !== undefined) return `${found.what}, within an IPv6 address`;
  }
  return undefined;
}
