/** Every reason not to switch, from facts alone. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { PreflightFacts } from "../../../lib/cutover/facts/preflight_facts.ts";
import type { SideFacts } from "../../../lib/cutover/facts/side_facts.ts";
import type { StreamReading } from "../../../lib/cutover/facts/stream_reading.ts";
import type { PreflightStage } from "../../../lib/cutover/preflight/findings.ts";
import { preflight } from "../../../lib/cutover/preflight/preflight.ts";

const orders = { schema: "public", name: "orders" };
const items = { schema: "public", name: "items" };

function side(name: "source" | "target", change: Partial<SideFacts> = {}): SideFacts {
  return {
    side: name,
    major: 16,
    missing: [],
    notOwned: [],
    fenceKind: "triggers",
    sessions: undefined,
    fence: [orders, items].map((table) => ({ ...table, isClosed: name === "target" })),
    maxLocks: 6_400,
    prepared: [],
    mayCreate: true,
    ownsDatabase: true,
    maySignal: true,
    walLevel: "logical",
    freeSlots: 5,
    oldTransactions: [],
    hasPlpgsql: true,
    isStandby: false,
    eventTriggers: [],
    subscriptions: [],
    readOnlyRoles: [],
    sequences: [],
    hiddenRows: [],
    isFenceOutdated: false,
    readOnlyDefaults: { database: false, server: false },
    ...change,
  };
}

const stream: StreamReading = {
  name: "seren_0123",
  state: "streaming",
  kind: "subscription",
  error: undefined,
  lagBytes: 0,
  unready: [],
  risk: undefined,
};

const good: PreflightFacts = {
  unfinished: undefined,
  database: "app",
  from: side("source"),
  to: side("target"),
  streams: [stream],
  incomplete: [],
  unprepared: [],
  replaced: [],
  gone: [],
  tables: [orders, items],
  carried: [orders, items],
  drift: [],
  unmappedSequences: [],
  notCarried: [],
  partitionsNotCarried: [],
  partitionsAlone: [],
  partitionsElsewhere: [],
  leftOut: [],
  outsideKeys: [],
  unattended: [],
  privileges: undefined,
  wayBack: true,
  largeObjects: { count: 0, unreadable: 0 },
};

const source = (change: Partial<SideFacts>) => ({ from: side("source", change) });
const target = (change: Partial<SideFacts>) => ({ to: side("target", change) });
const streams = (change: Partial<StreamReading>) => ({ streams: [{ ...stream, ...change }] });
/** A switched cutover. */
const inUse = {
  from: side("target", { fence: side("source").fence }),
  to: side("source", { fence: side("target").fence }),
};
const old = { pid: 4711, user: "report", state: "idle in transaction", ageMs: 7_500_000 };

type Case = readonly [
  what: string,
  change: Partial<PreflightFacts>,
  expected: RegExp,
  remedy: RegExp | undefined,
  stage?: PreflightStage,
];

const problems: readonly Case[] = [
  ["a stream that is stopped", streams({ state: "disabled" }), /is disabled, not/, /sync starts/],
  [
    "a run that died while it turned the streams around",
    {
      ...streams({ state: "disabled" }),
      unfinished: {
        command: "run",
        inUse: "source",
        isTurning: true,
        isClosing: false,
        isRunning: false,
      },
    },
    /^cutover run was interrupted while it turned replication around: the source is in use/,
    /^run cutover run again, which restores the streams before it asks; or sync/,
  ],
  [
    "a rollback that is turning the streams around",
    {
      ...streams({ state: "disabled" }),
      unfinished: {
        command: "rollback",
        inUse: "target",
        isTurning: true,
        isClosing: false,
        isRunning: true,
      },
    },
    /^a command is working on the cutover: rollback turns replication around/,
    /^wait until it ends/,
  ],
  [
    "apply errors",
    streams({ state: "failing", error: "key" }),
    /is failing, .*: key/,
    /--skip-lsn/,
  ],
  ["no applier", streams({ state: "stopped", kind: "client" }), /is stopped, not/, /run sync, and/],
  ["a lost slot", streams({ state: "lost" }), /is lost, not/, /sync --resnapshot/],
  [
    "another subscription",
    source({ subscriptions: ["Feed"] }),
    /the subscription Feed writes into replicated tables/,
    /ALTER SUBSCRIPTION "Feed" DISABLE/,
  ],
  [
    "new partitions",
    {
      from: { ...good.from, side: "target" },
      to: { ...good.to, side: "source" },
      notCarried: [items],
      partitionsNotCarried: [items],
    },
    /partitions that the way back does not carry, with their rows: items/,
    /DETACH PARTITION/,
  ],
  [
    "partitions that only the target had when it was prepared",
    {
      from: { ...good.from, side: "target" },
      to: { ...good.to, side: "source" },
      notCarried: [items],
      partitionsNotCarried: [items],
      partitionsAlone: [items],
      leftOut: [items],
    },
    /partitions that the way back does not carry, with their rows: items/,
    /DETACH PARTITION/,
  ],
  ["an unattended way", { unattended: ["seren_1"] }, /no sync is running/, /keep it running/],
  ["a lagging stream", streams({ lagBytes: 1024 ** 3 }), /1\.00 GB behind/, /less lag/],
  ["a first copy", streams({ unready: [items] }), /first copy of items/, /shows the tables as/],
  ["a slot at risk", streams({ risk: "it is lost" }), /slot seren_0123 is at risk/, undefined],
  ["drift", { drift: ["orders lacks the column v"] }, /lacks the column v/, /see status/],
  ["a standby", source({ isStandby: true }), /standby/, /primary/],
  ["no PL/pgSQL", target({ hasPlpgsql: false }), /plpgsql/, /CREATE EXTENSION/],
  ["missing tables", target({ missing: [items] }), /tables are missing: items/, /see status/],
  ["foreign tables", source({ notOwned: [orders] }), /does not own 1 table: orders/, /GRANT/],
  ["no schema", target({ mayCreate: false }), /may not create schemas/, /GRANT/, "prepare"],
  ["few locks", source({ maxLocks: 60 }), /more locks/, /max_locks_per_transaction/],
  ["prepared", source({ prepared: ["x 1"] }), /transaction 'x 1'/, /ROLLBACK PREPARED 'x 1'/],
  [
    "wal_level",
    target({ walLevel: "replica" }),
    /wal_level is replica, but/,
    /ALTER SYSTEM/,
    "prepare",
  ],
  ["no slot", target({ freeSlots: 0 }), /no replication slot/, /max_replication_slots/, "prepare"],
  ["no sequence", { unmappedSequences: [items] }, /sequences are missing: items/, /create them/],
  ["new tables", { notCarried: [items] }, /created since cutover prepare/, /--add-tables/],
  [
    "a server that is read-only by default",
    target({ readOnlyDefaults: { database: false, server: true } }),
    /server are read-only by default, also once this side is open/,
    /ALTER SYSTEM RESET/,
  ],
  [
    "a default that stays",
    target({ readOnlyDefaults: { database: true, server: false }, ownsDatabase: false }),
    /database is read-only by default, and the role may not/,
    /as its owner: ALTER DATABASE "?app"? RESET/,
  ],
  ["hidden rows", source({ hiddenRows: [items] }), /row-level security applies .*: items/, /FORCE/],
  ["locked sequences", target({ sequences: [items] }), /read and set 1 sequence: items/, /GRANT/],
  [
    "another function",
    source({ isFenceOutdated: true }),
    /function of the fence was created by another version/,
    /prepare again for app: it replaces/,
  ],
  [
    "an unfinished copy",
    {
      carried: [orders],
      incomplete: [{
        tables: [items],
        message: "not all rows are on the target",
        remedy: "run sync --resnapshot again",
      }],
    },
    /^not all rows are on the target \(items\)$/,
    /^wait until .*; otherwise run sync --resnapshot again$/,
  ],
  ["added", { tables: [orders] }, /added to replication: items/, /prepare again/],
  ["removed", { carried: [orders] }, /no longer replicated: items/, /prepare again/],
  ["no fence", source({ fence: [] }), /no fence exists on orders, items/, /prepare again/],
  [
    "an open fence",
    target({ fence: [orders, items].map((table) => ({ ...table, isClosed: false })) }),
    /clients may have written to this side/,
    /verify/,
  ],
  ["another stream", { unprepared: ["seren_4_2"] }, /seren_4_2 was created since/, /prepare again/],
  ["a stream that is gone", { replaced: [stream.name] }, /0123 no longer exists/, /prepare again/],
  [
    "tables that the way back lost",
    { ...inUse, carried: [orders] },
    /no longer replicated: items/,
    /^the source lacks their changes.*cutover finish/,
  ],
  [
    "tables that the way back gained",
    { ...inUse, tables: [orders] },
    /added to replication: items/,
    /^on the target: ALTER PUBLICATION "seren_0123" DROP TABLE "public"\."items";$/,
  ],
  [
    "tables that a target in use lacks",
    { ...inUse, from: side("target", { missing: [items] }), carried: [orders] },
    /^tables are missing: items$/,
    /drop or rename them on the source too.*SET default_transaction_read_only = off$/,
  ],
  [
    "tables that the source lacks",
    { ...inUse, to: { ...inUse.to, missing: [items] } },
    /^tables are missing: items$/,
    /cutover finish gives it up/,
  ],
];

const warnings: readonly Case[] = [
  [
    "old transactions",
    source({ oldTransactions: [old] }),
    /2 h 05 min old: pid 4711/,
    /before it ends/,
  ],
  ["no ownership", source({ ownsDatabase: false }), /not be marked read-only/, /target_session/],
  [
    "no signal",
    source({ maySignal: false }),
    /terminate only sessions of its own role/,
    /pg_signal_backend/,
  ],
  ["event triggers", target({ eventTriggers: ["audit"] }), /triggers fire .*: audit/, /disable/],
  [
    "another subscription before prepare",
    source({ subscriptions: ["feed"] }),
    /writes into replicated tables/,
    /subscribe on the other side/,
    "prepare",
  ],
  [
    "roles that cannot write there",
    target({ readOnlyRoles: ["app"] }),
    /read-only by default, .* unlike on the source: app$/,
    /ALTER ROLE … RESET/,
  ],
  [
    "another function of a target in use",
    {
      from: side("target", { fence: good.from.fence, isFenceOutdated: true }),
      to: { ...good.to, side: "source" },
    },
    /function of the fence was created by another version/,
    /once the source is in use again/,
  ],
  [
    "partitions elsewhere",
    { partitionsElsewhere: [items] },
    /partitions that only the target has: items; .*rollback is refused/,
    /sync --add-tables and cutover prepare again/,
  ],
  ["prepared there", target({ prepared: ["y"] }), /transaction 'y'/, /PREPARED 'y'/],
  [
    "left out",
    { notCarried: [items], leftOut: [items] },
    /are not replicated: items/,
    /resnapshot/,
  ],
  [
    "created on the target",
    {
      from: { ...good.from, side: "target" },
      to: { ...good.to, side: "source" },
      notCarried: [items],
    },
    /are not replicated: items/,
    /copy them to the source/,
  ],
  ["unreadable", { largeObjects: { count: 3, unreadable: 1 } }, /may not read/, /superuser/],
  [
    "large objects",
    { largeObjects: { count: 3, unreadable: 0 } },
    /3 large objects/,
    /rehearse/,
    "prepare",
  ],
  [
    "a cascade",
    { outsideKeys: [{ name: "k", referencing: items, referenced: orders, kind: "cascade" }] },
    /into replicated tables: items → orders \(k\)/,
    /refuses DELETE/,
  ],
  [
    "a reference",
    { outsideKeys: [{ name: "k", referencing: items, referenced: orders, kind: "reference" }] },
    /left out have foreign keys .*: items → orders \(k\)/,
    /--add-tables/,
  ],
];

Deno.test("nothing is found if there is nothing", () => {
  deepStrictEqual(preflight(good, "switch"), []);
  deepStrictEqual(preflight({ ...good, to: side("target", { fence: [] }) }, "prepare"), []);
});

for (const [severity, cases] of [["problem", problems], ["warning", warnings]] as const) {
  for (const [what, change, expected, remedy, stage = "switch"] of cases) {
    Deno.test(`preflight: ${what} is a ${severity}, with what to do`, () => {
      const found = preflight({ ...good, ...change }, stage);
      strictEqual(found.length, 1, JSON.stringify(found));
      strictEqual(found[0]!.severity, severity);
      match(found[0]!.message, expected);
      if (remedy === undefined) strictEqual(found[0]!.remedy, undefined);
      else match(found[0]!.remedy!, remedy);
    });
  }
}

Deno.test("preflight lists every reason at once, problems first", () => {
  const found = preflight({
    ...good,
    from: side("source", { prepared: ["x"], oldTransactions: [old], isStandby: true }),
    to: side("target", { missing: [items], hasPlpgsql: false }),
    streams: [{ ...stream, state: "stopped", risk: "it is lost" }],
    drift: ["one", "two"],
    unmappedSequences: [items],
  }, "switch");
  const kinds = found.map(({ severity }) => severity);
  deepStrictEqual(kinds, [...Array(9).fill("problem"), "warning"]);
  ok(found.every(({ database }) => database === "app"));
});
