import { copyFormats, statisticsSources, toastCompressions } from "./choices.ts";
import type { Options } from "./option.ts";

/** Parallelism, rate limits and the format of copies. */
export const speedOptions = {
  jobs: {
    kind: "integer",
    placeholder: "N",
    short: "-j",
    min: 1,
    max: 64,
    defaultText: "number of CPUs, at most 8",
    help: "tables copied in parallel",
    helpFor: { verify: "reading sessions on each side" },
    commands: ["validate", "init", "sync", "verify"],
    config: { description: "Tables copied in parallel (`--jobs`).", example: 8 },
    job: { name: "jobs", commands: ["validate", "init", "sync", "verify"] },
  },
  indexJobs: {
    kind: "integer",
    placeholder: "N",
    min: 1,
    max: 64,
    defaultText: "same as --jobs",
    help: "indexes and constraints built in parallel",
    commands: ["init"],
    config: {
      description: "Indexes and constraints built in parallel (`--index-jobs`).",
      example: 4,
    },
    job: { name: "index_jobs", commands: ["init"] },
  },
  splitTablesLargerThan: {
    kind: "size",
    placeholder: "SIZE",
    default: "256MB",
    help: "copy larger tables in parts, several in parallel",
    commands: ["init", "sync"],
    config: {
      description: "Larger tables are copied in parts (`--split-tables-larger-than`).",
      example: "2GB",
    },
    job: { name: "split_bytes", commands: ["init", "sync"] },
  },
  maxRate: {
    kind: "rate",
    placeholder: "SIZE",
    help: "limit reading to this much per second, all sessions together, e.g. 50MB",
    commands: ["init"],
    job: { name: "max_bytes_per_second", commands: ["init"] },
  },
  copyThreads: {
    kind: "integer",
    placeholder: "N",
    min: 0,
    max: 16,
    word: "auto",
    default: "auto",
    help: "threads that copy rows in addition to the main thread",
    commands: ["init"],
  },
  copyFormat: {
    kind: "choice",
    placeholder: "FORMAT",
    values: copyFormats,
    default: "auto",
    help: "format of COPY",
    commands: ["init"],
    config: { description: "Format of COPY (`--copy-format`).", example: "auto" },
    job: { name: "copy_format", commands: ["init"] },
  },
  statistics: {
    kind: "choice",
    placeholder: "ORIGIN",
    values: statisticsSources,
    default: "source",
    help:
      "planner statistics: of the source (18 and later targets; otherwise ANALYZE), of ANALYZE, or none",
    commands: ["init"],
    config: {
      description:
        "Planner statistics: the source's, where the target can restore them (18 and later; ANALYZE elsewhere), those of ANALYZE on the target, or none (`--statistics`).",
      example: "source",
    },
    job: { name: "statistics", commands: ["init"] },
  },
  toastCompression: {
    kind: "choice",
    placeholder: "METHOD",
    values: toastCompressions,
    default: "lz4",
    help:
      "compression of large values in columns that do not set it; pglz where lz4 is not supported",
    commands: ["init"],
    config: {
      description:
        "Compression of large values in columns that do not set it: lz4 where the target supports it (14 and later), pglz, or that of the source (`--toast-compression`).",
      example: "lz4",
    },
    job: { name: "toast_compression", commands: ["init"] },
  },
} as const satisfies Options;
