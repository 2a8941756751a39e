/**
 * What a configuration file may contain: the options of the table that have a key, and rules by
 * database. `docs/reference/configuration.md` and the JSON Schema for editors are generated from
 * this.
 *
 * @module
 */
import { z } from "zod";
import { keyOf, type Option } from "./options/option.ts";
import { allOptions, type OptionName, type OptionTable } from "./options/table.ts";

const names = (description: string, examples: readonly string[]) =>
  z.array(z.string()).optional().meta({ description, examples: [examples] });

const table = z.string().meta({
  description:
    "The table: `events`, or `analytics.events` in place of `schema`. `*` is a wildcard.",
  examples: ["events"],
});

const schema = z.string().optional().meta({
  description: "Its schema; `public` if it is not given and `table` does not name one.",
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
      "How far back from the start of the run: a whole number and second, minute, hour, day, week, month or year.",
    examples: ["6 months"],
  }),
});

const database = z.strictObject({
  include_tables: names(
    "Only these tables of the database: `table` (in schema `public`) or `schema.table`.",
    ["orders", "sales.*"],
  ),
  exclude_tables: names(
    "All tables of the database except these. Not together with `include_tables`.",
    ["audit_log", "tmp.*"],
  ),
  schema_only: names("Tables whose structure is copied without rows.", [
    "analytics.large_table",
    "public.temp",
  ]),
  table_filters: z.array(tableFilter).optional().meta({
    description: "Tables of which only the rows that satisfy a condition are copied.",
  }),
  time_filters: z.array(timeFilter).optional().meta({
    description: "Tables of which only the rows of a recent period are copied.",
  }),
});

type ConfigName = {
  [Name in OptionName]: OptionTable[Name] extends { readonly config: unknown } ? Name : never;
}[OptionName];

type SnakeCase<Text extends string> = Text extends `${infer First}${infer Rest}`
  ? `${First extends Lowercase<First> ? First : `_${Lowercase<First>}`}${SnakeCase<Rest>}`
  : Text;

type KeySchema<Kind> = Kind extends "integer" ? z.ZodInt
  : Kind extends "names" | "list" ? z.ZodArray<z.ZodString>
  : Kind extends "pairs" ? z.ZodRecord<z.ZodString, z.ZodString>
  : z.ZodString;

type Keys = {
  [Name in ConfigName as SnakeCase<Name>]: z.ZodOptional<KeySchema<OptionTable[Name]["kind"]>>;
};

function optionSchema(option: Option): z.ZodType {
  switch (option.kind) {
    case "integer":
      return z.int().min(option.min).max(option.max);
    case "choice":
      return z.enum(option.values);
    case "names":
    case "list":
      return z.array(z.string());
    case "pairs":
      return z.record(z.string(), z.string());
    default:
      return z.string();
  }
}

const keys = Object.fromEntries(
  allOptions.flatMap(({ name, option }) =>
    option.config === undefined ? [] : [[
      keyOf(name),
      optionSchema(option).optional().meta({
        description: option.config.description,
        examples: [option.config.example],
      }),
    ]]
  ),
) as Keys;

export const configSchema = z.strictObject({
  ...keys,
  databases: z.record(z.string(), database).optional().meta({
    description:
      "Rules for the tables of a database, by its name. A section does not select the database: `include_databases` does.",
  }),
});

/** A file's content once its shape is checked. */
export type ConfigDocument = z.infer<typeof configSchema>;
