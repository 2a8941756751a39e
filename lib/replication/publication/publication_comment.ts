/**
 * The record of a stream, stored as the comment of its publication on the source and of its
 * subscription on the target. Cleanup needs nothing else to undo everything.
 *
 * @module
 */
import { displayName, quoteIdentifier, quoteLiteral, type TableName } from "../../core/internal.ts";
import { scopeHash } from "./names.ts";
import {
  type DatabaseRef,
  describeScopeRules,
  type ReplicationScope,
  tableFingerprint,
} from "./scope.ts";

/** The tool's name in comments. */
export const commentTool = "postgres-seren-replicator";

/** `pg_class.relreplident`: default, nothing, index or full. */
export type IdentityKind = "d" | "n" | "i" | "f";

/** A table whose replica identity was changed on the source, with its previous identity. */
export interface ChangedIdentity extends TableName {
  /** The previous `pg_class.relreplident`: default, nothing or index. */
  readonly before: Exclude<IdentityKind, "f">;
  /** The index of a previous `REPLICA IDENTITY USING INDEX`. */
  readonly index?: string;
  /** The table's OID on the source. Missing in comments of earlier versions. */
  readonly oid?: number;
}

/** A setting that was changed for apply workers, for the subscription's owner in the database. */
export interface WorkerSetting {
  /** Name of the setting: `lock_timeout`. */
  readonly name: string;
  /** The previous value of `ALTER ROLE … IN DATABASE … SET`; undefined without one. */
  readonly before?: string;
}

/** The comment's data. Contains no password, address or predicate. */
export interface ScopeComment {
  /** The version of this format. */
  readonly version: 1;
  /** Name of the tool that wrote the comment. */
  readonly tool: typeof commentTool;
  /** The hash of the scope, part of the stream's name. */
  readonly hash: string;
  /** Snapshot generation: 1 for the first copy, higher for later ones. */
  readonly epoch: number;
  /** The source database, identified by server and name. */
  readonly source: DatabaseRef;
  /** The target database, identified by server and name. */
  readonly target: DatabaseRef;
  /** Fingerprint of the rules for this database. */
  readonly rules: string;
  /** The rules, one line each. */
  readonly words: readonly string[];
  /** The moment from which time windows reach back. */
  readonly rulesNow: string;
  /** When the stream was created, ISO. */
  readonly createdAt: string;
  /**
   * When all rows of its tables were on the target, ISO; missing while they are being copied. Only
   * then may a subscription be created.
   */
  readonly copiedAt?: string;
  /**
   * Tables of the source that were set to REPLICA IDENTITY FULL, which cleanup reverts, also on the
   * target if the schema was copied afterwards.
   */
  readonly changedIdentities: readonly ChangedIdentity[];
  /**
   * Tables that the target lacked when the stream began. Until `copiedAt` is set they may be
   * incomplete on the target, created by the run that began the stream.
   */
  readonly added?: readonly TableName[];
  /** Tables whose changes the user chose not to replicate (`--replica-identity skip`). */
  readonly skipped?: readonly TableName[];
  /** On a subscription: settings to restore when the last subscription is dropped. */
  readonly workerSettings?: readonly WorkerSetting[];
}

/** Describes a scope for one snapshot generation. */
export async function describeScope(
  scope: ReplicationScope,
  { epoch, createdAt, changedIdentities, added = [] }: {
    readonly epoch: number;
    /** ISO timestamp. */
    readonly createdAt: string;
    readonly changedIdentities: readonly ChangedIdentity[];
    readonly added?: readonly TableName[];
  },
): Promise<ScopeComment> {
  return {
    version: 1,
    tool: commentTool,
    hash: await scopeHash(scope),
    epoch,
    source: scope.source,
    target: scope.target,
    rules: await tableFingerprint(scope),
    words: await describeScopeRules(scope),
    rulesNow: scope.rules.now,
    createdAt,
    changedIdentities,
    ...(added.length === 0 ? {} : { added }),
  };
}

/** The text of a comment. */
export function printComment(scopeComment: ScopeComment): string {
  return JSON.stringify(scopeComment);
}

/** Parses a comment; undefined if the tool did not write it, or a later version did. */
export function parseComment(comment: string | null | undefined): ScopeComment | undefined {
  if (comment === null || comment === undefined || !comment.startsWith("{")) return undefined;
  try {
    const value: unknown = JSON.parse(comment);
    return isDescriptor(value) ? value : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined; // not written by the tool
    throw error;
  }
}

function isDescriptor(value: unknown): value is ScopeComment {
  const { version, tool, hash, epoch, source, target, rules, words, changedIdentities } =
    (value ?? {}) as Readonly<Record<string, unknown>>;
  return version === 1 && tool === commentTool && typeof hash === "string" &&
    typeof epoch === "number" && isDatabaseRef(source) && isDatabaseRef(target) &&
    typeof rules === "string" &&
    Array.isArray(words) && Array.isArray(changedIdentities) &&
    changedIdentities.every(isChangedIdentity);
}

/** Any role may have written the comment: an invalid name would make every cleanup fail. */
function isChangedIdentity(value: unknown): value is ChangedIdentity {
  const { schema, name, before, index } = (value ?? {}) as Readonly<Record<string, unknown>>;
  return isName(schema) && isName(name) && (before === "d" || before === "n" || before === "i") &&
    (index === undefined || isName(index));
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "" && !value.includes("\0");
}

function isDatabaseRef(value: unknown): value is DatabaseRef {
  const { system, database } = (value ?? {}) as Readonly<Record<string, unknown>>;
  return typeof system === "string" && isName(database);
}

/** The statement that sets a publication's comment. */
export function commentOnPublication(name: string, scopeComment: ScopeComment): string {
  return `COMMENT ON PUBLICATION ${quoteIdentifier(name)} IS ${
    quoteLiteral(printComment(scopeComment))
  }`;
}

/** The statement that sets a subscription's comment. */
export function commentOnSubscription(name: string, scopeComment: ScopeComment): string {
  return `COMMENT ON SUBSCRIPTION ${quoteIdentifier(name)} IS ${
    quoteLiteral(printComment(scopeComment))
  }`;
}

/** Whether two comments describe the same two databases, whatever their rules. */
export function sameDatabaseRefs(
  a: Pick<ScopeComment, "source" | "target">,
  b: Pick<ScopeComment, "source" | "target">,
): boolean {
  return isSameRef(a.source, b.source) && isSameRef(a.target, b.target);
}

function isSameRef(a: DatabaseRef, b: DatabaseRef): boolean {
  return a.system === b.system && a.database === b.database;
}

/** How an existing scope differs from the requested one, one line each. */
export function scopeDifferences(
  { wanted, existing }: { readonly wanted: ScopeComment; readonly existing: ScopeComment },
): readonly string[] {
  const place = (what: string, a: DatabaseRef, b: DatabaseRef) =>
    isSameRef(a, b) ? [] : [
      a.database === b.database
        ? `${what}: database ${a.database} on another server`
        : `${what}: database ${b.database}, not ${a.database}`,
    ];
  const rules = wanted.rules === existing.rules ? [] : [
    ...wanted.words.filter((line) => !existing.words.includes(line)).map((line) =>
      `rule of this command only: ${line}`
    ),
    ...existing.words.filter((line) => !wanted.words.includes(line)).map((line) =>
      `rule of the existing stream only: ${line}`
    ),
  ];
  return [
    ...place("source", wanted.source, existing.source),
    ...place("target", wanted.target, existing.target),
    ...(rules.length === 0 && wanted.rules !== existing.rules
      ? ["its rules have the same text but a different origin"]
      : rules),
  ];
}

/** The statement that restores a table's previous replica identity. */
export function restoreIdentity({ schema, name, before, index }: ChangedIdentity): string {
  const identity = before === "i" && index !== undefined
    ? `USING INDEX ${quoteIdentifier(index)}`
    : before === "n"
    ? "NOTHING"
    : "DEFAULT";
  return `ALTER TABLE ${quoteIdentifier(schema)}.${
    quoteIdentifier(name)
  } REPLICA IDENTITY ${identity}`;
}

/** Describes a changed identity: `orders (was DEFAULT)`. */
export function describeIdentity(changed: ChangedIdentity): string {
  const was = { d: "DEFAULT", n: "NOTHING", i: `USING INDEX ${changed.index ?? "?"}` };
  return `${displayName(changed)} (was ${was[changed.before]})`;
}

/** Describes up to `max` changed identities and counts the others. */
export function describeIdentityList(changed: readonly ChangedIdentity[], max = 5): string {
  const list = changed.slice(0, max).map(describeIdentity).join(", ");
  return changed.length > max ? `${list} and ${changed.length - max} more` : list;
}
