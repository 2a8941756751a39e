/**
 * The fields of a server's error message.
 *
 * @module
 */

/** The fields of an ErrorResponse that are used. */
export interface ServerMessage {
  /** SQLSTATE of five characters: `23505`. */
  readonly sqlState: string;
  /** Primary message: `relation "orders" does not exist`. */
  readonly message: string;
  /** DETAIL; undefined if the server sent none. May contain row values. */
  readonly detail?: string | undefined;
  /** HINT; undefined if the server sent none. */
  readonly hint?: string | undefined;
  /** The server's call stack; for COPY: table, line and column. */
  readonly context?: string | undefined;
  /** Name of the violated constraint, unquoted, where the server names it. */
  readonly constraint?: string | undefined;
  /** Schema of the object that the message is about, where the server names it. */
  readonly schema?: string | undefined;
}

/** Reads the fields of an ErrorResponse frame. */
export function serverMessageFromFields(fields: ReadonlyMap<string, string>): ServerMessage {
  return {
    sqlState: fields.get("C") ?? "XX000",
    message: fields.get("M") ?? "the server sent no message",
    detail: fields.get("D"),
    hint: fields.get("H"),
    context: fields.get("W"),
    constraint: fields.get("n"),
    schema: fields.get("s"),
  };
}
