/**
 * How a server compresses large values.
 *
 * @module
 */
import type { Session } from "../../postgres/internal.ts";

/** A method of compression. */
export type ToastMethod = "pglz" | "lz4";

/** The methods of a server. */
export interface ToastCompression {
  /** For columns without a setting of their own. */
  readonly method: ToastMethod;
  /** Those that it was built with. */
  readonly supported: readonly ToastMethod[];
}

const statement = `
  SELECT s.reset_val AS method, pg_catalog.array_to_json(s.enumvals) AS supported
    FROM pg_catalog.pg_settings AS s
   WHERE s.name = 'default_toast_compression'`;

/** Reads the methods of the session's server, and the one that is used in its database. */
export async function readToastCompression(session: Session): Promise<ToastCompression> {
  const [row] = await session.query<ToastCompression>(statement);
  // before 14, there is no other
  return row ?? { method: "pglz", supported: ["pglz"] };
}
