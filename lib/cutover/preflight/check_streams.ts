/**
 * Whether the streams bring every change, and nothing else writes beside them. Pure.
 *
 * @module
 */
import { formatBytes, nameSome, quoteIdentifier } from "../../core/internal.ts";
import type { StreamReading } from "../facts/stream_reading.ts";
import { type PreflightCheck, prepareAgain } from "./preflight_check.ts";
import { streamRemedy, wayBackRemedy } from "./stream_remedies.ts";

/** A stream further behind would be refused by the pause in any case. */
const maxLagBytes = 256 * 1024 * 1024;

/** The streams that leave the side in use, which have to be those of the cutover. */
export function checkStreams(check: PreflightCheck): void {
  const { facts, findings } = check;
  const isWayBack = facts.from.side === "target";
  const replaced = new Set(isWayBack ? [] : facts.replaced);
  for (const stream of facts.streams) if (!replaced.has(stream.name)) checkStream(stream, check);
  if (isWayBack) return;
  for (const name of replaced) {
    findings.problem({
      message: `the stream ${name} no longer exists`,
      remedy: prepareAgain(facts),
    });
  }
  for (const name of facts.unprepared) {
    findings.problem({
      message: `the stream ${name} was created since cutover prepare`,
      remedy: prepareAgain(facts),
    });
  }
}

/** A stream that leaves the side in use. */
function checkStream(
  { name, state, kind, error, lagBytes, unready, risk }: StreamReading,
  { facts: { from }, findings }: PreflightCheck,
): void {
  if (state !== "streaming" && state !== "starting") {
    findings.problem({
      message: `the stream ${name} is ${state}, not streaming${
        error === undefined ? "" : `: ${error}`
      }`,
      remedy: from.side === "target"
        ? wayBackRemedy({ name, state, kind })
        : streamRemedy(state, kind),
    });
  } else if (lagBytes !== undefined && lagBytes > maxLagBytes) {
    findings.problem({
      message: `the stream ${name} is ${formatBytes(lagBytes)} behind`,
      remedy: "wait until status shows less lag",
    });
  }
  if (unready.length > 0) {
    findings.problem({
      message: `the first copy of ${nameSome(unready)} is not complete`,
      remedy: "wait until status shows the tables as ready",
    });
  }
  if (risk !== undefined) {
    findings.problem({ side: from.side, message: `the slot ${name} is at risk: ${risk}` });
  }
}

/** Tables whose rows are being copied, or were not copied completely. */
export function checkIncomplete({ facts: { from, incomplete }, findings }: PreflightCheck): void {
  for (const { tables, message, remedy = "run sync" } of incomplete) {
    findings.problem({
      side: from.side,
      message: `${message} (${nameSome(tables)})`,
      remedy: `wait until the copy is complete, if it is running; otherwise ${remedy}`,
    });
  }
}

/** Streams that the switch starts and nothing would apply. */
export function checkUnattended({ facts: { from, unattended }, findings }: PreflightCheck): void {
  for (const name of unattended) {
    findings.problem({
      side: from.side,
      message:
        `the switch starts the stream ${name}, whose changes this tool applies, and no sync is running`,
      remedy:
        "run sync in another terminal or as a service and keep it running: it waits for the switch",
    });
  }
}

/** Replication from elsewhere into the side that is closed. */
export function checkSubscriptions({ facts: { from }, findings }: PreflightCheck): void {
  for (const name of from.subscriptions) {
    findings.problemOfSwitch({
      side: from.side,
      message:
        `the subscription ${name} writes into replicated tables, even once this side is closed: the fence lets replication pass, and the other side would lack those changes`,
      remedy: `before the switch: ALTER SUBSCRIPTION ${
        quoteIdentifier(name)
      } DISABLE, or stop the sync that applies it; after it, subscribe on the other side`,
    });
  }
}
