/** Every command that does something; `help` is the parser's. */
export const commandNames = [
  "validate",
  "init",
  "sync",
  "status",
  "verify",
  "cutover",
  "cleanup",
  "jobs",
  "serve",
  "worker",
  "keys",
  "demo",
  "completions",
] as const;
/** One of {@linkcode commandNames}. */
export type CommandName = typeof commandNames[number];
