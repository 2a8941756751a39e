import { errorMessage } from "../../core/internal.ts";
import type { OptionReader } from "./option_reader.ts";

/** How files and variables are read. */
export interface ConfigEnvironment {
  /** The file's text; undefined if it does not exist. */
  readonly readFile: (path: string) => Promise<string | undefined>;
  readonly lookUp: (variable: string) => string | undefined;
}

/** Reads the file named by `--config`, if any; its values are the defaults of the flags. */
export async function readConfigFile(
  reader: OptionReader,
  { readFile, lookUp }: ConfigEnvironment,
): Promise<void> {
  const name = reader.text("config");
  if (name === undefined) return;
  const text = await readText(name, { reader, readFile });
  if (text === undefined) return;
  const { readConfig } = await import("../../config/read_config.ts");
  const { config, problems } = readConfig(text, {
    name,
    lookUp: (variable) => {
      reader.fileVariables.push(variable);
      return lookUp(variable);
    },
  });
  reader.problems.push(...problems);
  if (config !== undefined) reader.useFile(config);
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
    if (text === undefined) reader.problem("--config", `"${name}" does not exist`);
    return text;
  } catch (error) {
    reader.problem(
      "--config",
      `"${name}" cannot be read: ${errorMessage(error)}`,
    );
    return undefined;
  }
}
