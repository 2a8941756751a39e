/**
 * Preflight: what would prevent a switch, from facts about both sides. Pure.
 *
 * @module
 */
import {
  displayName,
  formatBytes,
  formatDuration,
  plural,
  quoteIdentifier,
  quoteLiteral,
  type Side,
  tableKey,
  type TableName,
} from "../core/internal.ts";
import type { ApplierKind, StreamState } from "../replication/internal.ts";
import type { FenceKind } from "../config/internal.ts";
import type { FencedTable } from "./fence.ts";
import { missingPrivileges, type PrivilegeFacts } from "./privileges.ts";
import {
  describeUnfinished,
  type UnfinishedSwitch,
  unfinishedSwitchRemedy,
} from "./interrupted_switch.ts";
import type { OutsideKey } from "./outside_keys.ts";
import type { ReadOnlyDefaults } from "./read_only_default.ts";
import { describeSessions, type OtherSession, sessionFenceLimits } from "./session_fence.ts";

/** A stream that leaves the side in use. */
export interface StreamReading {
  readonly name: string;
  readonly state: StreamState;
  /** What applies its changes; undefined without an applier. */
  readonly kind: ApplierKind | undefined;
  /** Why this tool's own applier has stopped; undefined unless it has. */
  readonly error: string | undefined;
  /** WAL that the other side has not confirmed, in bytes; undefined without a slot. */
  readonly lagBytes: number | undefined;
  /** Tables whose first copy is not complete. */
  readonly unready: readonly TableName[];
  /** Why the server could remove the WAL that the slot needs; undefined if it will not. */
  readonly risk: string | undefined;
}

/** A transaction that may hold up the barrier. */
export interface OldTransaction {
  readonly pid: number;
  readonly user: string | undefined;
  readonly state: string | undefined;
  readonly ageMs: number;
}

/** What closing a side by its sessions needs. */
export interface SessionFacts {
  /** Sessions that the role may not terminate. */
  readonly kept: readonly OtherSession[];
  /** Roles whose own default keeps their sessions writable. */
  readonly writableRoles: readonly string[];
  /** Tables that the role may not read or change, which the way back needs. */
  readonly withoutGrants: readonly TableName[];
}

/** Facts about one side of a database. */
export interface SideFacts {
  readonly side: Side;
  readonly major: number;
  /** Tables in scope that do not exist. */
  readonly missing: readonly TableName[];
  /** Tables in scope whose triggers the role may not create: it does not own them. */
  readonly notOwned: readonly TableName[];
  /** How the side is closed. */
  readonly fenceKind: FenceKind;
  /** Undefined for a side that is closed by triggers. */
  readonly sessions: SessionFacts | undefined;
  /** Sequences of both sides that the role may not read and set here. */
  readonly sequences: readonly TableName[];
  /** Tables in scope some of whose rows are hidden from those who apply changes or count rows. */
  readonly hiddenRows: readonly TableName[];
  /** Whether the function of the fence is not the one that this version creates. */
  readonly isFenceOutdated: boolean;
  /** Read-only defaults for all roles. */
  readonly readOnlyDefaults: ReadOnlyDefaults;
  /** Roles whose own default makes their sessions read-only, also where the side is open. */
  readonly readOnlyRoles: readonly string[];
  /** Tables with a complete fence; empty before `prepare`. */
  readonly fence: readonly FencedTable[];
  /** Lock entries that the server has room for. */
  readonly maxLocks: number;
  /** Global identifiers of prepared transactions of the database. */
  readonly prepared: readonly string[];
  /** Whether the role may create schemas in the database. */
  readonly mayCreate: boolean;
  /** Whether the role may set database defaults, such as read-only. */
  readonly ownsDatabase: boolean;
  /** Whether the role may terminate sessions of other roles. */
  readonly maySignal: boolean;
  readonly walLevel: string;
  readonly freeSlots: number;
  /** Transactions older than the pause. */
  readonly oldTransactions: readonly OldTransaction[];
  /** Whether PL/pgSQL exists, in which the fence is written. */
  readonly hasPlpgsql: boolean;
  readonly isStandby: boolean;
  /** Event triggers that fire for the commands of a switch: it cannot prevent them. */
  readonly eventTriggers: readonly string[];
  /**
   * Enabled subscriptions, and streams that a running sync applies, that write into tables in scope
   * and do not belong to the cutover.
   */
  readonly subscriptions: readonly string[];
}

/** What a preflight is about. */
export interface PreflightFacts {
  readonly database: string;
  /** The side in use. */
  readonly from: SideFacts;
  /** The side that will be opened. */
  readonly to: SideFacts;
  readonly streams: readonly StreamReading[];
  /** A switch that has changed something and is running, or was interrupted. */
  readonly unfinished: UnfinishedSwitch | undefined;
  /** Tables with a fence, as recorded by `prepare`; before it, those that it would fence. */
  readonly tables: readonly TableName[];
  /** Tables that the streams carry now, with the partitioned tables above them. */
  readonly carried: readonly TableName[];
  /** Differences in structure that lose changes or stop replication, in sentences. */
  readonly drift: readonly string[];
  /** Sequences of the side in use that the other side lacks. */
  readonly unmappedSequences: readonly TableName[];
  /** Tables of the side in use whose changes no stream carries. */
  readonly notCarried: readonly TableName[];
  /** Those of them that are partitions of tables which are replicated. */
  readonly partitionsNotCarried: readonly TableName[];
  /** Those of these that the other side lacks. */
  readonly partitionsAlone: readonly TableName[];
  /** Partitions of replicated tables that only the side has which will be opened. */
  readonly partitionsElsewhere: readonly TableName[];
  /** Those of {@linkcode notCarried} that `prepare` has reported; empty before it. */
  readonly leftOut: readonly TableName[];
  /** Foreign keys between tables in scope and tables that are left out. */
  readonly outsideKeys: readonly OutsideKey[];
  /** Whether a way back is wanted or exists. */
  readonly wayBack: boolean;
  /**
   * Streams that the switch starts, whose changes this tool applies and no process would: `sync`
   * does not run.
   */
  readonly unattended: readonly string[];
  /** What the roles may do; undefined after `prepare`. */
  readonly privileges: PrivilegeFacts | undefined;
  /** Large objects of the side in use, which no stream carries. */
  readonly largeObjects: { readonly count: number; readonly unreadable: number };
}

/** One reason not to switch, or something to know about it. */
export interface PreflightFinding {
  /** A problem prevents the step; a warning does not. */
  readonly severity: "problem" | "warning";
  /** Its name on the source. */
  readonly database: string;
  /** The server concerned; undefined for both. */
  readonly side: Side | undefined;
  /** What was found, in one sentence. */
  readonly message: string;
  /** What to do about it. */
  readonly remedy: string | undefined;
}

/** Which checks apply: before `prepare`, the fence does not exist yet. */
export type PreflightStage = "prepare" | "switch";

/** Every finding, problems first. */
export function preflight(
  facts: PreflightFacts,
  stage: PreflightStage,
): readonly PreflightFinding[] {
  const { database } = facts;
  const found: PreflightFinding[] = [];
  const add = (
    severity: PreflightFinding["severity"],
    side: Side | undefined,
    message: string,
    remedy?: string,
  ) => void found.push({ severity, database, side, message, remedy });
  const { unfinished } = facts;
  if (unfinished !== undefined) {
    add(
      unfinished.isTurning ? "problem" : "warning",
      unfinished.inUse,
      describeUnfinished(unfinished),
      unfinishedSwitchRemedy(unfinished),
    );
  }
  // while they are turned around, their states are neither errors nor to be repaired one by one
  for (const stream of unfinished?.isTurning === true ? [] : facts.streams) {
    checkStream(stream, facts, add);
  }
  for (const side of [facts.from, facts.to]) checkSide(side, facts, stage, add);
  for (const { side, message, remedy } of missingPrivileges(facts.privileges)) {
    add("problem", side, message, remedy);
  }
  for (const name of facts.unattended) {
    add(
      "problem",
      facts.from.side,
      `the switch starts the stream ${name}, whose changes this tool applies, and no sync is running`,
      "run sync in another terminal or as a service and keep it running: it waits for the switch",
    );
  }
  if (stage === "switch") checkFences(facts, add);
  for (const message of facts.drift) {
    add("problem", undefined, message, "see status for the statement that removes the difference");
  }
  if (facts.unmappedSequences.length > 0) {
    add(
      "problem",
      facts.to.side,
      `sequences are missing: ${some(facts.unmappedSequences)}`,
      "create them with the definition of the other side",
    );
  }
  const known = new Set(facts.leftOut.map((table) => tableKey(table)));
  const created = facts.notCarried.filter((table) => !known.has(tableKey(table)));
  const alone = new Set(facts.partitionsAlone.map((table) => tableKey(table)));
  const partitions = facts.partitionsNotCarried.filter((table) =>
    !known.has(tableKey(table)) || alone.has(tableKey(table))
  );
  if (stage === "switch" && facts.from.side === "source" && created.length > 0) {
    add(
      "problem",
      facts.from.side,
      `tables were created since cutover prepare, and no stream carries their rows: ${
        some(created)
      }`,
      "run sync --add-tables, then cutover prepare again; to leave them out, run cutover prepare only",
    );
  } else if (stage === "switch" && facts.from.side === "target" && partitions.length > 0) {
    add(
      "problem",
      facts.from.side,
      `replicated tables have partitions that the way back does not carry, with their rows: ${
        some(partitions)
      }`,
      "ALTER TABLE … DETACH PARTITION … on the target: their rows then stay there, to be copied to the source by hand; drop those that are empty",
    );
  } else if (facts.notCarried.length > 0) {
    add(
      "warning",
      facts.from.side,
      `changes of ${plural(facts.notCarried.length, "table")} are not replicated: ${
        some(facts.notCarried)
      }`,
      facts.from.side === "source"
        ? "changes to them do not reach the other side; sync --add-tables or --resnapshot includes them"
        : "their rows stay on the target: copy them to the source by hand if they are needed there",
    );
  }
  if (facts.to.side === "target" && facts.wayBack && facts.partitionsElsewhere.length > 0) {
    add(
      "warning",
      facts.to.side,
      `replicated tables have partitions that only the target has: ${
        some(facts.partitionsElsewhere)
      }; once it is open, the way back does not carry rows that are written to them, and rollback is refused`,
      stage === "prepare"
        ? "drop those that are empty; or create them on the source too, and run sync --add-tables first"
        : "drop those that are empty; or create them on the source too, and run sync --add-tables and cutover prepare again",
    );
  }
  for (const name of facts.from.subscriptions) {
    add(
      stage === "switch" ? "problem" : "warning",
      facts.from.side,
      `the subscription ${name} writes into replicated tables, even once this side is closed: the fence lets replication pass, and the other side would lack those changes`,
      `before the switch: ALTER SUBSCRIPTION ${
        quoteIdentifier(name)
      } DISABLE, or stop the sync that applies it; after it, subscribe on the other side`,
    );
  }
  checkReadOnlyDefaults(facts, stage, add);
  const readOnlyRoles = facts.to.readOnlyRoles.filter((role) =>
    !facts.from.readOnlyRoles.includes(role)
  );
  if (readOnlyRoles.length > 0) {
    add(
      "warning",
      facts.to.side,
      `sessions of these roles are read-only by default, also once this side is open, unlike on the ${facts.from.side}: ${
        readOnlyRoles.join(", ")
      }`,
      "if they have to write: ALTER ROLE … RESET default_transaction_read_only; also … IN DATABASE …",
    );
  }
  checkOutsideKeys(facts, add);
  checkLargeObjects(facts, stage, add);
  return [
    ...found.filter(({ severity }) => severity === "problem"),
    ...found.filter(({ severity }) => severity === "warning"),
  ];
}

type Add = (
  severity: PreflightFinding["severity"],
  side: Side | undefined,
  message: string,
  remedy?: string,
) => void;

function checkStream(
  { name, state, kind, error, lagBytes, unready, risk }: StreamReading,
  { from }: PreflightFacts,
  add: Add,
): void {
  if (state !== "streaming" && state !== "starting") {
    add(
      "problem",
      undefined,
      `the stream ${name} is ${state}, not streaming${error === undefined ? "" : `: ${error}`}`,
      from.side === "target" ? wayBackRemedy({ name, state, kind }) : streamRemedy(state, kind),
    );
  } else if (lagBytes !== undefined && lagBytes > maxLagBytes) {
    add(
      "problem",
      undefined,
      `the stream ${name} is ${formatBytes(lagBytes)} behind`,
      "wait until status shows less lag",
    );
  }
  if (unready.length > 0) {
    add(
      "problem",
      undefined,
      `the first copy of ${some(unready)} is not complete`,
      "wait until status shows the tables as ready",
    );
  }
  if (risk !== undefined) add("problem", from.side, `the slot ${name} is at risk: ${risk}`);
}

function streamRemedy(state: StreamState, kind: ApplierKind | undefined): string | undefined {
  switch (state) {
    case "streaming":
    case "starting":
      return undefined;
    case "blocked":
      return "status shows the session that holds the lock: end its transaction, or wait for it";
    case "stopped":
      return kind === "client"
        ? "no process applies its changes: run sync, and keep it running"
        : "sync shows why its worker does not run, the target's log the error: remove the cause";
    case "disabled":
      return kind === "client" ? "run sync, and keep it running" : "sync starts it";
    case "failing":
      return "sync shows the change that cannot be applied: remove the cause, or skip its transaction with sync --skip-lsn";
    case "no-subscription":
      return "sync creates what applies its changes";
    case "detached":
      return "remove it with cleanup, and start over with init --enable-sync";
    case "no-slot":
    case "lost":
      return "changes are missing on the other side: copy the tables again with sync --resnapshot";
    case "unknown":
      return "see status for the reason";
  }
}

/** How the stream from the target to the source is brought back; `sync` does not touch it. */
export function wayBackRemedy(
  { name, state, kind }: Pick<StreamReading, "name" | "state" | "kind">,
): string | undefined {
  const write = "SET default_transaction_read_only = off";
  switch (state) {
    case "disabled":
    case "stopped":
    case "failing":
      if (kind === "client") {
        return `remove the cause on the source, where a session may write after ${write}; then run sync, and keep it running`;
      }
      return state === "disabled"
        ? `on the source: ${write}; then ALTER SUBSCRIPTION ${quoteIdentifier(name)} ENABLE`
        : `the source's log shows the error; remove the cause on the source, where a session may alter tables after ${write}: a column that only the target has must be added there too`;
    case "no-subscription":
    case "detached":
    case "no-slot":
    case "lost":
      return "the way back cannot be repaired: cutover finish gives it up";
    default:
      return streamRemedy(state, kind);
  }
}

/** Defaults that would leave the side which is opened closed. */
function checkReadOnlyDefaults(
  { from, to, database }: PreflightFacts,
  stage: PreflightStage,
  add: Add,
): void {
  if (to.readOnlyDefaults.server === true && from.readOnlyDefaults.server !== true) {
    add(
      stage === "switch" ? "problem" : "warning",
      to.side,
      `new sessions of the server are read-only by default, also once this side is open, unlike on the ${from.side}`,
      "ALTER SYSTEM RESET default_transaction_read_only; SELECT pg_catalog.pg_reload_conf(); or ALTER ROLE ALL RESET default_transaction_read_only; see pg_settings and pg_db_role_setting",
    );
  }
  if (to.readOnlyDefaults.database && !to.ownsDatabase) {
    add(
      stage === "switch" ? "problem" : "warning",
      to.side,
      "the database is read-only by default, and the role may not change this default",
      `as its owner: ALTER DATABASE ${
        quoteIdentifier(database)
      } RESET default_transaction_read_only;`,
    );
  }
}

/** A stream further behind would be refused by the pause in any case. */
const maxLagBytes = 256 * 1024 * 1024;

function checkSide(side: SideFacts, facts: PreflightFacts, stage: PreflightStage, add: Add): void {
  const isFrom = side === facts.from;
  const name = side.side;
  if (side.isStandby) add("problem", name, "the server is a standby", "connect to the primary");
  if (!side.hasPlpgsql) {
    add("problem", name, "the language plpgsql is missing", "CREATE EXTENSION plpgsql;");
  }
  if (side.missing.length > 0) {
    add("problem", name, `tables are missing: ${some(side.missing)}`, "see status for the drift");
  }
  if (side.fenceKind === "sessions") {
    checkSessions(side, { facts, stage, add });
  } else if (side.notOwned.length > 0) {
    add(
      "problem",
      name,
      `the role does not own ${plural(side.notOwned.length, "table")}: ${some(side.notOwned)}`,
      `connect as their owner, or GRANT the owner's role to the role${
        name === "source" && stage === "prepare"
          ? "; or, weaker, --fence sessions, which ends sessions and does not stop one that turns read-only mode off"
          : ""
      }`,
    );
  }
  if (side.sequences.length > 0) {
    add(
      "problem",
      name,
      `the role may not read and set ${plural(side.sequences.length, "sequence")}: ${
        some(side.sequences)
      }`,
      "GRANT SELECT, UPDATE on the sequences, and USAGE on their schemas, to the role",
    );
  }
  if (side.hiddenRows.length > 0 && (!isFrom || facts.wayBack)) {
    add(
      "problem",
      name,
      `row-level security applies to the role that writes replicated changes here, which fails: ${
        some(side.hiddenRows)
      }`,
      `ALTER TABLE … NO FORCE ROW LEVEL SECURITY, or ALTER ROLE … BYPASSRLS for the tables' owner${
        isFrom && stage === "prepare" ? "; or --way-back none" : ""
      }`,
    );
  }
  if (!side.mayCreate && stage === "prepare") {
    add("problem", name, "the role may not create schemas", "GRANT CREATE ON DATABASE to the role");
  }
  if (side.eventTriggers.length > 0 && stage === "switch") {
    add(
      "warning",
      name,
      `event triggers fire for ALTER TABLE while writers wait: ${side.eventTriggers.join(", ")}`,
      "disable them until the switch is complete: one that fails abandons it",
    );
  }
  // each table, its indexes' share of the queue, and the triggers
  const locks = facts.tables.length * 2 + 64;
  if (side.maxLocks < locks) {
    add(
      "problem",
      name,
      `${
        plural(facts.tables.length, "table")
      } require more locks than the server has room for (${side.maxLocks})`,
      "raise max_locks_per_transaction (needs a restart)",
    );
  }
  for (const identifier of side.prepared) {
    const gid = quoteLiteral(identifier).trim();
    add(
      isFrom ? "problem" : "warning",
      name,
      `the prepared transaction ${gid} may hold locks that the barrier needs`,
      `COMMIT PREPARED ${gid}; or ROLLBACK PREPARED ${gid};`,
    );
  }
  if (isFrom) {
    for (const { pid, user, state, ageMs } of side.oldTransactions.slice(0, 5)) {
      add(
        "warning",
        name,
        `a transaction is ${formatDuration(ageMs)} old: pid ${pid} (${
          [user, state].filter((part) => part !== undefined).join(", ")
        })`,
        "if it has written to a table in scope, the switch cannot begin before it ends",
      );
    }
    if (!side.ownsDatabase && side.fenceKind === "triggers") {
      add(
        "warning",
        name,
        "the role does not own the database: it will not be marked read-only",
        "the fence refuses writes in any case, but clients with target_session_attrs=read-write do not move by themselves",
      );
    }
    if (!side.maySignal && side.fenceKind === "triggers") {
      add(
        "warning",
        name,
        "the role may terminate only sessions of its own role and of roles that it is a member of",
        "GRANT pg_signal_backend to the role, or reconnect the other clients",
      );
    }
  } else if (facts.wayBack && stage === "prepare") {
    if (side.walLevel !== "logical") {
      add(
        "problem",
        name,
        `wal_level is ${side.walLevel}, but the way back requires logical`,
        "ALTER SYSTEM SET wal_level = logical (needs a restart); or --way-back none",
      );
    } else if (side.freeSlots < 1) {
      add(
        "problem",
        name,
        "no replication slot is free for the way back",
        "raise max_replication_slots (needs a restart)",
      );
    }
  }
}

/** What takes the place of the fence where the role does not own the tables. */
function checkSessions(
  side: SideFacts,
  { facts, stage, add }: {
    readonly facts: PreflightFacts;
    readonly stage: PreflightStage;
    readonly add: Add;
  },
): void {
  const { side: name, sessions, notOwned, ownsDatabase, maySignal } = side;
  if (sessions === undefined) return;
  add(
    "warning",
    name,
    `the role does not own ${plural(notOwned.length, "table")}: the side is ${sessionFenceLimits}`,
    "cutover status shows what was written to the closed side; a role that owns the tables closes it reliably",
  );
  if (!ownsDatabase) {
    add(
      "problem",
      name,
      "the role does not own the database, which --fence sessions makes read-only by default",
      "connect as its owner, or ALTER DATABASE … OWNER TO the role",
    );
  }
  if (!maySignal) {
    add(
      "problem",
      name,
      "the role may terminate only sessions of its own role and of roles that it is a member of; --fence sessions terminates all",
      "GRANT pg_signal_backend to the role",
    );
  }
  if (sessions.kept.length > 0 && side === facts.from) {
    add(
      stage === "switch" ? "problem" : "warning",
      name,
      `the role may not terminate sessions of superusers: ${describeSessions(sessions.kept)}`,
      "end them, or let a superuser run SELECT pg_catalog.pg_terminate_backend(pid)",
    );
  }
  if (sessions.writableRoles.length > 0) {
    add(
      "problem",
      name,
      `roles have a read-only default of their own, which precedes the database's: ${
        sessions.writableRoles.join(", ")
      }`,
      `ALTER ROLE … RESET default_transaction_read_only; also … IN DATABASE …`,
    );
  }
  if (sessions.withoutGrants.length > 0 && facts.wayBack) {
    add(
      "problem",
      name,
      `the role may not read and change ${
        plural(sessions.withoutGrants.length, "table")
      }, which the way back needs: ${some(sessions.withoutGrants)}`,
      "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE on the tables to the role; or --way-back none",
    );
  }
}

function checkOutsideKeys({ outsideKeys }: PreflightFacts, add: Add): void {
  const cascades = outsideKeys.filter(({ kind }) => kind === "cascade");
  if (cascades.length > 0) {
    add(
      "warning",
      undefined,
      `foreign keys carry changes of tables that are left out into replicated tables: ${
        someKeys(cascades)
      }`,
      "while a side is closed, it refuses DELETE and key changes of the referenced tables as well",
    );
  }
  const references = outsideKeys.filter(({ kind }) => kind === "reference");
  if (references.length > 0) {
    add(
      "warning",
      undefined,
      `tables that are left out have foreign keys to replicated tables: ${someKeys(references)}`,
      "replication deletes rows without checking these keys; sync --add-tables replicates the tables too",
    );
  }
}

function checkLargeObjects(
  { from, largeObjects: { count, unreadable } }: PreflightFacts,
  stage: PreflightStage,
  add: Add,
): void {
  if (unreadable > 0) {
    add(
      "warning",
      from.side,
      `the role may not read ${
        plural(unreadable, "large object")
      }: none will be compared or copied`,
      "connect as their owner or a superuser",
    );
  } else if (count > 0 && stage === "prepare") {
    add(
      "warning",
      from.side,
      `${plural(count, "large object")} ${count === 1 ? "is" : "are"} not replicated`,
      "cutover run copies what has changed while writers wait; cutover rehearse shows how long that takes",
    );
  }
}

function checkFences({ from, to, tables, carried, database }: PreflightFacts, add: Add): void {
  const fenced = new Set(tables.map((table) => tableKey(table)));
  const added = carried.filter((table) => !fenced.has(tableKey(table)));
  const again = `run cutover prepare again for ${database}`;
  if (added.length > 0) {
    add("problem", undefined, `tables were added to replication: ${some(added)}`, again);
  }
  const lost = tables.filter((table) =>
    !carried.some((other) => tableKey(other) === tableKey(table))
  );
  if (lost.length > 0) {
    add("problem", undefined, `tables are no longer replicated: ${some(lost)}`, again);
  }
  for (const { side, fence, missing, fenceKind } of [from, to]) {
    if (fenceKind === "sessions") continue;
    const existing = new Set([...fence, ...missing].map((table) => tableKey(table)));
    const without = tables.filter((table) => !existing.has(tableKey(table)));
    if (without.length > 0) add("problem", side, `no fence exists on ${some(without)}`, again);
  }
  checkFunctions({ from, to, again }, add);
  const open = to.fence.filter(({ isClosed }) => !isClosed);
  if (open.length > 0) {
    add(
      "problem",
      to.side,
      `the fence is disabled on ${some(open)}: clients may have written to this side`,
      `compare both sides with verify, then ${again}`,
    );
  }
}

/** The way back has no `prepare` that could replace the function. */
function checkFunctions(
  { from, to, again }: Pick<PreflightFacts, "from" | "to"> & { readonly again: string },
  add: Add,
): void {
  const message =
    "the function of the fence was created by another version of this tool, or has been changed since";
  if (from.side === "target") {
    if (!from.isFenceOutdated) return;
    add(
      "warning",
      from.side,
      message,
      "once the source is in use again, cutover prepare replaces it",
    );
    return;
  }
  for (const { side, isFenceOutdated } of [from, to]) {
    if (isFenceOutdated) add("problem", side, message, `${again}: it replaces the function`);
  }
}

function someKeys(keys: readonly OutsideKey[]): string {
  const shown = keys.slice(0, maxShown).map(({ name, referencing, referenced }) =>
    `${displayName(referencing)} → ${displayName(referenced)} (${name})`
  );
  const more = keys.length - shown.length;
  return more > 0 ? `${shown.join(", ")} and ${more} more` : shown.join(", ");
}

const maxShown = 5;

function some(tables: readonly TableName[]): string {
  const names = tables.slice(0, maxShown).map((table) => displayName(table)).join(", ");
  return tables.length > maxShown ? `${names} and ${tables.length - maxShown} more` : names;
}
