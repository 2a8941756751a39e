import type { Session } from "../../postgres/internal.ts";

/** The service's database, for callers that cannot continue without an answer. */
export interface StoreDatabase {
  /**
   * Runs work that must be idempotent: it is retried while the database is unavailable, including
   * when the response was lost after the work took effect.
   */
  use<Result>(work: (session: Session) => Promise<Result>): Promise<Result>;
}
