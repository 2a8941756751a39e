import type { Session } from "../../postgres/internal.ts";

/** The service's database, as somebody asks it who cannot go on without an answer. */
export interface StoreDatabase {
  /**
   * Lends a session for work that may be repeated: when the database is away it is asked again, and
   * an answer that was lost may have been to something that was done.
   */
  use<Result>(work: (session: Session) => Promise<Result>): Promise<Result>;
}
