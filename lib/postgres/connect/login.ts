/**
 * Answers what a server asks for before it lets a session in.
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

/** What a login is made with. */
export interface LoginOptions {
  readonly user: string;
  readonly rules: LoginRules;
  /** Looked up when it is asked for. */
  readonly password: () => Secret | undefined;
  /** Of the server's certificate, for channel binding; undefined without TLS. */
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
 * States: new → done, when the server asks for nothing; new → answered → done with a password; new
 * → challenged → proving → proven → done with SCRAM. Any other order is refused: a server that has
 * not proved that it knows the password is none that the password is for.
 */
export class Login {
  readonly #options: LoginOptions;
  #state: LoginState = "new";
  #scram: ScramExchange | undefined;
  #bound = false;

  constructor(options: LoginOptions) {
    this.#options = options;
  }

  /** Whether the server has let us in. */
  get isDone(): boolean {
    return this.#state === "done";
  }

  /**
   * Refuses what cannot come out well whatever the server says.
   *
   * @throws LoginError
   */
  refuseBeforehand(): void {
    const { rules, encrypted, certificateHash } = this.#options;
    if (rules.channelBinding !== "require") return;
    if (!encrypted) {
      throw new LoginError(
        "channel_binding=require needs TLS, and this connection has none",
        "add sslmode=require to the URL, and switch TLS on there",
      );
    }
    if (certificateHash === undefined) {
      throw new LoginError(
        "channel_binding=require is not possible with this server's certificate: the hash of its signature is none that is supported",
        "use a certificate signed with RSA or ECDSA and SHA-256, SHA-384 or SHA-512",
      );
    }
  }

  /**
   * Answers an Authentication message.
   *
   * @returns the message to send; undefined when there is none
   * @throws LoginError when the rules do not allow what is asked for, ProtocolError when it may not
   * be asked for now
   */
  async answer(body: Uint8Array): Promise<Uint8Array | undefined> {
    if (body.length < 4) throw new ProtocolError("it sent a malformed login request");
    const code = new DataView(body.buffer, body.byteOffset, body.byteLength).getInt32(0);
    const data = body.subarray(4);
    switch (code) {
      case request.ok:
        return this.#accept();
      case request.cleartext:
        this.#expect("new");
        this.#allow("password", "its password in clear text");
        this.#state = "answered";
        return passwordMessage(this.#password());
      case request.md5:
        this.#expect("new");
        this.#allow("md5", "an MD5 hash of its password");
        if (data.length !== 4) throw new ProtocolError("it sent a malformed login request");
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
        this.#allow(code === request.sspi ? "sspi" : "gss", "a GSSAPI or SSPI login");
        throw new LoginError(
          "the server asks for a GSSAPI or SSPI login, which is not supported",
          "let the role in with scram-sha-256 from here (pg_hba.conf)",
        );
      default:
        throw new ProtocolError(`it asked for a login of unknown kind ${code}`);
    }
  }

  #accept(): undefined {
    if (this.#state === "new") this.#allow("none", "no login at all");
    else this.#expect("answered", "proven");
    if (this.#options.rules.channelBinding === "require" && !this.#bound) {
      throw new LoginError(
        "channel_binding=require is set, and the server let the session in without it",
        "let the role in with scram-sha-256 there (pg_hba.conf, password_encryption), or remove channel_binding",
      );
    }
    this.#state = "done";
  }

  /** The order of the messages is what makes the proof one. */
  #expect(...states: readonly LoginState[]): void {
    if (states.includes(this.#state)) return;
    throw new ProtocolError(
      this.#state === "challenged" || this.#state === "proving"
        ? "it left the SCRAM exchange before it proved that it knows the password"
        : "it asked for more than one login",
    );
  }

  #allow(method: LoginMethod, what: string): void {
    const { requireAuth, channelBinding } = this.#options.rules;
    if (!allowedMethods(requireAuth).has(method)) {
      throw new LoginError(
        `the server asks for ${what}, which require_auth does not allow`,
        "is it the server that you mean? if so, change its pg_hba.conf, or require_auth",
      );
    }
    if (channelBinding === "require" && method !== "scram-sha-256" && method !== "none") {
      throw new LoginError(
        `the server asks for ${what}, which channel_binding=require does not allow`,
        "let the role in with scram-sha-256 there (pg_hba.conf, password_encryption), or remove channel_binding",
      );
    }
  }

  #beginScram(mechanisms: readonly string[]): Uint8Array {
    const { rules: { channelBinding }, encrypted, certificateHash } = this.#options;
    if (!mechanisms.includes(plain) && !mechanisms.includes(bound)) {
      throw new LoginError(
        "the server asks for a login of a kind that is not supported",
        "let the role in with scram-sha-256 from here (pg_hba.conf)",
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
        "channel_binding=require is set, and the server does not offer it",
        "a pooler or proxy that ends TLS is in between, or the server is older than PostgreSQL 11: remove channel_binding",
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
    if (this.#scram === undefined) throw new Error("no SCRAM exchange was begun");
    return this.#scram;
  }

  #password(): string {
    const password = this.#options.password();
    if (password === undefined) {
      throw new LoginError(
        "the server asks for a password, and none is given",
        "put it into the URL, PGPASSWORD or ~/.pgpass",
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
