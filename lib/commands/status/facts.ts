/**
 * What `status` reads from each side for one report.
 *
 * @module
 */
import { findHiddenOwner, readOutstanding } from "../../checkpoint/internal.ts";
import { type ObservedSide, observeSide, type SideRecord } from "../../cutover/internal.ts";
import { applySchema, cutoverSchema, type ReplicatorError } from "../../core/internal.ts";
import {
  listSequences,
  readClusterFacts,
  readSequenceValues,
  type SequenceValue,
} from "../../catalog/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import {
  type ApplierReading,
  type ApplierWorker,
  listAppliers,
  listOwnedPublications,
  listSubscriptionAppliers,
  type OwnedApplier,
  type OwnedPublication,
  type PublishedShape,
  readAppliers,
  readApplierWorkers,
  readPublished,
  readShapes,
  readSourceWal,
  readSubscriptionAppliers,
  readTypes,
  type ReplicatedTypeShape,
  type SourceReading,
  type TableShape,
} from "../../replication/internal.ts";

/** Facts about the source's server. */
export interface SourceServer {
  readonly serverVersion: number;
  readonly systemIdentifier: string | undefined;
  readonly reading: SourceReading;
}

/** Facts about the target's server. */
export interface TargetServer {
  readonly serverVersion: number;
  readonly systemIdentifier: string | undefined;
  readonly appliers: readonly OwnedApplier[];
  /** By name, including those of other tools. */
  readonly workers: ReadonlyMap<string, ApplierWorker>;
}

/** What is compared between the sides, which costs more to read than the rest. */
export interface StatusContents {
  readonly shapes: readonly TableShape[];
  readonly types: readonly ReplicatedTypeShape[];
  readonly sequences: readonly SequenceValue[];
}

/** A schema of the tool that the role cannot read, or does not trust. */
export interface HiddenSchema {
  readonly schema: string;
  /** The role that can; undefined if the role may read it. */
  readonly owner: string | undefined;
  /** Why it is not trusted, with details and remedy, although the role may read it. */
  readonly distrust: ReplicatorError | undefined;
}

/** Facts about a database of the source. */
export interface SourceStatusFacts {
  readonly publications: readonly OwnedPublication[];
  readonly published: readonly PublishedShape[];
  readonly hidden: readonly HiddenSchema[];
  /** The record of this side of a cutover. */
  readonly cutover: SideRecord | undefined;
}

/** Facts about a database of the target. */
export interface TargetStatusFacts {
  readonly appliers: readonly ApplierReading[];
  /** Objects that `init` set aside and no later run has created, without their attributes. */
  readonly setAside: readonly string[];
  readonly hidden: readonly HiddenSchema[];
  /** The record of this side of a cutover. */
  readonly cutover: SideRecord | undefined;
}

/** Reads the source's WAL and slots. */
export async function readSourceServer(session: Session, atMs: number): Promise<SourceServer> {
  return {
    serverVersion: session.serverVersion,
    systemIdentifier: (await readClusterFacts(session)).systemIdentifier,
    reading: await readSourceWal(session, atMs),
  };
}

/** Reads the appliers of the target's server. */
export async function readTargetServer(session: Session): Promise<TargetServer> {
  return {
    serverVersion: session.serverVersion,
    systemIdentifier: (await readClusterFacts(session)).systemIdentifier,
    appliers: await hidesAppliers(session)
      ? await listSubscriptionAppliers(session)
      : await listAppliers(session),
    workers: await readApplierWorkers(session),
  };
}

/** Reads the publications of a database. */
export async function readSourceStatus(session: Session): Promise<SourceStatusFacts> {
  return {
    publications: await listOwnedPublications(session),
    published: await readPublished(session),
    ...hideable(await observeSide(session)),
  };
}

/** Reads the appliers of a database. */
export async function readTargetStatus(session: Session): Promise<TargetStatusFacts> {
  const applyOwner = await findHiddenOwner(session, applySchema);
  const { hidden, cutover } = hideable(await observeSide(session));
  return {
    appliers: applyOwner === undefined
      ? await readAppliers(session)
      : await readSubscriptionAppliers(session),
    setAside: (await readOutstanding(session)).filter(({ attribute }) => attribute === undefined)
      .map(({ object }) => object),
    hidden: [
      ...applyOwner === undefined ? [] : [hiddenSchema(applySchema, applyOwner)],
      ...hidden,
    ],
    cutover,
  };
}

/** Whether the role cannot read which streams of the session's database the tool itself applies. */
export async function hidesAppliers(session: Session): Promise<boolean> {
  return await findHiddenOwner(session, applySchema) !== undefined;
}

function hideable(
  { record, hiddenOwner, distrust }: ObservedSide,
): Pick<SourceStatusFacts, "hidden" | "cutover"> {
  const hidden = hiddenOwner !== undefined
    ? [hiddenSchema(cutoverSchema, hiddenOwner)]
    : distrust === undefined
    ? []
    : [{ schema: cutoverSchema, owner: undefined, distrust }];
  return { hidden, cutover: record };
}

function hiddenSchema(schema: string, owner: string): HiddenSchema {
  return { schema, owner, distrust: undefined };
}

/** Reads tables, types and sequences of a database of either side. */
export async function readStatusContents(session: Session): Promise<StatusContents> {
  const sequences = (await listSequences(session)).filter(({ readable, isUnlogged }) =>
    readable && !isUnlogged
  );
  return {
    shapes: await readShapes(session),
    types: await readTypes(session),
    sequences: await readSequenceValues(session, sequences),
  };
}
