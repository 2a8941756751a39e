/** The commands that work with two servers. */
export const migrationCommands = [
  "validate",
  "init",
  "sync",
  "status",
  "verify",
  "cutover",
  "cleanup",
] as const;

/** Every command that does something; `help` is the parser's. */
export const commandNames = [
  ...migrationCommands,
  "jobs",
  "serve",
  "worker",
  "keys",
  "demo",
  "completions",
] as const;
/** One of {@linkcode commandNames}. */
export type CommandName = typeof commandNames[number];
