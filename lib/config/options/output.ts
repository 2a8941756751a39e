import { logLevels } from "../../core/internal.ts";
import { commandNames } from "./command_names.ts";
import type { Options } from "./option.ts";

/** Ways to log. */
export const logFormats = ["text", "json"] as const;

/** What is reported, and how. */
export const outputOptions = {
  explainRules: {
    kind: "flag",
    help: "show what happens to every table, and why",
    commands: ["validate"],
  },
  maxDiffs: {
    kind: "integer",
    placeholder: "N",
    min: 0,
    max: 100_000,
    default: "20",
    help: "differing rows to list for each table",
    commands: ["verify"],
    job: { name: "max_diffs", commands: ["verify"] },
  },
  values: {
    kind: "negation",
    help: "show no values of rows, not even keys",
    commands: ["verify"],
    job: { name: "values", commands: ["verify"] },
  },
  report: {
    kind: "text",
    placeholder: "FILE",
    completes: "file",
    help: "write an HTML report with a timeline",
    helpFor: {
      verify: "write the evidence as .html or .json and print its SHA-256",
      cutover: "rehearse, run, rollback: write a report as .html or .json and print its SHA-256",
    },
    commands: ["init", "verify", "cutover"],
  },
  prometheus: {
    kind: "flag",
    help: "print metrics in the Prometheus text format",
    commands: ["status"],
  },
  json: {
    kind: "flag",
    help: "print the result as one JSON document on stdout",
    commands: commandNames.filter((name) => name !== "completions"),
  },
  logLevel: {
    kind: "choice",
    placeholder: "LEVEL",
    values: logLevels,
    default: "info",
    help: "how much to log",
    commands: commandNames.filter((name) => name !== "completions"),
    config: { description: "How much is logged (`--log-level`).", example: "info" },
  },
  logFormat: {
    kind: "choice",
    placeholder: "FORMAT",
    values: logFormats,
    default: "text",
    help: "format of progress on stderr",
    commands: commandNames.filter((name) => name !== "completions"),
    config: { description: "Progress as text or JSON lines (`--log-format`).", example: "text" },
  },
  color: {
    kind: "negation",
    help: "disable colors (variable: NO_COLOR)",
    commands: commandNames.filter((name) => name !== "completions"),
  },
} as const satisfies Options;
