/**
 * Large objects: contents, owners, privileges and comments.
 *
 * Source: PostgreSQL documentation, "35. Large Objects".
 *
 * @module
 */
import { type EventSink, quoteIdentifier, quoteLiteral } from "../core/internal.ts";
import {
  type CopyJob,
  type Endpoint,
  importSnapshot,
  openSession,
  relayCopies,
  type Session,
  silenceEventTriggers,
  type SnapshotHolder,
} from "../postgres/internal.ts";
import { listLargeObjects } from "../catalog/internal.ts";

/** Which large objects are copied, and how. */
export interface CopyLargeObjectsOptions {
  /** The source. */
  readonly source: Endpoint;
  /** The target. */
  readonly target: Endpoint;
  /** The snapshot that is read under. */
  readonly snapshot: SnapshotHolder;
  /** Their number, for progress events. */
  readonly count: number;
  /** Ends the work; the promise then rejects with its reason. */
  readonly signal: AbortSignal;
  /** Receives progress and warnings. */
  readonly events: EventSink;
  /** Called for an owner, privilege or comment that the target refuses. */
  readonly onRefused: (message: string, object: string) => void;
  /** Statement on the target that records that all of them are copied. */
  readonly mark?: string;
}

/** Objects copied in one transaction. */
const pageSize = 1_000;
/** Contents are sent in chunks, so that objects of gigabytes need no memory. */
const chunkBytes = 256 * 1024;

/**
 * Copies all large objects with their OIDs, a page per transaction. Objects that an earlier attempt
 * copied are skipped, except for owners and privileges.
 *
 * Contents are relayed as rows (OID, offset, chunk) into a temporary table, from which `lo_put`
 * writes them.
 */
export async function copyLargeObjects(options: CopyLargeObjectsOptions): Promise<number> {
  const { source, target, snapshot, signal, events, count, mark } = options;
  await using listing = await openSession(source, { signal });
  await importSnapshot(listing, snapshot.identifier);
  await using from = await openSession(source, { signal });
  await importSnapshot(from, snapshot.identifier);
  await using to = await openSession(target, { signal, settings: { synchronous_commit: "off" } });
  await silenceEventTriggers(to);
  const existing = await existingObjects(to);
  let done = 0;
  for await (const page of listLargeObjects(listing, { pageSize })) {
    const missing = page.map(({ oid }) => oid).filter((oid) => !existing.has(oid));
    const jobs: CopyJob[] = missing.length === 0 ? [] : [contentsJob(missing, { existing: [] })];
    await relayCopies(from, to, { next: () => jobs.shift(), onFinished: () => {} });
    await applyPrivileges(listing, to, page.map(({ oid }) => oid), options.onRefused);
    done += page.length;
    events({
      kind: "step-progress",
      step: "large-objects",
      database: source.database,
      done,
      total: count,
    });
  }
  if (mark !== undefined) await to.execute(mark);
  return done;
}

/** Large objects that differ on the other side. */
export interface LargeObjectDelta {
  /** Only on the source. */
  readonly created: readonly number[];
  /** With other contents. */
  readonly changed: readonly number[];
  /** Only on the target. */
  readonly removed: readonly number[];
}

/**
 * Makes the large objects of a delta equal to those of the source as they are now, a page per
 * transaction.
 *
 * @param sessions outside a transaction
 */
export async function refreshLargeObjects(
  { source, target }: { readonly source: Session; readonly target: Session },
  { created, changed, removed, onRefused }:
    & LargeObjectDelta
    & Pick<CopyLargeObjectsOptions, "onRefused">,
): Promise<void> {
  for (let from = 0; from < removed.length; from += pageSize) {
    const page = removed.slice(from, from + pageSize).join(", ");
    await target.query(
      `SELECT pg_catalog.count(pg_catalog.lo_unlink(oid)) FROM pg_catalog.unnest(ARRAY[${page}]::pg_catalog.oid[]) AS object (oid)`,
    );
  }
  for (const [oids, exist] of [[changed, true], [created, false]] as const) {
    for (let from = 0; from < oids.length; from += pageSize) {
      const page = oids.slice(from, from + pageSize);
      const jobs: CopyJob[] = [contentsJob(page, { existing: exist ? page : [] })];
      await relayCopies(source, target, { next: () => jobs.shift(), onFinished: () => {} });
      if (!exist) await applyPrivileges(source, target, page, onRefused);
    }
  }
}

/** Those of an earlier attempt: each was created and filled in one transaction. */
async function existingObjects(session: Session): Promise<ReadonlySet<number>> {
  const rows = await session.query<{ oid: number }>(
    "SELECT oid FROM pg_catalog.pg_largeobject_metadata",
  );
  return new Set(rows.map(({ oid }) => oid));
}

/**
 * Copies the contents of a page of objects.
 *
 * @param options `existing`: those that the target has already, which are emptied first and keep
 * owner and privileges
 */
function contentsJob(
  oids: readonly number[],
  { existing }: { readonly existing: readonly number[] },
): CopyJob {
  const list = oids.join(", ");
  const known = new Set(existing);
  const created = oids.filter((oid) => !known.has(oid));
  return {
    name: `large objects ${oids[0]} to ${oids.at(-1)}`,
    expectedBytes: Number.MAX_SAFE_INTEGER,
    // opens, measures and closes each object before the next one. OFFSET 0 separates the steps;
    // lateral joins would be cached by descriptor, which all objects share (Memoize, 14+)
    copyOut: `COPY (
      SELECT measured.oid, start, pg_catalog.lo_get(measured.oid, start, ${chunkBytes})
        FROM (SELECT oid, bytes, pg_catalog.lo_close(descriptor) AS closed
                FROM (SELECT oid, descriptor, pg_catalog.lo_lseek64(descriptor, 0, 2) AS bytes
                        FROM (SELECT oid, pg_catalog.lo_open(oid, 262144) AS descriptor
                                FROM pg_catalog.unnest(ARRAY[${list}]::pg_catalog.oid[]) AS object (oid)
                              OFFSET 0) AS opened
                      OFFSET 0) AS sought
              OFFSET 0) AS measured
       CROSS JOIN LATERAL pg_catalog.generate_series(0, measured.bytes - 1, ${chunkBytes}) AS start
    ) TO STDOUT`,
    copyIn: `
      SELECT pg_catalog.count(pg_catalog.lo_create(oid)) FROM pg_catalog.unnest(ARRAY[${
      created.join(", ")
    }]::pg_catalog.oid[]) AS object (oid);
      SELECT pg_catalog.count(pg_catalog.lo_close(descriptor))
        FROM (SELECT descriptor, pg_catalog.lo_truncate64(descriptor, 0) AS emptied
                FROM (SELECT pg_catalog.lo_open(oid, 131072) AS descriptor
                        FROM pg_catalog.unnest(ARRAY[${
      existing.join(", ")
    }]::pg_catalog.oid[]) AS object (oid)
                      OFFSET 0) AS opened
              OFFSET 0) AS emptied;
      CREATE TEMPORARY TABLE seren_large_object_piece (oid oid, start bigint, piece bytea) ON COMMIT DROP;
      COPY pg_temp.seren_large_object_piece FROM STDIN;
      SELECT pg_catalog.count(pg_catalog.lo_put(oid, start, piece)) FROM pg_temp.seren_large_object_piece;
      DROP TABLE pg_temp.seren_large_object_piece`,
  };
}

const privilegesStatement = `
  SELECT lo.oid, pg_catalog.pg_get_userbyid(lo.lomowner) AS owner,
         pg_catalog.obj_description(lo.oid, 'pg_largeobject') AS comment,
         lo.lomacl IS NOT NULL AS has_acl,
         coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                     'grantee', CASE WHEN entry.grantee = 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(entry.grantee) END,
                     'privilege', entry.privilege_type,
                     'grantable', entry.is_grantable))
                     FROM pg_catalog.aclexplode(lo.lomacl) AS entry), '[]'::pg_catalog.json) AS grants
    FROM pg_catalog.pg_largeobject_metadata AS lo
   WHERE lo.oid = ANY ($1::pg_catalog.oid[])
   ORDER BY lo.oid`;

interface PrivilegesRow {
  readonly oid: number;
  readonly owner: string;
  readonly comment: string | null;
  readonly has_acl: boolean;
  readonly grants: readonly {
    readonly grantee: string | null;
    readonly privilege: string;
    readonly grantable: boolean;
  }[];
}

/**
 * Sets owners, privileges and comments of a page: all at once or, if one is refused, one by one.
 */
async function applyPrivileges(
  source: Session,
  target: Session,
  oids: readonly number[],
  onRefused: CopyLargeObjectsOptions["onRefused"],
): Promise<void> {
  const rows = await source.query<PrivilegesRow>(privilegesStatement, [`{${oids.join(",")}}`]);
  const statements = rows.flatMap((row) =>
    privilegeStatements(row).map((sql) => ({ sql, oid: row.oid }))
  );
  if (statements.length === 0) return;
  try {
    await target.execute(statements.map(({ sql }) => sql).join(";\n"));
  } catch {
    // executes each alone, and reports those that fail
    for (const { sql, oid } of statements) {
      await target.execute(sql).catch((error) => {
        if (!(error instanceof Error) || !("sqlState" in error)) throw error;
        onRefused(error.message, `large object ${oid}`);
      });
    }
  }
}

function privilegeStatements(
  { oid, owner, comment, has_acl, grants }: PrivilegesRow,
): readonly string[] {
  const object = `LARGE OBJECT ${oid}`;
  return [
    `ALTER ${object} OWNER TO ${quoteIdentifier(owner)}`,
    ...(has_acl ? [`REVOKE ALL ON ${object} FROM ${quoteIdentifier(owner)}`] : []),
    ...grants.map(({ grantee, privilege, grantable }) =>
      `GRANT ${privilege} ON ${object} TO ${
        grantee === null ? "PUBLIC" : quoteIdentifier(grantee)
      }` +
      (grantable ? " WITH GRANT OPTION" : "")
    ),
    ...(comment === null ? [] : [`COMMENT ON ${object} IS ${quoteLiteral(comment)}`]),
  ];
}
