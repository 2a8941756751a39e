/**
 * What a configuration file may say. The guide `docs/reference/configuration.md` and the JSON
 * Schema for editors are made from this.
 *
 * @module
 */
import { z } from "zod";

const names = (description: string, examples: readonly string[]) =>
  z.array(z.string()).optional().meta({ description, examples: [examples] });

const table = z.string().meta({
  description:
    "The table: `events`, or `analytics.events` in place of `schema`. `*` is a wildcard.",
  examples: ["events"],
});

const schema = z.string().optional().meta({
  description: "Its schema; `public` when it is not given and `table` does not name one.",
  examples: ["analytics"],
});

const tableFilter = z.strictObject({
  table,
  schema,
  where: z.string().meta({
    description: "An SQL condition, without `WHERE`: rows for which it is true are copied.",
    examples: ["tenant_id = 42 AND NOT deleted"],
  }),
});

const timeFilter = z.strictObject({
  table,
  schema,
  column: z.string().meta({
    description: "A column of type date, timestamp or timestamptz.",
    examples: ["created_at"],
  }),
  last: z.string().meta({
    description:
      "How far back, from the start of the run: a whole number and second, minute, hour, day, week, month or year.",
    examples: ["6 months"],
  }),
});

const database = z.strictObject({
  include_tables: names(
    "Only these tables of the database: `table` (in schema `public`) or `schema.table`.",
    [
      "orders",
      "sales.*",
    ],
  ),
  exclude_tables: names(
    "All tables of the database but these. Not together with `include_tables`.",
    [
      "audit_log",
      "tmp.*",
    ],
  ),
  schema_only: names("Tables whose structure is copied and none of their rows.", [
    "analytics.large_table",
    "public.temp",
  ]),
  table_filters: z.array(tableFilter).optional().meta({
    description: "Tables of which only the rows that meet a condition are copied.",
  }),
  time_filters: z.array(timeFilter).optional().meta({
    description: "Tables of which only the rows of a window of time are copied.",
  }),
});

/** The dump programs to choose from. */
const dumpTools = ["auto", "native", "embedded"] as const;

export const configSchema = z.strictObject({
  source: z.string().optional().meta({
    description:
      "Server to copy from (`--source`). Keep the password in a variable: `${NAME}` stands for its value.",
    examples: ["postgresql://app:${SEREN_OLD_PASSWORD}@old.example.com/app"],
  }),
  target: z.string().optional().meta({
    description: "Server to copy to (`--target`).",
    examples: ["postgresql://app:${SEREN_NEW_PASSWORD}@new.example.com/app"],
  }),
  jobs: z.int().min(1).max(64).optional().meta({
    description: "Tables copied at once (`--jobs`).",
    examples: [8],
  }),
  index_jobs: z.int().min(1).max(64).optional().meta({
    description: "Indexes and keys built at once (`--index-jobs`).",
    examples: [4],
  }),
  split_tables_larger_than: z.string().optional().meta({
    description: "Larger tables are copied in parts (`--split-tables-larger-than`).",
    examples: ["2GB"],
  }),
  copy_format: z.enum(["auto", "text", "binary"]).optional().meta({
    description: "Format of COPY (`--copy-format`).",
    examples: ["auto"],
  }),
  restore_search_path: z.enum(["empty", "own"]).optional().meta({
    description:
      "Under which search_path checks, generated columns, index expressions and materialized views are computed on the target: an empty one, as with pg_dump and psql, or the database's own (`--restore-search-path`).",
    examples: ["own"],
  }),
  dump_tool: z.enum(dumpTools).optional().meta({
    description: "pg_dump to use (`--dump-tool`).",
    examples: ["auto"],
  }),
  pg_bin: z.string().optional().meta({
    description: "Folder of pg_dump and pg_dumpall (`--pg-bin`).",
    examples: ["/usr/lib/postgresql/18/bin"],
  }),
  log_level: z.enum(["error", "warn", "info", "debug"]).optional().meta({
    description: "How much is told (`--log-level`).",
    examples: ["info"],
  }),
  log_format: z.enum(["text", "json"]).optional().meta({
    description: "Progress as text or JSON lines (`--log-format`).",
    examples: ["text"],
  }),
  include_databases: names("Only these databases (`--include-databases`). `*` is a wildcard.", [
    "app",
    "shop_*",
  ]),
  exclude_databases: names(
    "All databases but these (`--exclude-databases`). Not together with `include_databases`.",
    [
      "scratch",
    ],
  ),
  include_tables: names(
    "Only these tables (`--include-tables`): `database.table` (in schema `public`) or `database.schema.table`.",
    ["app.orders", "app.sales.*"],
  ),
  exclude_tables: names(
    "All tables but these (`--exclude-tables`). Not together with `include_tables`.",
    [
      "app.audit_log",
    ],
  ),
  map: z.record(z.string(), z.string()).optional().meta({
    description: "Other names of databases on the target (`--map`): source name = target name.",
    examples: [{ app: "neondb" }],
  }),
  databases: z.record(z.string(), database).optional().meta({
    description:
      "Rules for the tables of a database, by its name. A section does not choose the database: `include_databases` does.",
  }),
});

/** A file's content, when all of it is of the right shape. */
export type ConfigDocument = z.infer<typeof configSchema>;
