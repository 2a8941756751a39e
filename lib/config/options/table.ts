/**
 * Every option of the command line, once. Derived from it: the grammar and its help pages, shell
 * completions, how values are read and checked, the keys of the configuration file with their JSON
 * Schema, the fields of jobs, the man page, and `docs/reference/options.md`.
 *
 * ## Adding an option
 *
 * 1. Describe it in the file of its group in this folder. From then on it is parsed, checked,
 *    completed and documented; with `config` a file may give it, with `job` a service takes it.
 * 2. Read it in the options of its command, `lib/cli/options/<command>_options.ts`:
 *    `reader.integer("indexJobs")`.
 * 3. Use it: add the field to the options of the command in `lib/commands/`.
 * 4. With `job`: add the field to the published type in `lib/remote/spec/job.ts`; until then
 *    `lib/remote/spec/job_spec.ts` does not compile.
 *
 * Then `deno task option-docs` writes the pages anew; a test fails until it has.
 *
 * @module
 */
import { type CommandName, commandNames, migrationCommands } from "./command_names.ts";
import { connectionOptions } from "./connection.ts";
import { cutoverOptions } from "./cutover.ts";
import type { Option, Options } from "./option.ts";
import { outputOptions } from "./output.ts";
import { remoteOptions } from "./remote.ts";
import { replicationOptions } from "./replication.ts";
import { safetyOptions } from "./safety.ts";
import { selectionOptions } from "./selection.ts";
import { serviceOptions } from "./service.ts";
import { speedOptions } from "./speed.ts";

/** Every option by name: `indexJobs`. */
export const optionTable = {
  ...connectionOptions,
  ...selectionOptions,
  ...speedOptions,
  ...replicationOptions,
  ...cutoverOptions,
  ...safetyOptions,
  ...serviceOptions,
  ...remoteOptions,
  ...outputOptions,
} as const;

/** The table's type, with every option's own. */
export type OptionTable = typeof optionTable;
/** The name of an option. */
export type OptionName = keyof OptionTable;

/** Options of some kinds. */
export type NameOfKind<Kind extends Option["kind"]> = {
  [Name in OptionName]: OptionTable[Name]["kind"] extends Kind ? Name : never;
}[OptionName];

/** The groups of help pages and of the reference, in their order. */
export const optionGroups: readonly (readonly [title: string, options: Options])[] = [
  ["Connection", connectionOptions],
  ["What to copy", selectionOptions],
  ["Speed", speedOptions],
  ["Replication", replicationOptions],
  ["Cutover", cutoverOptions],
  ["Safety", safetyOptions],
  ["Service", serviceOptions],
  ["Remote", remoteOptions],
  ["Output", outputOptions],
];

/** An option with its name and group. */
export interface NamedOption {
  readonly name: OptionName;
  readonly group: string;
  readonly option: Option;
}

/** Every option, in the order of the groups. */
export const allOptions: readonly NamedOption[] = optionGroups.flatMap(([group, options]) =>
  Object.entries(options).map(([name, option]) => ({ name: name as OptionName, group, option }))
);

/** The options that a command takes. */
export function optionsOf(command: CommandName): readonly NamedOption[] {
  return allOptions.filter(({ option }) => option.commands.includes(command));
}

/** An option by its name, with the type that all options share. */
export function optionNamed(name: OptionName): Option {
  return optionTable[name];
}

export { type CommandName, commandNames, migrationCommands };
