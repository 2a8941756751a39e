/**
 * What is remembered about a stream of changes, where everybody can find it: as the comment of our
 * publication on the source and of our subscription on the target. Cleanup finds and undoes
 * everything from these alone.
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

/** The tool's name in descriptors. */
export const commentTool = "postgres-seren-replicator";

/**
 * A table whose replica identity was changed on the source, and copied to the target, and what it
 * was before.
 */
export interface ChangedIdentity extends TableName {
  /** As `pg_class.relreplident` had it: default, nothing, index (then with its name), full. */
  readonly before: "d" | "n" | "i";
  /** The index of `REPLICA IDENTITY USING INDEX`, when it was that. */
  readonly index?: string;
  /** On the source. Missing in what earlier versions wrote. */
  readonly oid?: number;
}

/**
 * A setting of the subscription's owner in the target's database that was changed for apply
 * workers.
 */
export interface WorkerSetting {
  readonly name: string;
  /** What `ALTER ROLE … IN DATABASE` had said; undefined: nothing. */
  readonly before?: string;
}

/** The comment, as data. Holds no password, address or predicate. */
export interface ScopeComment {
  /** Of this form. */
  readonly version: 1;
  readonly tool: typeof commentTool;
  /** Of the scope: the middle part of the names. */
  readonly hash: string;
  readonly epoch: number;
  readonly source: DatabaseRef;
  readonly target: DatabaseRef;
  /** Fingerprint of what the rules say of this database. */
  readonly rules: string;
  /** The rules, one line each. */
  readonly words: readonly string[];
  /** The moment that time windows reach back from. */
  readonly rulesNow: string;
  /** When it was created, ISO. */
  readonly createdAt: string;
  /**
   * When all rows of its tables were in the target, ISO; not there while they are being copied.
   * Only from then on may a subscription take over.
   */
  readonly copiedAt?: string;
  /**
   * Tables of the source that were given REPLICA IDENTITY FULL for it, to be undone by cleanup; on
   * the target too, where the schema was copied with it.
   */
  readonly changedIdentities: readonly ChangedIdentity[];
  /**
   * Tables that the target did not have when the stream was begun. Until `copiedAt` is set they may
   * be on it incompletely, made by the run that began the stream.
   */
  readonly added?: readonly TableName[];
  /** Tables whose changes do not follow by the choice of the user (`--replica-identity skip`). */
  readonly skipped?: readonly TableName[];
  /** Of a subscription: settings that are to be taken back with the last one. */
  readonly workerSettings?: readonly WorkerSetting[];
}

/** Describes a scope for one epoch. */
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

/** The comment's text. */
export function printComment(descriptor: ScopeComment): string {
  return JSON.stringify(descriptor);
}

/**
 * Reads a comment; undefined when it is not one of ours (or of a form that a later version made).
 */
export function parseComment(comment: string | null | undefined): ScopeComment | undefined {
  if (comment === null || comment === undefined || !comment.startsWith("{")) return undefined;
  try {
    const value: unknown = JSON.parse(comment);
    return isDescriptor(value) ? value : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined; // somebody else's comment
    throw error;
  }
}

function isDescriptor(value: unknown): value is ScopeComment {
  const { version, tool, hash, epoch, source, target, rules, words, changedIdentities } =
    (value ?? {}) as Readonly<Record<string, unknown>>;
  return version === 1 && tool === commentTool && typeof hash === "string" &&
    typeof epoch === "number" && isPlace(source) && isPlace(target) && typeof rules === "string" &&
    Array.isArray(words) && Array.isArray(changedIdentities) &&
    changedIdentities.every(isChangedIdentity);
}

/** A comment may be anybody's: what is no name would make every cleanup fail. */
function isChangedIdentity(value: unknown): value is ChangedIdentity {
  const { schema, name, before, index } = (value ?? {}) as Readonly<Record<string, unknown>>;
  return isName(schema) && isName(name) && (before === "d" || before === "n" || before === "i") &&
    (index === undefined || isName(index));
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "" && !value.includes("\0");
}

function isPlace(value: unknown): value is DatabaseRef {
  const { system, database } = (value ?? {}) as Readonly<Record<string, unknown>>;
  return typeof system === "string" && isName(database);
}

/** `COMMENT ON PUBLICATION …` with a descriptor. */
export function commentOnPublication(name: string, descriptor: ScopeComment): string {
  return `COMMENT ON PUBLICATION ${quoteIdentifier(name)} IS ${
    quoteLiteral(printComment(descriptor))
  }`;
}

/** `COMMENT ON SUBSCRIPTION …` with a descriptor. */
export function commentOnSubscription(name: string, descriptor: ScopeComment): string {
  return `COMMENT ON SUBSCRIPTION ${quoteIdentifier(name)} IS ${
    quoteLiteral(printComment(descriptor))
  }`;
}

/** Whether two descriptors are about the same two databases, whatever their rules. */
export function sameDatabaseRefs(a: ScopeComment, b: ScopeComment): boolean {
  return samePlace(a.source, b.source) && samePlace(a.target, b.target);
}

function samePlace(a: DatabaseRef, b: DatabaseRef): boolean {
  return a.system === b.system && a.database === b.database;
}

/**
 * In what the scope that is there differs from the one that is wanted, one line each; empty when
 * they are the same.
 */
export function scopeDifferences(
  { wanted, there }: { readonly wanted: ScopeComment; readonly there: ScopeComment },
): readonly string[] {
  const place = (what: string, a: DatabaseRef, b: DatabaseRef) =>
    samePlace(a, b) ? [] : [
      a.database === b.database
        ? `${what}: database ${a.database} of another server`
        : `${what}: database ${b.database}, not ${a.database}`,
    ];
  const rules = wanted.rules === there.rules ? [] : [
    ...wanted.words.filter((line) => !there.words.includes(line)).map((line) =>
      `rule of this command that it does not have: ${line}`
    ),
    ...there.words.filter((line) => !wanted.words.includes(line)).map((line) =>
      `rule that it has and this command does not: ${line}`
    ),
  ];
  return [
    ...place("source", wanted.source, there.source),
    ...place("target", wanted.target, there.target),
    ...(rules.length === 0 && wanted.rules !== there.rules
      ? ["its rules are put differently: the same lines, but from other places"]
      : rules),
  ];
}

/** The statement that gives a table back the replica identity that it had. */
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

/** A changed identity for people: `orders (was DEFAULT)`. */
export function describeIdentity(changed: ChangedIdentity): string {
  const was = { d: "DEFAULT", n: "NOTHING", i: `USING INDEX ${changed.index ?? "?"}` };
  return `${displayName(changed)} (was ${was[changed.before]})`;
}

/** Changed identities for people, a few of them. */
export function describeIdentityList(changed: readonly ChangedIdentity[], most = 5): string {
  const list = changed.slice(0, most).map(describeIdentity).join(", ");
  return changed.length > most ? `${list} and ${changed.length - most} more` : list;
}
