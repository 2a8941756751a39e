/**
 * Why a session was not opened although the server can be reached.
 *
 * @module
 */
import type { ServerMessage } from "../protocol/server_message.ts";

/** The server refused to open the session. */
export class StartupRefusedError extends Error {
  override readonly name = "StartupRefusedError";
  readonly serverMessage: ServerMessage;

  constructor(serverMessage: ServerMessage) {
    super(serverMessage.message);
    this.serverMessage = serverMessage;
  }
}

/**
 * The server asks for a login that is not allowed or not possible here, or does not prove who it
 * is. Nothing secret was sent.
 */
export class LoginError extends Error {
  override readonly name = "LoginError";
  readonly remedy: string | undefined;

  constructor(message: string, remedy?: string) {
    super(message);
    this.remedy = remedy;
  }
}
