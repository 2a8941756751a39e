import { errorMessage } from "../../core/internal.ts";
import { type Config, readConfig } from "../../config/internal.ts";
import type { OptionReader } from "./option_reader.ts";

/** How files and variables are read. */
export interface ConfigEnvironment {
  /** The file's text; undefined when there is none. */
  readonly readFile: (path: string) => Promise<string | undefined>;
  readonly lookUp: (variable: string) => string | undefined;
}

/** What the file says, under the names that options have. */
function optionsOf(config: Config): Readonly<Record<string, string | undefined>> {
  const text = (value: number | undefined) => value === undefined ? undefined : String(value);
  return {
    jobs: text(config.jobs),
    indexJobs: text(config.indexJobs),
    splitTablesLargerThan: config.splitTablesLargerThan,
    copyFormat: config.copyFormat,
    restoreSearchPath: config.restoreSearchPath,
    dumpTool: config.dumpTool,
    pgBin: config.pgBin,
    logLevel: config.logLevel,
    logFormat: config.logFormat,
  };
}

/** The key of the file for an option: `index_jobs` for `indexJobs`. */
function keyOf(option: string): string {
  return option.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/**
 * Reads the file that `--config` names, if it does: its values are the defaults of the flags. What
 * is wrong is noted in the reader.
 */
export async function readConfigFile(
  reader: OptionReader,
  { readFile, lookUp }: ConfigEnvironment,
): Promise<void> {
  const name = reader.text("config");
  if (name === undefined) return;
  const text = await readText(name, { reader, readFile });
  if (text === undefined) return;
  const { config, problems } = readConfig(text, { name, lookUp });
  reader.problems.push(...problems);
  if (config === undefined) return;
  reader.useFile({
    config,
    values: optionsOf(config),
    place: (option) => config.place(keyOf(option)),
  });
}

async function readText(
  name: string,
  { reader, readFile }: {
    readonly reader: OptionReader;
    readonly readFile: ConfigEnvironment["readFile"];
  },
): Promise<string | undefined> {
  if (name === "") {
    reader.problem("--config", "is empty; give the name of a file");
    return undefined;
  }
  try {
    const text = await readFile(name);
    if (text === undefined) reader.problem("--config", `there is no file "${name}"`);
    return text;
  } catch (error) {
    reader.problem(
      "--config",
      `"${name}" cannot be read: ${errorMessage(error)}`,
    );
    return undefined;
  }
}
