/**
 * Keeping event triggers of a database from running in the tool's sessions, from the login on.
 *
 * A `login` event trigger (PostgreSQL 17 or newer) runs with the rights of whoever connects, before
 * the first statement can switch it off: only the startup packet comes earlier. A server before 17
 * does not know `event_triggers`, roles other than superusers may not set it unless it was granted
 * to them, and poolers refuse what they do not know, each by refusing the connection. So the first
 * connection asks for it, a second one does without, and the answer is kept.
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

/** The same for programs of libpq. */
export const startupOption = "-c event_triggers=off";

/**
 * A server may have been upgraded, or the role have become a superuser, while a service's worker
 * went on.
 */
const refusalHoldsMs = 10 * 60_000;

type Answer = { readonly accepted: boolean; readonly atMs: number };

/**
 * What servers have answered to this process (to this thread, in a Web Worker), by host, port and
 * user.
 */
const answers = new Map<string, Answer>();

function keyOf({ host, port }: HostPort, user: string): string {
  return JSON.stringify([host, port, user]);
}

/** Whether a host is to be asked: unless it has refused lately. */
export function asksWithoutEventTriggers({ user }: Endpoint, place: HostPort): boolean {
  const answer = answers.get(keyOf(place, user));
  return answer === undefined || answer.accepted ||
    performance.now() - answer.atMs > refusalHoldsMs;
}

/** Remembers what a host has answered. */
export function noteEventTriggers(
  { user }: Endpoint,
  { place, accepted }: { readonly place: HostPort; readonly accepted: boolean },
): void {
  answers.set(keyOf(place, user), { accepted, atMs: performance.now() });
}

/**
 * Whether client programs can be given {@linkcode startupOption}: a session was given it, and none
 * was refused.
 */
export function acceptsStartupOption({ hosts, user }: Endpoint): boolean {
  const known = hosts.flatMap((place) => answers.get(keyOf(place, user)) ?? []);
  return known.length > 0 && known.every(({ accepted }) => accepted);
}

/** The hosts of an endpoint that refuse, for another thread, which would have to ask each again. */
export function refusingHosts(endpoint: Endpoint): readonly HostPort[] {
  return endpoint.hosts.filter((place) => !asksWithoutEventTriggers(endpoint, place));
}

/**
 * Classes of errors that come with or without the parameter: no right to connect, no such database,
 * no connection free, the server starts or stops.
 */
const otherRefusals: ReadonlySet<string> = new Set(["28", "3D", "53", "57"]);

/**
 * Whether a refusal of the connection may be one of the parameter: every pooler has an error of its
 * own for that.
 */
export function mayRefuseParameter({ sqlState }: ServerMessage): boolean {
  return !otherRefusals.has(sqlState.slice(0, 2));
}
