/**
 * The scenarios, their contenders, and the targets to reach.
 *
 * @module
 */
import {
  type Contender,
  dumpAndRestore,
  dumpIntoPsql,
  ours,
  oursStream,
  pgcopydb,
  pgcopydbFast,
  psqlStream,
} from "./contenders.ts";
import {
  databaseData,
  type Dataset,
  eightTablesData,
  hugeFieldData,
  indexedData,
  partitionedData,
  smallTablesData,
  streamData,
  toastData,
  wideData,
} from "./data.ts";
import type { LinkOptions } from "./link.ts";
import type { BenchOptions } from "./options.ts";

/** The maximum ratios of this tool to an alternative. */
export interface Bar {
  readonly seconds?: number;
  readonly clientCpu?: number;
}

/** This tool, an alternative, and the targets. */
export interface Comparison {
  readonly ours: Contender;
  readonly theirs: Contender;
  readonly bar?: Bar;
}

/** One scenario. */
export interface Scenario {
  readonly name: string;
  readonly what: string;
  readonly data: (options: BenchOptions) => Dataset;
  readonly comparisons: readonly Comparison[];
  /** Measured without a counterpart. */
  readonly alone?: readonly Contender[];
  /** Query parameters of all URLs. `sslrootcert` is the authority's certificate. */
  readonly tls?: "require" | "verify-full";
  readonly sourceLink?: LinkOptions;
  readonly targetLink?: LinkOptions;
  /** The factor by which the link to the target is slower than the source. */
  readonly targetSlower?: number;
  /**
   * Other tools are stopped after this many times the duration of this tool.
   */
  readonly enoughTimes?: number;
  readonly jobs?: number;
  /** The memory limit of this tool. */
  readonly peakBytes?: number;
}

const memoryBar = 200 * 1024 * 1024;

/** 97 % of their throughput. */
const streamBar: Bar = { seconds: 1 / 0.97, clientCpu: 0.35 };
const tlsBar: Bar = { seconds: 1 / 0.9 };

function stream(
  name: string,
  { what, data, table, format, tls, bar }: {
    readonly what: string;
    readonly data: Scenario["data"];
    readonly table: string;
    readonly format: "text" | "binary";
    readonly tls?: NonNullable<Scenario["tls"]>;
    readonly bar: Bar;
  },
): Scenario {
  return {
    name,
    what,
    data,
    comparisons: [{
      ours: oursStream("this tool's relay", { table, format }),
      theirs: psqlStream("psql | psql", { table, format }),
      bar,
    }],
    ...(tls === undefined ? {} : { tls }),
    peakBytes: memoryBar,
  };
}

const narrow: Scenario["data"] = ({ megabytes }) => streamData(megabytes);
const wide: Scenario["data"] = ({ megabytes }) => wideData(megabytes);

const whole = ours();
const dumpPlain = dumpAndRestore("pg_dump -Fd -Z0; pg_restore", ["-Z0"]);

/** All scenarios, in the order in which they run. */
export const scenarios: readonly Scenario[] = [
  stream("stream-text", {
    what: "one table of narrow rows, text",
    data: narrow,
    table: "accounts",
    format: "text",
    bar: streamBar,
  }),
  stream("stream-binary", {
    what: "one table of narrow rows, binary",
    data: narrow,
    table: "accounts",
    format: "binary",
    bar: streamBar,
  }),
  stream("stream-wide", {
    what: "one table of wide rows, text",
    data: wide,
    table: "events",
    format: "text",
    bar: streamBar,
  }),
  stream("stream-toast", {
    what: "one table of long texts, kept out of line (TOAST)",
    data: ({ megabytes }) => toastData(megabytes),
    table: "documents",
    format: "text",
    bar: streamBar,
  }),
  stream("stream-tls", {
    what: "one table of narrow rows, text, sslmode=require",
    data: narrow,
    table: "accounts",
    format: "text",
    tls: "require",
    bar: tlsBar,
  }),
  stream("stream-tls-verified", {
    what: "one table of narrow rows, text, sslmode=verify-full",
    data: narrow,
    table: "accounts",
    format: "text",
    tls: "verify-full",
    bar: tlsBar,
  }),
  {
    name: "database",
    what: "a whole database: narrow, wide, TOAST, partitions; keys, indexes, foreign keys",
    data: ({ megabytes }) => databaseData(megabytes),
    comparisons: [
      { ours: whole, theirs: pgcopydb(), bar: { seconds: 0.8 } },
      { ours: whole, theirs: pgcopydbFast, bar: { seconds: 0.95 } },
      { ours: whole, theirs: dumpAndRestore(), bar: { seconds: 0.75 } },
      { ours: whole, theirs: dumpPlain, bar: { seconds: 0.75 } },
      { ours: whole, theirs: dumpIntoPsql },
    ],
    peakBytes: memoryBar,
  },
  {
    name: "small-database",
    what: "a database of 4 MB: what a tool does before its first row, and after its last one",
    data: () => ({ ...databaseData(4), name: "small_shop" }),
    comparisons: [
      { ours: whole, theirs: pgcopydb() },
      { ours: whole, theirs: dumpAndRestore() },
      { ours: whole, theirs: dumpIntoPsql },
    ],
    peakBytes: memoryBar,
  },
  {
    name: "statistics",
    what: "the same database with the source's statistics, against ANALYZE (--major 18)",
    data: ({ megabytes }) => databaseData(megabytes),
    comparisons: [{
      ours: whole,
      theirs: ours("this tool --statistics analyze", { options: ["--statistics", "analyze"] }),
      bar: { seconds: 0.85 },
    }],
    alone: [ours("this tool --statistics none", { options: ["--statistics", "none"] })],
    peakBytes: memoryBar,
  },
  {
    name: "jobs",
    what: "the same database copied by this tool with 1, 2 and 4 jobs",
    data: ({ megabytes }) => databaseData(megabytes),
    comparisons: [],
    alone: [1, 2, 4].map((jobs) => ours(`this tool --jobs ${jobs}`, { jobs })),
    peakBytes: memoryBar,
  },
  {
    name: "indexed",
    what: "one large table with a key and four more indexes",
    data: ({ megabytes }) => indexedData(megabytes),
    comparisons: [
      { ours: whole, theirs: pgcopydb(), bar: { seconds: 0.8 } },
      { ours: whole, theirs: pgcopydbFast, bar: { seconds: 0.95 } },
      { ours: whole, theirs: dumpPlain, bar: { seconds: 0.75 } },
    ],
    peakBytes: memoryBar,
  },
  ...([undefined, 8] as const).map((link): Scenario => ({
    name: link === undefined ? "split" : "split-link",
    what: `the whole database copied by this tool, tables above several sizes in parts${
      link === undefined ? "" : `, each connection to the target held to ${link} MB/s`
    }`,
    data: ({ megabytes }) => databaseData(megabytes),
    comparisons: [],
    alone: ["1TB", "512MB", "256MB", "128MB", "64MB", "32MB"].map((size) =>
      ours(`--split-tables-larger-than ${size}`, {
        options: ["--split-tables-larger-than", size],
      })
    ),
    ...(link === undefined ? {} : { targetLink: { bytesPerSecond: link * 1024 ** 2 } }),
    peakBytes: memoryBar,
  })),
  {
    name: "partitions",
    what: "one table of twelve partitions with a key and an index",
    data: ({ megabytes }) => partitionedData(megabytes),
    comparisons: [
      { ours: whole, theirs: pgcopydb(), bar: { seconds: 0.8 } },
      { ours: whole, theirs: pgcopydbFast, bar: { seconds: 0.95 } },
      { ours: whole, theirs: dumpPlain, bar: { seconds: 0.75 } },
    ],
    peakBytes: memoryBar,
  },
  {
    name: "tiny-tables",
    what: "many small tables on loopback (--tables 5000)",
    data: ({ tables }) => smallTablesData(tables),
    comparisons: [
      { ours: whole, theirs: pgcopydb(), bar: { seconds: 0.8 } },
      { ours: whole, theirs: dumpPlain, bar: { seconds: 0.8 } },
    ],
    peakBytes: memoryBar,
  },
  {
    name: "small-tables",
    what: "many small tables, both servers 20 ms away in each direction",
    data: ({ tables }) => smallTablesData(tables),
    comparisons: [
      { ours: whole, theirs: pgcopydb(), bar: { seconds: 0.5 } },
      { ours: whole, theirs: dumpPlain, bar: { seconds: 0.5 } },
    ],
    // the target is twice as long
    enoughTimes: 4,
    sourceLink: { latencyMs: 20 },
    targetLink: { latencyMs: 20 },
    peakBytes: memoryBar,
  },
  {
    name: "huge-field",
    what: "one field of 900 MB",
    data: hugeFieldData,
    comparisons: [{
      ours: oursStream("this tool's relay", { table: "files", format: "text" }),
      theirs: psqlStream("psql | psql", { table: "files", format: "text" }),
    }],
    peakBytes: memoryBar,
  },
  {
    name: "huge-field-tls",
    what: "one field of 900 MB, sslmode=require",
    data: hugeFieldData,
    comparisons: [{
      ours: oursStream("this tool's relay", { table: "files", format: "text" }),
      theirs: psqlStream("psql | psql", { table: "files", format: "text" }),
    }],
    tls: "require",
    peakBytes: memoryBar,
  },
  ...([undefined, "require", "verify-full"] as const).map((tls): Scenario => ({
    name: tls === undefined ? "slow-target" : `slow-target-tls-${tls}`,
    what: `eight jobs, a target ten times slower than the source${
      tls === undefined ? "" : `, sslmode=${tls}`
    }: memory`,
    data: ({ megabytes }) => eightTablesData(megabytes),
    comparisons: [],
    alone: [0, 2].map((threads) =>
      ours(`this tool --jobs 8 --copy-threads ${threads}`, {
        jobs: 8,
        options: ["--copy-threads", String(threads)],
      })
    ),
    jobs: 8,
    targetSlower: 10,
    ...(tls === undefined ? {} : { tls }),
    peakBytes: memoryBar,
  })),
];
