/**
 * The rules of a connection in libpq's words, for programs and servers that connect by themselves.
 *
 * @module
 */
import type { Endpoint } from "./endpoint.ts";

interface Word {
  readonly keyword: string;
  readonly value: string;
  /**
   * The first major version whose libpq knows it; an older one refuses the whole connection string.
   */
  readonly since: number;
  /** Whether the connection would be less safe without it. */
  readonly needed: boolean;
}

function wordsOf({ tls, login }: Endpoint): readonly Word[] {
  const word = (
    keyword: string,
    value: string | undefined,
    { since, needed = true }: { readonly since: number; readonly needed?: boolean },
  ): readonly Word[] => value === undefined ? [] : [{ keyword, value, since, needed }];
  const binding = login.channelBinding;
  return [
    ...word("gssencmode", "disable", { since: 12, needed: false }), // as the tool itself connects
    ...word("channel_binding", binding === "prefer" ? undefined : binding, {
      since: 13,
      needed: binding === "require",
    }),
    ...word("require_auth", login.requireAuth, { since: 16 }),
    ...word("ssl_min_protocol_version", tls.minVersion === "TLSv1.3" ? "TLSv1.3" : undefined, {
      since: 13,
    }),
    ...word("ssl_max_protocol_version", tls.maxVersion === "TLSv1.2" ? "TLSv1.2" : undefined, {
      since: 13,
    }),
    ...word("sslnegotiation", tls.negotiation === "direct" ? "direct" : undefined, { since: 17 }),
    ...word("sslcertmode", tls.client === undefined ? "disable" : undefined, {
      since: 16,
      needed: false,
    }),
  ];
}

/** Keywords and values that a libpq of this major version knows. */
export function libpqParameters(
  endpoint: Endpoint,
  major: number,
): readonly (readonly [keyword: string, value: string])[] {
  return wordsOf(endpoint)
    .filter(({ since }) => since <= major)
    .map(({ keyword, value }) => [keyword, value] as const);
}

/** Keywords that are needed and that a libpq of this major version does not know. */
export function missingLibpqParameters(endpoint: Endpoint, major: number): readonly string[] {
  return wordsOf(endpoint)
    .filter(({ since, needed }) => needed && since > major)
    .map(({ keyword }) => keyword);
}

/** The first major version whose libpq can be told everything that is needed. */
export function minLibpqMajor(endpoint: Endpoint): number {
  return Math.max(...wordsOf(endpoint).map(({ since, needed }) => needed ? since : 0));
}
