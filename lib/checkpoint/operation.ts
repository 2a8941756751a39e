/**
 * Identifies an operation by its two ends.
 *
 * @module
 */
import { describeEndpoint, type Endpoint } from "../postgres/internal.ts";

/**
 * Both ends as digests, without passwords, so that rotating a password does not matter.
 */
export interface RunEnds {
  /** SHA-256 as hexadecimal digits. */
  readonly source: string;
  /** SHA-256 as hexadecimal digits. */
  readonly target: string;
}

/** Digests both ends: user, hosts, ports and the database of the URL. */
export async function digestEnds(
  { source, target }: { readonly source: Endpoint; readonly target: Endpoint },
): Promise<RunEnds> {
  return { source: await digestEnd(source), target: await digestEnd(target) };
}

/** The identifier of an operation, as 32 hexadecimal digits. Each operation has one checkpoint. */
export async function operationOf({ source, target }: RunEnds): Promise<string> {
  return (await sha256(`operation 1 ${source} ${target}`)).slice(0, 32);
}

function digestEnd(endpoint: Endpoint): Promise<string> {
  return sha256(describeEndpoint({
    ...endpoint,
    hosts: endpoint.hosts.map(({ host, port }) => ({ host: host.toLowerCase(), port })),
  }));
}

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(digest).toHex();
}
