import {
  type CommandName,
  commandNames,
  flagOf,
  type NamedOption,
  type OptionName,
  optionsOf,
} from "../../config/internal.ts";
import { commandLine } from "./resume_command.ts";
import { type GivenArgument, readArguments } from "./run_arguments.ts";

/** Options that say which servers and databases, or which service. */
const place: readonly OptionName[] = [
  "source",
  "target",
  "config",
  "includeDatabases",
  "excludeDatabases",
  "map",
  "remote",
  "local",
  "database",
];

/** Options that say which tables and rows: every command must be given those of `init`. */
export const ruleOptions: readonly OptionName[] = [
  "includeTables",
  "excludeTables",
  "schemaOnlyTables",
  "tableFilter",
  "timeFilter",
];

/** How a copy is made: what was checked is what is copied. */
const tools: readonly OptionName[] = ["pgBin", "dumpTool", "jobs"];

/** How replication is set up. */
const replication: readonly OptionName[] = [
  "replicaIdentity",
  "slotTimeout",
  "applyFrom",
  "sourceFromTarget",
  "subscriptionPassfile",
];

/** The flag without which a command refuses the options of replication. */
const enabling: Readonly<Partial<Record<CommandName, OptionName>>> = {
  validate: "forSync",
  init: "enableSync",
};

/**
 * What the same command is not given again: what only that run was to do, consent, and where its
 * output went. What was dropped may have been copied since, and be in use.
 */
const ofOneRun: readonly OptionName[] = [
  "interactive",
  "dryRun",
  "yes",
  "resume",
  "dropExisting",
  "repair",
  "retry",
  "skipLsn",
  "resnapshot",
  "addTables",
  "explainRules",
  "watch",
  "interval",
  "check",
  "maxLagBytes",
  "maxLagSeconds",
  "prometheus",
  "state",
  "follow",
  "report",
  "json",
  "logLevel",
  "logFormat",
  "color",
];

/**
 * The next command for the same servers, databases, rules and replication, quoted for a shell; the
 * same command keeps its other options too. Pure but for the form in which the program was started.
 *
 * @param next `cutover run`, or its words
 * @param args the arguments of the current command
 * @param options `keeps`: further flags that it takes
 */
export function nextCommandLine(
  next: string | readonly string[],
  args: readonly string[],
  { keeps = [] }: { readonly keeps?: readonly string[] | undefined } = {},
): string {
  const words = typeof next === "string" ? next.split(" ") : next;
  const command = commandNames.find((each) => each === words[0]);
  const accepted = command === undefined ? [] : optionsOf(command).map(({ name }) => name);
  const wanted = readArguments(words);
  const current = readArguments(args);
  const isSame = operands(wanted).slice(0, 2).join(" ") === operands(current).slice(0, 2).join(" ");
  const isKept = ({ name, option }: NamedOption) => {
    if (!accepted.includes(name) || names(wanted).includes(name)) return false;
    if (isSame) return !ofOneRun.includes(name);
    return [...place, ...ruleOptions, ...tools, ...replication].includes(name) &&
        !(command === "cutover" && replication.includes(name)) ||
      keeps.includes(flagOf(name, option));
  };
  const kept = current.filter(({ given }) => given !== undefined && isKept(given));
  const all = names([...wanted, ...kept]);
  const needed = command === undefined ? undefined : enabling[command];
  const refused: readonly OptionName[] = [
    ...(needed === undefined || all.includes(needed) ? [] : replication),
    // the SQL of a repair contains values
    ...(all.includes("repair") ? ["values"] as const : []),
  ];
  return commandLine([
    ...words,
    ...kept.filter(({ given }) => given === undefined || !refused.includes(given.name))
      .flatMap(({ words }) => words),
  ]);
}

function names(read: readonly GivenArgument[]): readonly OptionName[] {
  return read.flatMap(({ given }) => given === undefined ? [] : [given.name]);
}

function operands(read: readonly GivenArgument[]): readonly string[] {
  return read.flatMap(({ given, words }) => given === undefined ? words : []);
}
