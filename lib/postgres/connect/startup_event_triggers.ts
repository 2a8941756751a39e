/**
 * Disables a database's event triggers in the tool's sessions from login on.
 *
 * A `login` event trigger (PostgreSQL 17 or later) runs with the privileges of the connecting role,
 * before any statement could disable it: only the startup packet comes earlier. Servers before 17,
 * roles without the privilege to set `event_triggers`, and poolers that do not know it reject the
 * connection. So the first connection asks for it, a second one does without, and the answer is
 * remembered.
 *
 * Source: PostgreSQL documentation, "19.11.1. Statement Behavior" and "38.1. Overview of Event
 * Trigger Behavior".
 *
 * @module
 */
import type { Endpoint } from "./endpoint.ts";
import type { ServerMessage } from "../protocol/server_message.ts";
import type { HostPort } from "./url.ts";

/** The parameter of the startup packet. */
export const startupParameters = { event_triggers: "off" } as const;

/** The same for libpq programs. */
export const startupOption = "-c event_triggers=off";

/**
 * How long a rejection is remembered: a server may be upgraded, or the role become a superuser,
 * while a worker of the service keeps running.
 */
const refusalHoldsMs = 10 * 60_000;

type KnownAnswer = { readonly accepted: boolean; readonly atMs: number };

/**
 * Answers of servers to this thread, by host, port and user.
 */
const answers = new Map<string, KnownAnswer>();

function serverKey({ host, port }: HostPort, user: string): string {
  return JSON.stringify([host, port, user]);
}

/** Whether to ask a host: unless it rejected the parameter recently. */
export function asksWithoutEventTriggers({ user }: Endpoint, place: HostPort): boolean {
  const answer = answers.get(serverKey(place, user));
  return answer === undefined || answer.accepted ||
    performance.now() - answer.atMs > refusalHoldsMs;
}

/** Remembers the answer of a host. */
export function noteEventTriggers(
  { user }: Endpoint,
  { place, accepted }: { readonly place: HostPort; readonly accepted: boolean },
): void {
  answers.set(serverKey(place, user), { accepted, atMs: performance.now() });
}

/**
 * Whether client programs can use {@linkcode startupOption}: a session was accepted with it, and
 * none was rejected.
 */
export function acceptsStartupOption({ hosts, user }: Endpoint): boolean {
  const known = hosts.flatMap((place) => answers.get(serverKey(place, user)) ?? []);
  return known.length > 0 && known.every(({ accepted }) => accepted);
}

/** The endpoint's hosts that reject it, so that another thread need not ask them again. */
export function refusingHosts(endpoint: Endpoint): readonly HostPort[] {
  return endpoint.hosts.filter((place) => !asksWithoutEventTriggers(endpoint, place));
}

/**
 * Error classes that do not concern the parameter: no privilege to connect, unknown database, no
 * free connection, server starting or stopping.
 */
const otherRefusals: ReadonlySet<string> = new Set(["28", "3D", "53", "57"]);

/**
 * Whether a rejected connection may be due to the parameter; every pooler has its own error for
 * that.
 */
export function mayRefuseParameter({ sqlState }: ServerMessage): boolean {
  return !otherRefusals.has(sqlState.slice(0, 2));
}
