/**
 * Every statement that a step of the cutover runs, for both sides: what `--dry-run` prints. Pure.
 * Lines that begin with `--` stand for statements whose values are known only when they run, and
 * say so.
 *
 * @module
 */
import { cutoverSchema, quoteIdentifier, type Side, type TableName } from "../core/internal.ts";
import type { FenceKind } from "../config/internal.ts";
import type { Endpoint } from "../postgres/internal.ts";
import { barrierStatement } from "./barrier.ts";
import { fenceOf } from "./model.ts";
import type { DatabaseRoute } from "./route.ts";
import { createFence, disableFence, dropFence, enableFence } from "./fence.ts";
import {
  createTokenTable,
  describePlace,
  finishStatement,
  schemaStatements,
  sideTable,
  tokenTable,
} from "./own_schema.ts";

/** Statements by side, in the order in which they run there. */
export type SideStatements = Readonly<Record<Side, readonly string[]>>;

/** What {@linkcode describePreparation} takes. */
export interface PreparationStatements {
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly streams: readonly string[];
  /** The stream of the way back; undefined without one. */
  readonly back: string | undefined;
  readonly tables: readonly TableName[];
  /** How the source is closed. */
  readonly fence: FenceKind;
}

/** What `cutover prepare` runs. Existing objects are kept. */
export function describePreparation(
  { source, target, streams, back, tables, fence }: PreparationStatements,
): SideStatements {
  const own = (elsewhere: Endpoint, fenced: readonly TableName[]) => [
    ...schemaStatements(describePlace(elsewhere)),
    ...[...streams, ...(back === undefined ? [] : [back])].map(createTokenTable),
    later(`INSERT INTO ${sideTable} …`, "the record of this side"),
    ...fenced.flatMap(createFence),
  ];
  return {
    source: [
      ...own(target, fence === "triggers" ? tables : []),
      ...streams.map(publishTokenTable),
      ...(back === undefined ? [] : [
        later(
          `CREATE SUBSCRIPTION ${quoteIdentifier(back)} CONNECTION … PUBLICATION ${
            quoteIdentifier(back)
          } WITH (create_slot = false, copy_data = false, enabled = false, …)`,
          "the address of the target, and options of the server's version",
        ),
      ]),
    ],
    target: [
      ...own(source, tables),
      ...streams.map((stream) =>
        `ALTER SUBSCRIPTION ${quoteIdentifier(stream)} REFRESH PUBLICATION WITH (copy_data = false)`
      ),
      ...(back === undefined ? [] : [
        later(
          `CREATE PUBLICATION ${quoteIdentifier(back)} FOR TABLE …`,
          "the same tables; REPLICA IDENTITY FULL where there is none",
        ),
        publishTokenTable(back),
      ]),
      ...tables.map(enableFence),
    ],
  };
}

function publishTokenTable(stream: string): string {
  return `ALTER PUBLICATION ${quoteIdentifier(stream)} ADD TABLE ONLY ${tokenTable(stream)}`;
}

/** A statement whose values, `…`, are known only when it runs. */
function later(statement: string, values: string): string {
  return `-- ${statement} -- known only when it runs: ${values}`;
}

/** What `cutover run` and `cutover rollback` run on the two sides of a route. */
export function describeSwitch(
  { from, to, out, back, tables, fromRecord, toRecord }: DatabaseRoute,
): SideStatements {
  const closing = [
    ...(fenceOf(fromRecord) === "sessions"
      ? [
        `ALTER DATABASE ${quoteIdentifier(from.database)} SET default_transaction_read_only = on`,
        later("SELECT pg_catalog.pg_terminate_backend(…)", "every other session, again and again"),
      ]
      : []),
    "BEGIN",
    ...(fenceOf(fromRecord) === "triggers" ? [barrierStatement(tables)] : []),
    ...out.map((stream) =>
      later(`INSERT INTO ${tokenTable(stream)} …`, "a random token, in another session")
    ),
    ...(fenceOf(fromRecord) === "triggers" ? tables.map(enableFence) : []),
    ...back.map((stream) =>
      `ALTER SUBSCRIPTION ${quoteIdentifier(stream)} ENABLE -- in another session`
    ),
    later(`INSERT INTO ${sideTable} …`, "this side is closed, with the evidence"),
    `ALTER DATABASE ${quoteIdentifier(from.database)} SET default_transaction_read_only = on`,
    "COMMIT -- the point of no return",
  ];
  const opening = [
    ...back.map((slot) =>
      `SELECT pg_catalog.pg_create_logical_replication_slot('${slot}', 'pgoutput') -- unless it exists`
    ),
    later(
      "SELECT pg_catalog.setval(…)",
      "each sequence: the value of the other side, with the margin",
    ),
    ...out.map((stream) => `ALTER SUBSCRIPTION ${quoteIdentifier(stream)} DISABLE`),
    ...back.map((slot) =>
      later(
        `SELECT pg_catalog.pg_replication_slot_advance('${slot}', …)`,
        "past everything that arrived",
      )
    ),
    "BEGIN",
    ...(fenceOf(toRecord) === "triggers" ? tables.map(disableFence) : []),
    later(`INSERT INTO ${sideTable} …`, "this side is open"),
    `ALTER DATABASE ${quoteIdentifier(to.database)} RESET default_transaction_read_only`,
    "COMMIT",
  ];
  return from.side === "source"
    ? { source: closing, target: opening }
    : { source: opening, target: closing };
}

/** What `cutover finish` runs. */
export function describeFinish(
  { source, target, forward, back, tables, openOldSide }: {
    readonly source: Endpoint;
    readonly target: Endpoint;
    readonly forward: readonly string[];
    readonly back: string | null;
    readonly tables: readonly TableName[];
    readonly openOldSide: boolean;
  },
): SideStatements {
  const leaving = (stream: string) => [
    `SELECT pg_catalog.pg_drop_replication_slot('${stream}')`,
    `DROP PUBLICATION ${quoteIdentifier(stream)}`,
  ];
  const arriving = (stream: string) => `DROP SUBSCRIPTION ${quoteIdentifier(stream)}`;
  const backward = back === null ? [] : [back];
  const dismantled = ({ database }: Endpoint) => [
    ...tables.flatMap(dropFence),
    `ALTER DATABASE ${quoteIdentifier(database)} RESET default_transaction_read_only`,
    `DROP SCHEMA IF EXISTS ${cutoverSchema} CASCADE`,
  ];
  return {
    source: [
      finishStatement,
      ...backward.map(arriving),
      ...forward.flatMap(leaving),
      ...(openOldSide ? dismantled(source) : []),
    ],
    target: [
      ...backward.flatMap(leaving),
      ...forward.map(arriving),
      later("ALTER TABLE … REPLICA IDENTITY …", "restored where it was changed to FULL"),
      ...dismantled(target),
    ],
  };
}
