import type { PgMajor } from "./major.ts";

/** Where server programs come from. */
export type ProgramOrigin = "embedded" | "installed";

/** The programs of one PostgreSQL version. */
export interface ServerPrograms {
  readonly origin: ProgramOrigin;
  readonly major: PgMajor;
  /** Identifies the build uniquely; used in names of cached files. */
  readonly build: string;
  /** Path of `postgres`. */
  readonly postgres: string;
  /** Path of `initdb`. */
  readonly initdb: string;
}
