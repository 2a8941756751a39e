import { migrationCommands } from "./command_names.ts";
import { dumpTools } from "./choices.ts";
import type { Options } from "./option.ts";

/** Which servers, and which file has the other options. */
export const connectionOptions = {
  source: {
    kind: "url",
    placeholder: "URL",
    help: "server to copy from",
    variable: "SOURCE_URL",
    commands: migrationCommands,
    config: {
      description:
        "Server to copy from (`--source`). Keep the password in a variable: `${NAME}` stands for its value.",
      example: "postgresql://app:${SEREN_OLD_PASSWORD}@old.example.com/app",
    },
  },
  target: {
    kind: "url",
    placeholder: "URL",
    help: "server to copy to",
    variable: "TARGET_URL",
    commands: migrationCommands,
    config: {
      description: "Server to copy to (`--target`).",
      example: "postgresql://app:${SEREN_NEW_PASSWORD}@new.example.com/app",
    },
  },
  config: {
    kind: "text",
    placeholder: "FILE",
    completes: "file",
    help: "TOML file with options, of those that have a key; flags take precedence",
    commands: migrationCommands,
  },
  pgBin: {
    kind: "text",
    placeholder: "DIR",
    completes: "folder",
    help: "directory of pg_dump and pg_dumpall, searched before PATH",
    commands: ["validate", "init", "sync"],
    config: {
      description: "Directory of pg_dump and pg_dumpall (`--pg-bin`).",
      example: "/usr/lib/postgresql/18/bin",
    },
  },
  dumpTool: {
    kind: "choice",
    placeholder: "WHICH",
    values: dumpTools,
    default: "auto",
    help: "which pg_dump to use",
    commands: ["validate", "init", "sync"],
    config: { description: "Which pg_dump to use (`--dump-tool`).", example: "auto" },
  },
} as const satisfies Options;
