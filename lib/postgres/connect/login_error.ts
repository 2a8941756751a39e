/**
 * Errors that prevent a session although the server can be reached.
 *
 * @module
 */
import type { ServerMessage } from "../protocol/server_message.ts";

/** The server rejected the session. */
export class StartupRefusedError extends Error {
  override readonly name = "StartupRefusedError";
  readonly serverMessage: ServerMessage;

  constructor(serverMessage: ServerMessage) {
    super(serverMessage.message);
    this.serverMessage = serverMessage;
  }
}

/**
 * The server requests authentication that is not allowed or not supported, or fails to prove its
 * identity. No secret was sent.
 */
export class LoginError extends Error {
  override readonly name = "LoginError";
  readonly remedy: string | undefined;

  constructor(message: string, remedy?: string) {
    super(message);
    this.remedy = remedy;
  }
}
