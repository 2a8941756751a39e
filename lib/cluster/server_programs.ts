import type { PgMajor } from "./major.ts";

/** Where a server's programs come from. */
export type ProgramOrigin = "embedded" | "installed";

/** The programs of one PostgreSQL version. */
export interface ServerPrograms {
  /** Where they come from. */
  readonly origin: ProgramOrigin;
  /** Which PostgreSQL they are. */
  readonly major: PgMajor;
  /** Names the build exactly; two builds never share it. Used in names of cached files. */
  readonly build: string;
  /** Path of the server. */
  readonly postgres: string;
  /** Path of what makes a data directory. */
  readonly initdb: string;
}
