/**
 * What a server says about an error.
 *
 * @module
 */

/** The fields of a server's ErrorResponse that are of use. */
export interface ServerMessage {
  readonly sqlState: string;
  readonly message: string;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
  /** The call stack of the server: for COPY, table, line and column. */
  readonly context?: string | undefined;
  readonly constraint?: string | undefined;
  /** The schema of the object that the message is about, where the server names one. */
  readonly schema?: string | undefined;
}

/** Reads the fields of an ErrorResponse frame. */
export function serverMessageFromFields(fields: ReadonlyMap<string, string>): ServerMessage {
  return {
    sqlState: fields.get("C") ?? "XX000",
    message: fields.get("M") ?? "the server gave no message",
    detail: fields.get("D"),
    hint: fields.get("H"),
    context: fields.get("W"),
    constraint: fields.get("n"),
    schema: fields.get("s"),
  };
}
