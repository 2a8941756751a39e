/**
 * Describes how the scope of a run differs from that of the earlier attempt. Pure.
 *
 * @module
 */
import type { RunScope } from "./model.ts";

/** A scope, with its decisions on tables if known. */
export interface DescribedScope {
  readonly scope: RunScope;
  /** `analytics.orders` → `copied`; undefined if unknown. */
  readonly decisions?: Readonly<Record<string, string>>;
}

const maxTables = 5;

/** One sentence per difference; empty when the scopes are equal. */
export function describeScopeDifference(
  before: DescribedScope,
  now: DescribedScope,
): readonly string[] {
  if (before.scope.fingerprint === now.scope.fingerprint && before.scope.sync === now.scope.sync) {
    return [];
  }
  const databases = describeDatabases(before.scope.databases, now.scope.databases);
  const tables = describeTables(before.decisions, now.decisions);
  const sync = before.scope.sync === now.scope.sync
    ? []
    : [`the first run was ${before.scope.sync ? "with" : "without"} --enable-sync`];
  const all = [...sync, ...databases, ...tables];
  return all.length > 0 ? all : ["the table rules differ from those of the first run"];
}

function describeDatabases(
  before: RunScope["databases"],
  now: RunScope["databases"],
): readonly string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])];
  return names.flatMap((name) => {
    const [then, today] = [before[name], now[name]];
    if (then === today) return [];
    if (then === undefined) return [`database ${name} was not part of the first run`];
    if (today === undefined) return [`database ${name} was part of the first run`];
    return [`database ${name} was copied as ${then} by the first run, not as ${today}`];
  });
}

function describeTables(
  before: DescribedScope["decisions"],
  now: DescribedScope["decisions"],
): readonly string[] {
  if (before === undefined || now === undefined) return [];
  const differences = Object.keys(now).flatMap((table) => {
    const [then, today] = [before[table], now[table]];
    if (then === today || then === undefined) return [];
    if (then === "left out") return [`${table} was not part of the first run`];
    if (today === "left out") return [`${table} was part of the first run`];
    return [`${table} was ${then} in the first run, and would now be ${today}`];
  });
  const more = differences.length - maxTables;
  return more > 0 ? [...differences.slice(0, maxTables), `and ${more} more tables`] : differences;
}
