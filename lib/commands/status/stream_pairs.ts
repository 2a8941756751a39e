/**
 * Which streams belong together: one database of the source, one of the target. Pure.
 *
 * @module
 */
import { parseNamePattern } from "../../catalog/internal.ts";
import { tableKey, type TableName } from "../../core/internal.ts";
import {
  type NameParts,
  parseReplicationName,
  rulesFromWords,
  type ScopeComment,
  type SourceReading,
} from "../../replication/internal.ts";
import type { TableRules } from "../../rules/internal.ts";
import type { Reachable } from "../shared/reconnecting_session.ts";
import type { DatabaseSelection } from "../shared/run.ts";
import type { SourceServer, SourceStatusFacts, TargetServer, TargetStatusFacts } from "./facts.ts";

/** What one reading of both servers shows. */
export interface StatusReadings {
  readonly source: Reachable<SourceServer>;
  readonly target: Reachable<TargetServer>;
  readonly before: SourceReading | undefined;
}

/** A database of the source and one of the target, with the streams between them. */
export interface StatusPair {
  readonly source: string | undefined;
  readonly target: string | undefined;
  readonly sourceFacts: SourceStatusFacts | undefined;
  readonly targetFacts: TargetStatusFacts | undefined;
  readonly streams: readonly { readonly name: string; readonly parts: NameParts }[];
}

/** Everything that pairs are made of. */
export interface PairingFacts {
  /** The databases of each stream, as far as they are known. */
  readonly streams: ReadonlyMap<
    string,
    { readonly source?: string | undefined; readonly target?: string }
  >;
  readonly sources: ReadonlyMap<string, SourceStatusFacts | undefined>;
  readonly targets: ReadonlyMap<string, TargetStatusFacts | undefined>;
  readonly readings: Pick<StatusReadings, "source" | "target">;
  readonly selection: Pick<DatabaseSelection, "include" | "exclude">;
}

/** Pairs of databases with the streams between them, without streams of other servers. */
export function pairDatabases(
  { streams, sources, targets, readings, selection }: PairingFacts,
): readonly StatusPair[] {
  const pairs = new Map<string, StatusPair>();
  for (const [name, places] of streams) {
    const parts = parseReplicationName(name);
    const facts = places.source === undefined ? undefined : sources.get(places.source);
    const targetFacts = places.target === undefined ? undefined : targets.get(places.target);
    const scopeComment = findScopeComment(targetFacts, name) ??
      facts?.publications.find((each) => each.name === name)?.scopeComment;
    if (parts === undefined || isForeign(scopeComment, readings)) continue;
    if (!isSelectedDatabase(places.source ?? places.target, selection)) continue;
    // a slot without a subscription belongs to the database that its publication names
    const onTarget = places.target ?? scopeComment?.target.database;
    const key = JSON.stringify([places.source, onTarget]);
    const pair = pairs.get(key) ?? {
      source: places.source,
      target: onTarget,
      sourceFacts: facts,
      targetFacts: onTarget === undefined ? undefined : targets.get(onTarget),
      streams: [],
    };
    pairs.set(key, { ...pair, streams: [...pair.streams, { name, parts }] });
  }
  return [...pairs.values()].sort((a, b) => (a.source ?? "") < (b.source ?? "") ? -1 : 1);
}

/** Whether patterns select a database. */
export function isSelectedDatabase(
  database: string | undefined,
  { include, exclude }: Pick<DatabaseSelection, "include" | "exclude">,
): boolean {
  const named = (list: readonly string[]) =>
    list.some((text) => {
      const pattern = parseNamePattern(text);
      return database !== undefined && "matches" in pattern && pattern.matches(database);
    });
  return (include.length === 0 || named(include)) && !named(exclude);
}

/**
 * Whether the stream belongs to another server, by system identifiers if the role may read them.
 */
function isForeign(
  scopeComment: ScopeComment | undefined,
  { source, target }: Pick<StatusReadings, "source" | "target">,
): boolean {
  if (scopeComment === undefined) return false;
  const differs = (
    described: string,
    server: Reachable<{ readonly systemIdentifier: string | undefined }>,
  ) => {
    const known = server.reached ? server.value.systemIdentifier : undefined;
    return known !== undefined && /^\d+$/.test(described) && described !== known;
  };
  return differs(scopeComment.source.system, source) || differs(scopeComment.target.system, target);
}

function scopeCommentsOf(
  { sourceFacts, targetFacts, streams }: StatusPair,
): readonly ScopeComment[] {
  return streams.flatMap(({ name }) =>
    findScopeComment(targetFacts, name) ??
      sourceFacts?.publications.find((each) => each.name === name)?.scopeComment ?? []
  );
}

/** The rules that the streams were started with. */
export function rulesOf(pair: StatusPair): TableRules {
  return rulesFromWords(scopeCommentsOf(pair)[0]?.words ?? []);
}

/** Tables that the streams were started without. */
export function skippedTables(pair: StatusPair): (table: TableName) => boolean {
  const skipped = new Set(
    scopeCommentsOf(pair).flatMap(({ skipped = [] }) => skipped).map((table) => tableKey(table)),
  );
  return (table) => skipped.has(tableKey(table));
}

/** Whether the target has the stream's subscription. */
export function hasApplier({ appliers }: TargetServer, name: string): boolean {
  return appliers.some((applier) => applier.name === name);
}

/** What the subscription's comment says about the stream. */
export function findScopeComment(
  facts: TargetStatusFacts | undefined,
  name: string,
): ScopeComment | undefined {
  return facts?.appliers.find((applier) => applier.name === name)?.scopeComment;
}
