/**
 * Refuses names that cannot be converted to UTF-8, before anything is changed.
 *
 * @module
 */
import { listUnreadableRoles, type UnreadableName } from "../../catalog/internal.ts";
import { ExitCode, plural, ReplicatorError, showOpaque } from "../../core/internal.ts";
import { isUnconvertible, type Session } from "../../postgres/internal.ts";

const namesShown = 5;

/** `2 names (table na\xefve, column caf\xe9)` */
export function describeNames(names: readonly UnreadableName[]): string {
  const shown = names.slice(0, namesShown).map(({ kind, name }) => `${kind} ${showOpaque(name)}`);
  const more = names.length > namesShown ? `, and ${names.length - namesShown} more` : "";
  return `${plural(names.length, "name")} (${shown.join(", ")}${more})`;
}

/** The error for databases, each described with its names. */
export function unreadableDatabases(descriptions: readonly string[]): ReplicatorError {
  return new ReplicatorError("names in the database cannot be converted to UTF-8", {
    side: "source",
    object: descriptions.join("; "),
    remedy:
      "rename them there (ALTER … RENAME TO), in a session with the client_encoding of the database, " +
      "or leave the database out with --exclude-databases",
    exitCode: ExitCode.prerequisite,
  });
}

/**
 * Runs a query that reads names of roles.
 *
 * @throws ReplicatorError with the roles whose names cannot be converted to UTF-8
 */
export async function readNamingRoles<Result>(
  session: Session,
  read: (session: Session) => Promise<Result>,
): Promise<Result> {
  try {
    return await read(session);
  } catch (error) {
    if (!isUnconvertible(error)) throw error;
    const roles = await listUnreadableRoles(session);
    if (roles.length === 0) throw error;
    throw new ReplicatorError("names of roles cannot be converted to UTF-8", {
      side: session.endpoint.side,
      object: describeNames(roles),
      remedy: "rename them there (ALTER ROLE … RENAME TO), in a session with the client_encoding " +
        `of database ${session.endpoint.database}`,
      exitCode: ExitCode.prerequisite,
      cause: error,
    });
  }
}
