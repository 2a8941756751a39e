/**
 * Compares large objects by their contents and comments.
 *
 * @module
 */
import { isTransient, plural } from "../core/internal.ts";
import { readEncoding } from "../catalog/internal.ts";
import { isUnconvertible, queryBytes, ServerError, type Session } from "../postgres/internal.ts";
import type { ObjectDifference, VerifiedSection } from "./report/report.ts";
import { both, type SessionPair } from "./scan/session_pair.ts";

/** Options of {@linkcode compareLargeObjects}. */
export interface LargeObjectOptions {
  /** The number of differences to list. */
  readonly maxDiffs: number;
  /** Whether a subscription follows the source; large objects are not replicated. */
  readonly live: boolean;
  /** Receives the number compared so far. */
  readonly onProgress: (done: number) => void;
}

/** What a large object contains, without its contents. */
export interface LargeObjectDigest {
  readonly oid: number;
  /** Its length. */
  readonly bytes: string;
  readonly hash: string;
}

interface Contents extends LargeObjectDigest {
  readonly comment: string | undefined;
}

/**
 * Whether comments are read as bytes (see `queryBytes`) because they are not convertible to UTF-8.
 */
interface CommentOptions {
  readonly asBytes: boolean;
}

const pageSize = 500;

// Pieces are hashed with their offset as seed, and the hashes added up: a hole equals the zeros it
// reads as, and no object has to fit in memory. OFFSET 0 separates the steps because Memoize (14+)
// would otherwise reuse one descriptor for another object.
const pageStatement = `
  SELECT oid, bytes::pg_catalog.text AS bytes,
         (SELECT coalesce(pg_catalog.sum(pg_catalog.hash_array_extended(ARRAY[pg_catalog.lo_get(oid, start, 262144)], start)), 0)::pg_catalog.text
            FROM pg_catalog.generate_series(0, bytes - 1, 262144) AS start) AS hash
    FROM (SELECT oid, bytes, pg_catalog.lo_close(descriptor) AS closed
            FROM (SELECT oid, descriptor, pg_catalog.lo_lseek64(descriptor, 0, 2) AS bytes
                    FROM (SELECT oid, pg_catalog.lo_open(oid, 262144) AS descriptor
                            FROM (SELECT oid FROM pg_catalog.pg_largeobject_metadata WHERE oid > $1::pg_catalog.oid
                                   ORDER BY oid LIMIT ${pageSize}) AS page
                          OFFSET 0) AS opened
                  OFFSET 0) AS sought
          OFFSET 0) AS measured
   ORDER BY oid`;

const commentsStatement = (after: number, last: number) => `
  SELECT d.objoid::pg_catalog.text AS oid, d.description AS comment
    FROM pg_catalog.pg_description AS d
   WHERE d.classoid = 'pg_catalog.pg_largeobject'::pg_catalog.regclass AND d.objsubid = 0
     AND d.objoid > '${after}'::pg_catalog.oid AND d.objoid <= '${last}'::pg_catalog.oid`;

/** Compares all large objects; undefined if neither side has any. */
export async function compareLargeObjects(
  pair: SessionPair,
  options: LargeObjectOptions,
): Promise<VerifiedSection | undefined> {
  const section = "large-objects";
  const counts = await both(async (side) => await countOf(pair[side]));
  if (counts[0] + counts[1] === 0) return undefined;
  try {
    const { compared, differing, differences } = await compareInAnyEncoding(pair, options);
    return {
      section,
      verdict: differing === 0 ? "equal" : "different",
      compared,
      differences,
      notes: [],
      ...(differing > differences.length
        ? { reason: `${plural(differing, "object differs", "objects differ")}` }
        : {}),
    };
  } catch (error) {
    if (!(error instanceof ServerError) || isTransient(error)) throw error;
    return {
      section,
      verdict: "unchecked",
      compared: 0,
      differences: [],
      notes: [],
      reason: `${error.side}: ${error.message}`,
    };
  }
}

async function countOf(session: Session): Promise<number> {
  const { count } = await session.queryOne<{ count: number }>(
    "SELECT pg_catalog.count(*)::pg_catalog.float8 AS count FROM (SELECT FROM pg_catalog.pg_largeobject_metadata LIMIT 1) AS object",
  );
  return count;
}

/**
 * Reads the comments of both sides as bytes if one is not convertible to UTF-8 and both databases
 * have the same encoding.
 */
async function compareInAnyEncoding(pair: SessionPair, options: LargeObjectOptions) {
  const encodings = await both((side) => readEncoding(pair[side]));
  const isSame = encodings[0] === encodings[1];
  try {
    return await compareAll(pair, options, encodings.map((each) => each === "SQL_ASCII"));
  } catch (error) {
    if (!isUnconvertible(error) || !isSame) throw error;
    return await compareAll(pair, options, [true, true]);
  }
}

async function compareAll(
  pair: SessionPair,
  { maxDiffs, live, onProgress }: LargeObjectOptions,
  [sourceAsBytes = false, targetAsBytes = false]: readonly boolean[],
) {
  const differences: ObjectDifference[] = [];
  let [compared, differing] = [0, 0];
  const note = (oid: number, message: string) => {
    differing++;
    if (differences.length >= maxDiffs) return;
    differences.push({
      object: `large object ${oid}`,
      message,
      ...(live ? { remedy: "large objects are not replicated: copy the changed ones" } : {}),
    });
  };
  const onSource = contents(pair.source, { asBytes: sourceAsBytes });
  const onTarget = contents(pair.target, { asBytes: targetAsBytes });
  let [source, target] = await both(async (side) =>
    (await (side === "source" ? onSource : onTarget).next()).value ?? undefined
  );
  while (source !== undefined || target !== undefined) {
    const [one, other] = [source?.oid ?? Infinity, target?.oid ?? Infinity];
    if (one < other) note(one, "is missing on the target");
    else if (other < one) note(other, "is only on the target");
    else if (source?.bytes !== target?.bytes) {
      note(one, `has ${source?.bytes} bytes on the source and ${target?.bytes} on the target`);
    } else if (source?.hash !== target?.hash) note(one, "has different contents on the target");
    if (one === other && source?.comment !== target?.comment) {
      note(one, commentChange(source, target));
    }
    if (one <= other) source = (await onSource.next()).value ?? undefined;
    if (other <= one) target = (await onTarget.next()).value ?? undefined;
    if (++compared % pageSize === 0) onProgress(compared);
  }
  return { compared, differing, differences };
}

function commentChange(source: Contents | undefined, target: Contents | undefined): string {
  return target?.comment === undefined
    ? "has no comment on the target"
    : source?.comment === undefined
    ? "has a comment only on the target"
    : "has a different comment on the target";
}

async function* contents(
  session: Session,
  options: CommentOptions,
): AsyncGenerator<Contents, undefined, void> {
  let after = 0;
  for await (const page of digestLargeObjects(session)) {
    const { oid: last } = page.at(-1)!;
    const comments = await readComments(session, { ...options, after, last });
    for (const object of page) yield { ...object, comment: comments.get(object.oid) };
    after = last;
  }
  return undefined;
}

/**
 * Reads all large objects of the session's database by OID, in pages, and digests their contents.
 */
export async function* digestLargeObjects(
  session: Session,
): AsyncGenerator<readonly LargeObjectDigest[], void, void> {
  for (let last = 0;;) {
    // large object descriptors are valid only within a transaction
    const page = await session.transaction(
      () => session.query<{ oid: number; bytes: string; hash: string }>(pageStatement, [last]),
    );
    const final = page.at(-1);
    if (final === undefined) return;
    yield page;
    if (page.length < pageSize) return;
    last = final.oid;
  }
}

async function readComments(
  session: Session,
  { asBytes, after, last }: CommentOptions & { readonly after: number; readonly last: number },
): Promise<ReadonlyMap<number, string>> {
  const statement = commentsStatement(after, last);
  type Row = { readonly oid: string; readonly comment: string };
  const rows = asBytes
    ? await queryBytes<Row>(session, statement)
    : await session.query<Row>(statement);
  return new Map(rows.map(({ oid, comment }) => [Number(oid), comment]));
}
