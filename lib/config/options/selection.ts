import { migrationCommands } from "./command_names.ts";
import type { Options } from "./option.ts";

const tables = ["validate", "init", "sync", "verify"] as const;

/** Which databases, tables and rows. */
export const selectionOptions = {
  includeDatabases: {
    kind: "names",
    placeholder: "NAMES",
    completes: "databases",
    help: "only these databases; * is a wildcard",
    commands: migrationCommands,
    config: {
      description: "Only these databases (`--include-databases`). `*` is a wildcard.",
      example: ["app", "shop_*"],
    },
  },
  excludeDatabases: {
    kind: "names",
    placeholder: "NAMES",
    completes: "databases",
    help: "all databases except these; not with --include-databases",
    commands: migrationCommands,
    config: {
      description:
        "All databases except these (`--exclude-databases`). Not together with `include_databases`.",
      example: ["scratch"],
    },
  },
  includeTables: {
    kind: "names",
    placeholder: "NAMES",
    completes: "tables",
    help: "only these tables: database.table or database.schema.table; * is a wildcard",
    commands: tables,
    config: {
      description:
        "Only these tables (`--include-tables`): `database.table` (in schema `public`) or `database.schema.table`.",
      example: ["app.orders", "app.sales.*"],
    },
  },
  excludeTables: {
    kind: "names",
    placeholder: "NAMES",
    completes: "tables",
    help: "all tables except these; not with --include-tables",
    commands: tables,
    config: {
      description:
        "All tables except these (`--exclude-tables`). Not together with `include_tables`.",
      example: ["app.audit_log"],
    },
  },
  schemaOnlyTables: {
    kind: "names",
    placeholder: "NAMES",
    completes: "tables",
    help: "structure without rows: [[database.]schema.]table",
    commands: tables,
  },
  tableFilter: {
    kind: "list",
    placeholder: "TABLE:PREDICATE",
    help: "only rows that satisfy an SQL condition",
    commands: tables,
  },
  timeFilter: {
    kind: "list",
    placeholder: "TABLE:COLUMN:WINDOW",
    help: 'only rows of a recent period, e.g. "events:created_at:6 months"',
    commands: tables,
  },
  map: {
    kind: "pairs",
    placeholder: "SOURCE=TARGET",
    help: "rename a database on the target; a single one is named as in the target's URL otherwise",
    commands: [...tables, "cutover"],
    config: {
      description: "Names of databases on the target (`--map`): source name = target name.",
      example: { app: "neondb" },
    },
  },
  interactive: {
    kind: "flag",
    help: "choose databases and tables in the terminal",
    commands: ["validate", "init", "sync"],
  },
  resnapshot: {
    kind: "names",
    placeholder: "TABLES",
    completes: "tables",
    help: "empty these tables on the target and copy them again; * for all; the others continue",
    commands: ["sync"],
  },
  addTables: {
    kind: "names",
    placeholder: "TABLES",
    completes: "tables",
    help: "create and copy tables that are new on the source; * for all",
    commands: ["sync"],
  },
  size: {
    kind: "size",
    placeholder: "SIZE",
    default: "200MB",
    help: "amount of data, e.g. 500MB or 1GB",
    commands: ["demo"],
  },
  sourceVersion: {
    kind: "integer",
    placeholder: "N",
    min: 12,
    max: 18,
    default: "15",
    help: "PostgreSQL version of the source",
    commands: ["demo"],
  },
  targetVersion: {
    kind: "integer",
    placeholder: "N",
    min: 12,
    max: 18,
    default: "18",
    help: "PostgreSQL version of the target",
    commands: ["demo"],
  },
} as const satisfies Options;
