/**
 * Reads the status of every stream between two servers, once or repeatedly.
 *
 * @module
 */
import { listDatabases } from "../../catalog/internal.ts";
import {
  applySchema,
  cutoverSchema,
  formatLsn,
  pause,
  type TableName,
} from "../../core/internal.ts";
import { readKnownLedgerRun } from "../../checkpoint/internal.ts";
import {
  type ClosedSide,
  closedSideIn,
  closedSideOf,
  countingSide,
  type CutoverPhase,
  interruptedSwitch,
  type KeptSlot,
  readDeparture,
  readForeignChanges,
  readKeptSlot,
  readRefusals,
  readUnfinishedSwitch,
  streamReading,
  type UnfinishedSwitch,
  visiblePhase,
  type VisibleRecord,
} from "../../cutover/internal.ts";
import {
  describeEndpoint,
  type Endpoint,
  ServerError,
  type Session,
} from "../../postgres/internal.ts";
import {
  type ApplierWorker,
  compareShapes,
  type Drift,
  listClientAppliers,
  readApplierProgress,
  readApplierWorkers,
  type SourceReading,
  type StreamJudgement,
  walRate,
} from "../../replication/internal.ts";
import { formatVersion } from "../shared/server_pair.ts";
import type { DatabaseSelection, RunContext } from "../shared/run.ts";
import { assembleStream, sequenceDifferences } from "./assemble.ts";
import {
  hidesAppliers,
  readSourceServer,
  readSourceStatus,
  readStatusContents,
  readTargetServer,
  readTargetStatus,
  type SourceStatusFacts,
  type StatusContents,
  type TargetStatusFacts,
} from "./facts.ts";
import {
  closedSourceFindings,
  cutoverFindings,
  driftFindings,
  hiddenFindings,
  isKeptForReturn,
  isStoppedOnPurpose,
  serverFindings,
  setAsideFindings,
  sortFindings,
  streamFindings,
  type UnfinishedCopy,
} from "./evaluate.ts";
import { type Reachable, ReconnectingSession } from "../shared/reconnecting_session.ts";
import { readScope } from "../shared/table_scope.ts";
import type {
  DatabaseStatus,
  ServerStatus,
  StatusFinding,
  StatusReport,
  WayBackStatus,
} from "./report.ts";

import {
  findScopeComment,
  hasApplier,
  isSelectedDatabase,
  pairDatabases,
  rulesOf,
  skippedTables,
  type StatusPair,
  type StatusReadings,
} from "./stream_pairs.ts";

/** What `status` takes. */
export interface StatusOptions {
  /** The server that replication reads from. */
  readonly source: Endpoint;
  /** The server that replication writes to. */
  readonly target: Endpoint;
  /** Databases by their names on the source; all by default. */
  readonly databases: Pick<DatabaseSelection, "include" | "exclude">;
  /** How long to measure rates before the first report, in milliseconds. */
  readonly sampleMs: number;
  /** The clock for the report's timestamp. */
  readonly now: () => Date;
}

/** Comparing tables and sequences costs more than reading positions. */
const contentsEveryMs = 10_000;

/** The tripwire decodes all WAL since the last check. */
const tripwireEveryMs = 60_000;

/** After which time a check is continued by the next one. */
const tripwireTimeoutMs = 5_000;

/** What was compared of one pair of databases, and when it was read. */
interface Compared {
  readonly atMs: number;
  readonly source: StatusContents;
  readonly target: StatusContents;
  readonly inScope: (table: TableName) => boolean;
}

/**
 * Reads the status repeatedly, over sessions that stay open. An unreachable side is reported, and
 * tried again by the next reading. Only reads. Rates are measured since the previous reading.
 *
 * States: open → disposed.
 *
 * Requires `--allow-net` for both servers. On the servers: a role that may connect; `pg_monitor`
 * for lag in time and blocking sessions of others.
 */
export class StatusMonitor implements AsyncDisposable {
  readonly #options: StatusOptions;
  readonly #context: RunContext;
  readonly #source: ReconnectingSession;
  readonly #target: ReconnectingSession;
  readonly #compared = new Map<string, Compared>();
  /** By side and database. */
  readonly #tripwires = new Map<
    string,
    { readonly atMs: number; readonly count: number | null }
  >();
  #workersBefore: ReadonlyMap<string, ApplierWorker> | undefined;
  #before: SourceReading | undefined;

  /** Opens nothing; the first reading connects. */
  constructor(options: StatusOptions, context: RunContext) {
    this.#options = options;
    this.#context = context;
    this.#source = new ReconnectingSession(options.source, context.signal);
    this.#target = new ReconnectingSession(options.target, context.signal);
  }

  /**
   * Reads the status.
   *
   * @throws ServerError if a server rejects a query; an unreachable side is not an error
   */
  async read(): Promise<StatusReport> {
    if (this.#before === undefined) await this.#readFirst();
    const [source, target] = await Promise.all([
      this.#source.query(undefined, (session) => readSourceServer(session, performance.now())),
      this.#target.query(undefined, readTargetServer),
    ]);
    const readings: StatusReadings = {
      source,
      target,
      before: source.reached ? this.#before ?? source.value.reading : undefined,
    };
    const databases: DatabaseStatus[] = [];
    const findings: StatusFinding[] = [];
    for (const pair of await this.#pairs(readings)) {
      const { status, drift, judgements } = await this.#database(pair, readings);
      databases.push(status);
      const database = status.source ?? status.target;
      const isClosed = pair.sourceFacts?.cutover?.isOpen === false;
      findings.push(
        ...status.streams.flatMap((stream) =>
          isClosed || isStoppedOnPurpose(status) ? [] : streamFindings(stream, {
            database,
            judgement: judgements.get(stream.name),
            isPhaseHidden: status.cutover == null && hidesCutover(pair),
          })
        ),
        ...driftFindings(drift, database, { isTargetInUse: isKeptForReturn(status) }),
        ...setAsideFindings(status.setAside ?? [], database),
        ...cutoverFindings(status),
        ...hiddenFindings(
          { source: pair.sourceFacts?.hidden, target: pair.targetFacts?.hidden },
          database,
        ),
        ...(isClosed ? closedSourceFindings(status) : []),
      );
    }
    if (source.reached) this.#before = source.value.reading;
    if (target.reached) this.#workersBefore = target.value.workers;
    const unfinished = databases.length === 0 ? await this.#unfinishedCopies(readings) : [];
    return this.#report(readings, { databases, findings, unfinished });
  }

  /** Takes the first reading, which rates need. */
  async #readFirst(): Promise<void> {
    const [first, workers] = await Promise.all([
      this.#source.query(undefined, (session) => readSourceServer(session, performance.now())),
      this.#target.query(undefined, readApplierWorkers),
    ]);
    if (workers.reached) this.#workersBefore = workers.value;
    if (!first.reached || first.value.reading.slots.length === 0) return;
    this.#before = first.value.reading;
    await pause(this.#options.sampleMs, this.#context.signal);
  }

  #report(
    { source, target, before }: StatusReadings,
    { databases, findings: found, unfinished }: {
      readonly databases: readonly DatabaseStatus[];
      readonly findings: readonly StatusFinding[];
      readonly unfinished: readonly UnfinishedCopy[];
    },
  ): StatusReport {
    const servers = {
      source: serverStatus(this.#options.source, source),
      target: serverStatus(this.#options.target, target),
    };
    const findings = sortFindings([
      ...serverFindings({ ...servers, databases, unfinished }),
      ...found,
    ]);
    return {
      formatVersion: 1,
      at: this.#options.now().toISOString(),
      ...servers,
      wal: source.reached && before !== undefined
        ? {
          lsn: formatLsn(source.value.reading.wal),
          bytesPerSecond: walRate(before, source.value.reading) ?? null,
        }
        : null,
      databases,
      findings,
      healthy: findings.every(({ severity }) => severity !== "problem"),
    };
  }

  /** Pairs of databases with the streams between them, without streams of other servers. */
  async #pairs({ source, target }: StatusReadings): Promise<readonly StatusPair[]> {
    const targets = new Map<string, TargetStatusFacts | undefined>();
    const sources = new Map<string, SourceStatusFacts | undefined>();
    const streams = new Map<string, { source?: string | undefined; target?: string }>();
    // databases outside of the selection are not read: the role may not be allowed to
    const others = new Set<string>();
    if (source.reached) {
      for (const { name, database } of source.value.reading.slots) {
        if (isSelectedDatabase(database, this.#options.databases)) {
          streams.set(name, { source: database });
        } else others.add(name);
      }
    }
    if (target.reached) {
      for (const { name, database } of target.value.appliers) {
        if (others.has(name)) continue;
        streams.set(name, { ...streams.get(name), target: database });
        if (!targets.has(database)) {
          const answer = await this.#target.query(database, readTargetStatus);
          targets.set(database, answer.reached ? answer.value : undefined);
        }
      }
    }
    const factsOf = (database: string | undefined) =>
      database === undefined ? undefined : targets.get(database);
    for (const [name, places] of streams) {
      places.source ??= findScopeComment(factsOf(places.target), name)?.source.database;
      const database = places.source;
      if (
        database !== undefined && source.reached && !sources.has(database) &&
        isSelectedDatabase(database, this.#options.databases)
      ) {
        const answer = await this.#source.query(database, readSourceStatus);
        sources.set(database, answer.reached ? answer.value : undefined);
      }
    }
    await this.#findClients({ streams, sources, targets, isReached: target.reached });
    const pairs = pairDatabases({
      streams,
      sources,
      targets,
      readings: { source, target },
      selection: this.#options.databases,
    });
    return pairs.length > 0 || !source.reached ? pairs : await this.#finishedPairs();
  }

  /**
   * Copies from the source whose ledgers on the target are not complete. With a selection, a
   * database of the target named like another database of the source is not connected to: it is
   * taken for that one's copy.
   */
  async #unfinishedCopies(
    { source, target }: StatusReadings,
  ): Promise<readonly UnfinishedCopy[]> {
    if (!source.reached || !target.reached) return [];
    const listed = await this.#target.query(undefined, listDatabases);
    const sources = await this.#source.query(undefined, listDatabases);
    const isOthers = (name: string) =>
      !isSelectedDatabase(name, this.#options.databases) &&
      sources.reached && sources.value.some((each) => each.name === name);
    const found: UnfinishedCopy[] = [];
    for (
      const { name, allowConnections, canConnect, isInvalid } of listed.reached ? listed.value : []
    ) {
      if (!allowConnections || !canConnect || isInvalid || isOthers(name)) continue;
      const read = await this.#target.query(name, readKnownLedgerRun);
      if (!read.reached || read.value === undefined || read.value.complete) continue;
      const { source: from, startedAt } = read.value;
      const isOther = source.value.systemIdentifier !== undefined &&
        from.systemIdentifier !== source.value.systemIdentifier;
      if (isOther || !isSelectedDatabase(from.database, this.#options.databases)) continue;
      found.push({ source: from.database, target: name, startedAt });
    }
    return found;
  }

  /** Databases whose cutover is finished: nothing connects them but the record on the source. */
  async #finishedPairs(): Promise<readonly StatusPair[]> {
    const listed = await this.#source.query(undefined, listDatabases);
    const names = !listed.reached
      ? []
      : listed.value.filter((each) =>
        each.allowConnections && each.canConnect && !each.isInvalid &&
        isSelectedDatabase(each.name, this.#options.databases)
      ).map(({ name }) => name);
    const pairs: StatusPair[] = [];
    for (const source of names) {
      const read = await this.#source.query(source, readSourceStatus);
      const details = read.reached ? read.value.cutover?.details : undefined;
      if (!read.reached || details?.side !== "source" || !details.isFinished) continue;
      const target = details.target.database;
      const facts = await this.#target.query(target, readTargetStatus);
      pairs.push({
        source,
        target,
        sourceFacts: read.value,
        targetFacts: facts.reached ? facts.value : undefined,
        streams: [],
      });
    }
    return pairs;
  }

  /**
   * Finds the records of streams without a subscription in the databases that their publications
   * name: they are seen only from there.
   */
  async #findClients({ streams, sources, targets, isReached }: {
    readonly streams: Map<string, { source?: string | undefined; target?: string }>;
    readonly sources: ReadonlyMap<string, SourceStatusFacts | undefined>;
    readonly targets: Map<string, TargetStatusFacts | undefined>;
    readonly isReached: boolean;
  }): Promise<void> {
    if (!isReached) return;
    for (const [name, places] of streams) {
      if (places.target !== undefined || places.source === undefined) continue;
      const publication = sources.get(places.source)?.publications.find((each) =>
        each.name === name
      );
      const database = publication?.scopeComment?.target.database;
      if (database === undefined) continue;
      if (!targets.has(database)) {
        const clients = await this.#target.query(
          database,
          async (session) => await hidesAppliers(session) ? "hidden" : listClientAppliers(session),
        );
        if (!clients.reached) continue;
        if (clients.value !== "hidden" && clients.value.every((client) => client.name !== name)) {
          continue;
        }
        const answer = await this.#target.query(database, readTargetStatus);
        targets.set(database, answer.reached ? answer.value : undefined);
      }
      const facts = targets.get(database);
      if (facts?.appliers.some((applier) => applier.name === name)) places.target = database;
    }
  }

  async #database(
    pair: StatusPair,
    { source, target, before }: StatusReadings,
  ): Promise<{
    readonly status: DatabaseStatus;
    readonly drift: readonly Drift[];
    /** By the name of the stream. */
    readonly judgements: ReadonlyMap<string, StreamJudgement>;
  }> {
    const sourceReadings = source.reached && before !== undefined
      ? { before, now: source.value.reading }
      : undefined;
    const assembled = pair.streams.toSorted((a, b) => a.parts.epoch - b.parts.epoch)
      .map(({ name, parts }) =>
        assembleStream({
          name,
          parts,
          source: sourceReadings,
          publications: pair.sourceFacts?.publications,
          published: pair.sourceFacts?.published.filter(({ publication }) =>
            publication === name
          ) ?? [],
          target: pair.targetFacts,
          targetReachable: target.reached &&
            (pair.targetFacts !== undefined || !hasApplier(target.value, name)) &&
            // its record may exist
            (!hidesRecords(pair) || hasApplier(target.value, name)),
          workerBefore: this.#workersBefore?.get(name),
        })
      );
    const streams = assembled.map(({ status }) => status);
    const judgements = new Map(assembled.map(({ status, judgement }) => [status.name, judgement]));
    const cutover = await this.#cutover(pair);
    const compared = source.reached && target.reached && cutover?.phase !== "finished" &&
        !hidesRecords(pair)
      ? await this.#compare(pair)
      : undefined;
    const drift = compared === undefined ? [] : compareShapes({
      source: compared.source.shapes,
      target: compared.target.shapes,
      published: pair.sourceFacts?.published.filter(({ publication }) =>
        pair.streams.some(({ name }) =>
          name === publication
        )
      ) ?? [],
      subscribed: pair.targetFacts?.appliers.filter((applier) =>
        pair.streams.some(({ name }) => name === applier.name)
      ).flatMap(({ tables }) => tables) ?? [],
      types: { source: compared.source.types, target: compared.target.types },
      inScope: compared.inScope,
      isSkipped: skippedTables(pair),
    });
    return {
      drift,
      judgements,
      status: {
        source: pair.source ?? null,
        target: pair.target ?? null,
        streams,
        drift: compared === undefined
          ? null
          : drift.map(({ kind, schema, name, column, message }) => ({
            kind,
            schema,
            name,
            column: column ?? null,
            message,
          })),
        sequences: compared === undefined
          ? null
          : sequenceDifferences(compared.source.sequences, compared.target.sequences),
        setAside: pair.targetFacts?.setAside ?? null,
        cutover,
      },
    };
  }

  async #cutover(pair: StatusPair): Promise<NonNullable<DatabaseStatus["cutover"]> | null> {
    const { sourceFacts, targetFacts } = pair;
    const status = readableCutover(sourceFacts, targetFacts);
    if (status === null) return null;
    const refusedWrites = await this.#refusedWrites(pair, status.phase);
    return {
      ...status,
      refusedWrites,
      foreignChanges: await this.#foreignChanges(pair, status),
      // after the check, which lets it advance
      keptSlot: await this.#keptSlot(pair, status),
      wayBack: await this.#wayBack(pair, status),
      unfinished: await this.#unfinished(pair),
    };
  }

  /** Null without one, or if the target cannot be asked whether it is running. */
  async #unfinished(
    { target, sourceFacts, targetFacts }: StatusPair,
  ): Promise<UnfinishedSwitch | null> {
    const records = { source: sourceFacts?.cutover, target: targetFacts?.cutover };
    if (target === undefined || interruptedSwitch(records) === undefined) return null;
    const read = await this.#target.query(
      target,
      (session) => readUnfinishedSwitch(records, session),
    );
    return read.reached ? read.value ?? null : null;
  }

  /** Null if the target is not in use, there is none, or a side cannot be read. */
  async #wayBack(
    { source, target, sourceFacts }: StatusPair,
    { phase }: { readonly phase: CutoverPhase },
  ): Promise<WayBackStatus | null> {
    const name = sourceFacts?.cutover?.details.back ?? undefined;
    const isHidden = (sourceFacts?.hidden.length ?? 0) > 0;
    if (
      phase !== "switched" || name === undefined || isHidden || source === undefined ||
      target === undefined
    ) return null;
    const departure = await this.#target.query(target, (session) => readDeparture(session, [name]));
    const appliers = await this.#source.query(
      source,
      (session) => readApplierProgress(session, [name]),
    );
    if (!departure.reached || !appliers.reached) return null;
    const { state, kind = null, lagBytes = null } = streamReading(name, {
      departure: departure.value,
      appliers: appliers.value,
    });
    return { name, state, kind, lagBytes };
  }

  /** Null if they were not counted, or the closed side cannot be reached. */
  async #refusedWrites(
    { source, target }: StatusPair,
    phase: CutoverPhase,
  ): Promise<number | null> {
    const side = countingSide(phase);
    const database = side === "source" ? source : target;
    if (side === undefined || database === undefined) return null;
    const reader = side === "source" ? this.#source : this.#target;
    const read = await reader.query(database, countRefusals);
    return read.reached ? read.value : null;
  }

  /** Null in other phases, or if they cannot be read. */
  async #foreignChanges(
    { source, target, sourceFacts, targetFacts }: StatusPair,
    { phase }: { readonly phase: CutoverPhase },
  ): Promise<number | null> {
    const side = closedSideIn(phase);
    const [database, record, reader] = side === "source"
      ? [source, sourceFacts?.cutover, this.#source]
      : [target, targetFacts?.cutover, this.#target];
    if (side === undefined || database === undefined || record === undefined) return null;
    const key = `${side} ${database}`;
    const known = this.#tripwires.get(key);
    const atMs = performance.now();
    if (known !== undefined && atMs - known.atMs < tripwireEveryMs) {
      return known.count;
    }
    const read = await reader.query(
      database,
      (session) => countForeignChanges(session, closedSideOf(record)),
    );
    const count = read.reached ? read.value : null;
    this.#tripwires.set(key, { atMs, count });
    return count;
  }

  /** Null without one, in other phases, or if it cannot be read. */
  async #keptSlot(
    { target, targetFacts }: StatusPair,
    { phase }: { readonly phase: CutoverPhase },
  ): Promise<KeptSlot | null> {
    const name = targetFacts?.cutover?.details.back ?? undefined;
    if (phase !== "prepared" || name === undefined || target === undefined) return null;
    const read = await this.#target.query(target, (session) => readKeptSlot(session, name));
    return read.reached ? read.value ?? null : null;
  }

  async #compare(pair: StatusPair): Promise<Compared | undefined> {
    const { source, target, targetFacts } = pair;
    if (source === undefined || target === undefined || targetFacts === undefined) return undefined;
    const key = JSON.stringify([source, target]);
    const known = this.#compared.get(key);
    const atMs = performance.now();
    if (known !== undefined && atMs - known.atMs < contentsEveryMs) return known;
    const rules = rulesOf(pair);
    const onSource = await this.#source.query(source, async (session) => ({
      contents: await readStatusContents(session),
      scope: (await readScope(session, rules))?.scope,
    }));
    const onTarget = await this.#target.query(target, readStatusContents);
    if (!onSource.reached || !onTarget.reached) return undefined;
    const { contents, scope } = onSource.value;
    const compared = {
      atMs,
      source: contents,
      target: onTarget.value,
      inScope: (table: TableName) => scope?.hasRows(table) ?? true,
    };
    this.#compared.set(key, compared);
    return compared;
  }

  /** Closes both sessions. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#source[Symbol.asyncDispose](), this.#target[Symbol.asyncDispose]()]);
  }
}

/**
 * Null if the role may not read the slots, one of them is lost or in use or has not been read to
 * its end yet, or the tool applies the changes of the way back without an origin.
 */
async function countForeignChanges(session: Session, side: ClosedSide): Promise<number | null> {
  try {
    const changes = await readForeignChanges(session, side, {
      advances: true,
      timeoutMs: tripwireTimeoutMs,
    });
    return changes.isKnown ? changes.found.length : null;
  } catch (error) {
    if (error instanceof ServerError) return null;
    throw error;
  }
}

/** Null if the role may not read the count, or the side has none. */
async function countRefusals(session: Session): Promise<number | null> {
  try {
    return await readRefusals(session);
  } catch (error) {
    if (error instanceof ServerError) return null;
    throw error;
  }
}

/** Whether the target may have records of streams that the role cannot read. */
function hidesRecords({ targetFacts }: StatusPair): boolean {
  return hides(targetFacts, applySchema);
}

/** Whether the role cannot read the records of a cutover. */
function hidesCutover({ sourceFacts, targetFacts }: StatusPair): boolean {
  return [sourceFacts, targetFacts].some((facts) => hides(facts, cutoverSchema));
}

/** Whether the role cannot read a schema of the tool. */
function hides(facts: Pick<SourceStatusFacts, "hidden"> | undefined, schema: string): boolean {
  return facts?.hidden.some((each) => each.schema === schema) ?? false;
}

/** Null without a cutover, or if the records that can be read do not show its phase. */
function readableCutover(
  source: SourceStatusFacts | undefined,
  target: TargetStatusFacts | undefined,
): { readonly phase: CutoverPhase; readonly since: string } | null {
  const since = [source, target].flatMap((facts) => facts?.cutover?.changedAt ?? []).sort().at(-1);
  const phase = visiblePhase({
    source: source && visibleRecord(source),
    target: target && visibleRecord(target),
  });
  return since === undefined || phase === undefined ? null : { phase, since };
}

/** Undefined if the role cannot read it. */
function visibleRecord(facts: SourceStatusFacts | TargetStatusFacts): VisibleRecord {
  return hides(facts, cutoverSchema) ? undefined : { record: facts.cutover };
}

function serverStatus(
  endpoint: Endpoint,
  answer: Reachable<{ readonly serverVersion: number }>,
): ServerStatus {
  return {
    url: describeEndpoint(endpoint),
    reachable: answer.reached,
    version: answer.reached ? formatVersion(answer.value.serverVersion) : null,
    problem: answer.reached ? null : answer.error.message,
  };
}
