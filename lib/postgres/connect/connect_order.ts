/**
 * In which order hosts and encryptions are tried, as libpq does. Pure.
 *
 * @module
 */
import type { Encryption } from "./connect_transport.ts";
import type { Endpoint } from "./endpoint.ts";
import type { HostPort } from "./url.ts";

/** One way to connect. */
export interface ConnectChoice {
  readonly place: HostPort;
  readonly encryption: Encryption;
  /** What `target_session_attrs` asks of the server. */
  readonly attributes: string;
}

/** Host by host, and for each the encryptions that `sslmode` allows, in libpq's order. */
export function* connectOrder(endpoint: Endpoint): Generator<ConnectChoice> {
  const encryptions: Readonly<Record<typeof endpoint.tls.mode, readonly Encryption[]>> = {
    "disable": ["plain"],
    "allow": ["plain", "required"],
    "prefer": ["if-offered", "plain"],
    "require": ["required"],
    "verify-ca": ["required"],
    "verify-full": ["required"],
  };
  const { targetSessionAttributes } = endpoint;
  const passes = targetSessionAttributes === "prefer-standby"
    ? ["standby", "any"] as const
    : [targetSessionAttributes];
  for (const attributes of passes) {
    for (const place of endpoint.hosts) {
      for (
        const encryption of place.host.startsWith("/")
          ? ["plain"] as const
          : encryptions[endpoint.tls.mode]
      ) {
        yield { place, encryption, attributes };
      }
    }
  }
}
