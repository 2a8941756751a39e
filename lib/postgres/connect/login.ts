/**
 * The client's side of authentication.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Secret } from "../../core/internal.ts";
import { encodeFrame, frame } from "../protocol/frames.ts";
import { LoginError } from "./login_error.ts";
import { allowedMethods, type LoginMethod, type LoginRules } from "./login_rules.ts";
import { ProtocolError } from "../protocol/message_limits.ts";
import { type ScramBinding, ScramExchange } from "./scram.ts";

/** Credentials and rules of a login. */
export interface LoginOptions {
  readonly user: string;
  readonly rules: LoginRules;
  /** Called when the server requests a password. */
  readonly password: () => Secret | undefined;
  /** Hash of the server's certificate, for channel binding; undefined without TLS. */
  readonly certificateHash: Uint8Array | undefined;
  readonly encrypted: boolean;
}

/** The codes of Authentication messages. */
const request = {
  ok: 0,
  kerberos: 2,
  cleartext: 3,
  md5: 5,
  gss: 7,
  gssContinue: 8,
  sspi: 9,
  sasl: 10,
  saslContinue: 11,
  saslFinal: 12,
} as const;

const plain = "SCRAM-SHA-256";
const bound = "SCRAM-SHA-256-PLUS";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

type LoginState = "new" | "answered" | "challenged" | "proving" | "proven" | "done";

/**
 * States: new → done when the server requests no authentication; new → answered → done with a
 * password; new → challenged → proving → proven → done with SCRAM. Any other order is rejected: a
 * server that has not proved that it knows the password is not trusted.
 */
export class Login {
  readonly #options: LoginOptions;
  #state: LoginState = "new";
  #scram: ScramExchange | undefined;
  #bound = false;

  constructor(options: LoginOptions) {
    this.#options = options;
  }

  /** Whether the server has accepted the login. */
  get isDone(): boolean {
    return this.#state === "done";
  }

  /**
   * Refuses a login that cannot succeed, before anything is sent.
   *
   * @throws LoginError
   */
  refuseBeforehand(): void {
    const { rules, encrypted, certificateHash } = this.#options;
    if (rules.channelBinding !== "require") return;
    if (!encrypted) {
      throw new LoginError(
        "channel_binding=require needs TLS, and this connection has none",
        "add sslmode=require to the URL, and enable TLS on the server",
      );
    }
    if (certificateHash === undefined) {
      throw new LoginError(
        "channel_binding=require is not possible with this server's certificate: the hash of its signature is not supported",
        "use a certificate signed with RSA or ECDSA and SHA-256, SHA-384 or SHA-512",
      );
    }
  }

  /**
   * Answers an Authentication message.
   *
   * @returns the message to send, if any
   * @throws LoginError when the rules do not allow the requested method, ProtocolError when the
   * request is out of order
   */
  async answer(body: Uint8Array): Promise<Uint8Array | undefined> {
    if (body.length < 4) throw new ProtocolError("it sent a malformed authentication request");
    const code = new DataView(body.buffer, body.byteOffset, body.byteLength).getInt32(0);
    const data = body.subarray(4);
    switch (code) {
      case request.ok:
        return this.#accept();
      case request.cleartext:
        this.#expect("new");
        this.#allow("password", "the password in clear text");
        this.#state = "answered";
        return passwordMessage(this.#password());
      case request.md5:
        this.#expect("new");
        this.#allow("md5", "an MD5 hash of the password");
        if (data.length !== 4) {
          throw new ProtocolError("it sent a malformed authentication request");
        }
        this.#state = "answered";
        return passwordMessage(md5Answer(this.#password(), this.#options.user, data));
      case request.sasl:
        this.#expect("new");
        this.#state = "challenged";
        return this.#beginScram(decoder.decode(data).split("\0").filter((name) => name !== ""));
      case request.saslContinue:
        this.#expect("challenged");
        this.#state = "proving";
        return encodeFrame(
          frame.password,
          await this.#scramExchange().answer(decoder.decode(data)),
        );
      case request.saslFinal:
        this.#expect("proving");
        this.#scramExchange().verify(decoder.decode(data));
        this.#state = "proven";
        return undefined;
      case request.kerberos:
      case request.gss:
      case request.gssContinue:
      case request.sspi:
        this.#allow(code === request.sspi ? "sspi" : "gss", "GSSAPI or SSPI authentication");
        throw new LoginError(
          "the server requests GSSAPI or SSPI authentication, which is not supported",
          "allow scram-sha-256 for the role and this client in pg_hba.conf",
        );
      default:
        throw new ProtocolError(`it requested an unknown authentication method (${code})`);
    }
  }

  #accept(): undefined {
    if (this.#state === "new") this.#allow("none", "no authentication");
    else this.#expect("answered", "proven");
    if (this.#options.rules.channelBinding === "require" && !this.#bound) {
      throw new LoginError(
        "channel_binding=require is set, and the server accepted the login without channel binding",
        "use scram-sha-256 for the role on the server (pg_hba.conf, password_encryption), or remove channel_binding",
      );
    }
    this.#state = "done";
  }

  /** The proof depends on the order of the messages. */
  #expect(...states: readonly LoginState[]): void {
    if (states.includes(this.#state)) return;
    throw new ProtocolError(
      this.#state === "challenged" || this.#state === "proving"
        ? "it ended the SCRAM exchange before it proved that it knows the password"
        : "it requested authentication more than once",
    );
  }

  #allow(method: LoginMethod, what: string): void {
    const { requireAuth, channelBinding } = this.#options.rules;
    if (!allowedMethods(requireAuth).has(method)) {
      throw new LoginError(
        `the server requests ${what}, which require_auth does not allow`,
        "if this is the intended server, change its pg_hba.conf or require_auth",
      );
    }
    if (channelBinding === "require" && method !== "scram-sha-256" && method !== "none") {
      throw new LoginError(
        `the server requests ${what}, which channel_binding=require does not allow`,
        "use scram-sha-256 for the role on the server (pg_hba.conf, password_encryption), or remove channel_binding",
      );
    }
  }

  #beginScram(mechanisms: readonly string[]): Uint8Array {
    const { rules: { channelBinding }, encrypted, certificateHash } = this.#options;
    if (!mechanisms.includes(plain) && !mechanisms.includes(bound)) {
      throw new LoginError(
        "the server offers no supported SASL mechanism",
        "allow scram-sha-256 for the role and this client in pg_hba.conf",
      );
    }
    this.#allow("scram-sha-256", "SCRAM");
    if (mechanisms.includes(bound) && !encrypted) {
      throw new ProtocolError("it offered channel binding on a connection without TLS");
    }
    const able = channelBinding !== "disable" && certificateHash !== undefined;
    this.#bound = able && mechanisms.includes(bound);
    if (!this.#bound && (channelBinding === "require" || !mechanisms.includes(plain))) {
      throw new LoginError(
        "channel_binding=require is set, and the server does not offer channel binding",
        "a pooler or proxy terminates TLS in between, or the server is older than PostgreSQL 11: remove channel_binding",
      );
    }
    const binding: ScramBinding = this.#bound && certificateHash !== undefined
      ? { kind: "certificate", hash: certificateHash }
      : { kind: able ? "not-offered" : "none" };
    this.#scram = new ScramExchange(this.#password(), binding);
    const first = this.#scram.first();
    const name = encoder.encode(`${this.#bound ? bound : plain}\0`);
    const body = new Uint8Array(name.length + 4 + first.length);
    body.set(name);
    new DataView(body.buffer).setInt32(name.length, first.length);
    body.set(first, name.length + 4);
    return encodeFrame(frame.password, body);
  }

  #scramExchange(): ScramExchange {
    if (this.#scram === undefined) throw new Error("no SCRAM exchange was started");
    return this.#scram;
  }

  #password(): string {
    const password = this.#options.password();
    if (password === undefined) {
      throw new LoginError(
        "the server requires a password, but none was given",
        "set it in the URL, PGPASSWORD or ~/.pgpass",
      );
    }
    return password.reveal();
  }
}

function passwordMessage(text: string): Uint8Array {
  return encodeFrame(frame.password, encoder.encode(`${text}\0`));
}

function md5Answer(password: string, user: string, salt: Uint8Array): string {
  const inner = createHash("md5").update(password + user).digest("hex");
  return `md5${createHash("md5").update(inner).update(salt).digest("hex")}`;
}
