/**
 * Connection settings as libpq parameters, for programs and servers that connect on their own.
 *
 * @module
 */
import type { Endpoint } from "./endpoint.ts";

interface LibpqParameter {
  readonly keyword: string;
  readonly value: string;
  /**
   * First major version whose libpq knows it; an older one rejects the whole connection string.
   */
  readonly since: number;
  /** Whether the connection would be less secure without it. */
  readonly isRequired: boolean;
}

function parametersOf({ tls, login }: Endpoint): readonly LibpqParameter[] {
  const parameter = (
    keyword: string,
    value: string | undefined,
    { since, isRequired = true }: { readonly since: number; readonly isRequired?: boolean },
  ): readonly LibpqParameter[] =>
    value === undefined ? [] : [{ keyword, value, since, isRequired }];
  const binding = login.channelBinding;
  return [
    // as the tool itself connects
    ...parameter("gssencmode", "disable", { since: 12, isRequired: false }),
    ...parameter("channel_binding", binding === "prefer" ? undefined : binding, {
      since: 13,
      isRequired: binding === "require",
    }),
    ...parameter("require_auth", login.requireAuth, { since: 16 }),
    ...parameter("ssl_min_protocol_version", tls.minVersion === "TLSv1.3" ? "TLSv1.3" : undefined, {
      since: 13,
    }),
    ...parameter("ssl_max_protocol_version", tls.maxVersion === "TLSv1.2" ? "TLSv1.2" : undefined, {
      since: 13,
    }),
    ...parameter("sslnegotiation", tls.negotiation === "direct" ? "direct" : undefined, {
      since: 17,
    }),
    ...parameter("sslcertmode", tls.client === undefined ? "disable" : undefined, {
      since: 16,
      isRequired: false,
    }),
  ];
}

/** Keywords and values that libpq of this major version knows. */
export function libpqParameters(
  endpoint: Endpoint,
  major: number,
): readonly (readonly [keyword: string, value: string])[] {
  return parametersOf(endpoint)
    .filter(({ since }) => since <= major)
    .map(({ keyword, value }) => [keyword, value] as const);
}

/** Required keywords that libpq of this major version does not know. */
export function missingLibpqParameters(endpoint: Endpoint, major: number): readonly string[] {
  return parametersOf(endpoint)
    .filter(({ since, isRequired }) => isRequired && since > major)
    .map(({ keyword }) => keyword);
}

/** First major version whose libpq knows every required keyword. */
export function minLibpqMajor(endpoint: Endpoint): number {
  return Math.max(...parametersOf(endpoint).map(({ since, isRequired }) => isRequired ? since : 0));
}
