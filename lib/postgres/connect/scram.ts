/**
 * The client side of SCRAM-SHA-256, with and without channel binding.
 *
 * Source: RFC 5802 and RFC 7677; PostgreSQL documentation, "54.3.1. SCRAM-SHA-256 Authentication".
 *
 * @module
 */
import { LoginError } from "./login_error.ts";
import { ProtocolError } from "../protocol/message_limits.ts";
import { saslPrepare } from "./saslprep.ts";

const encoder = new TextEncoder();

/** More would take seconds to compute; PostgreSQL's default is 4,096. */
const maxIterations = 10_000_000;
const maxSaltBytes = 1024;

/** How the exchange is bound to the TLS connection. */
export type ScramBinding =
  /** To the server's certificate: `SCRAM-SHA-256-PLUS`. */
  | { readonly kind: "certificate"; readonly hash: Uint8Array }
  /**
   * Supported by the client and not offered by the server: a server that did offer it detects a man
   * in the middle.
   */
  | { readonly kind: "not-offered" }
  | { readonly kind: "none" };

/**
 * One exchange: new → {@linkcode first} → {@linkcode answer} → {@linkcode verify}. Only when the
 * last returns has the server proved that it knows the password.
 */
export class ScramExchange {
  readonly #password: string;
  readonly #header: string;
  readonly #bindingData: Uint8Array;
  readonly #nonce: string;
  #serverSignature: Uint8Array | undefined;

  /** @param nonce the client's random text; fixed in tests */
  constructor(
    password: string,
    binding: ScramBinding,
    nonce = crypto.getRandomValues(new Uint8Array(18)).toBase64(),
  ) {
    this.#password = password;
    this.#nonce = nonce;
    this.#header = binding.kind === "certificate"
      ? "p=tls-server-end-point,,"
      : binding.kind === "not-offered"
      ? "y,,"
      : "n,,";
    this.#bindingData = binding.kind === "certificate" ? binding.hash : new Uint8Array(0);
  }

  get #firstBare(): string {
    return `n=,r=${this.#nonce}`; // the user is in the startup packet
  }

  /** The first message. */
  first(): Uint8Array {
    return encoder.encode(this.#header + this.#firstBare);
  }

  /**
   * The answer to the server's first message.
   *
   * @throws ProtocolError when that is malformed or does not match the client's
   */
  async answer(serverFirst: string): Promise<Uint8Array> {
    const { nonce, salt, iterations } = readServerFirst(serverFirst, this.#nonce);
    const channel = concat(encoder.encode(this.#header), this.#bindingData).toBase64();
    const withoutProof = `c=${channel},r=${nonce}`;
    const signed = encoder.encode(`${this.#firstBare},${serverFirst},${withoutProof}`);
    const salted = await derive(this.#password, salt, iterations);
    const clientKey = await hmac(salted, encoder.encode("Client Key"));
    const storedKey = new Uint8Array(await crypto.subtle.digest("SHA-256", clientKey));
    const signature = await hmac(storedKey, signed);
    const proof = clientKey.map((byte, index) => byte ^ (signature[index] ?? 0));
    this.#serverSignature = await hmac(
      await hmac(salted, encoder.encode("Server Key")),
      signed,
    );
    return encoder.encode(`${withoutProof},p=${proof.toBase64()}`);
  }

  /**
   * Checks the server's last message.
   *
   * @throws LoginError when the server has not proved that it knows the password
   */
  verify(serverFinal: string): void {
    if (serverFinal.startsWith("e=")) {
      throw new LoginError("the server ended the SCRAM exchange with an error");
    }
    const given = /^v=([A-Za-z0-9+/]{43}=)$/.exec(serverFinal)?.[1];
    const expected = this.#serverSignature;
    if (
      given === undefined || expected === undefined ||
      !equal(Uint8Array.fromBase64(given), expected)
    ) {
      throw new LoginError(
        "the server did not prove that it knows the password",
        "another program answers in its place, or a pooler without SCRAM support is in between",
      );
    }
  }
}

/**
 * Parses exactly `r=…,s=…,i=…`: extensions (`m=`) are mandatory, and none is supported.
 */
function readServerFirst(text: string, clientNonce: string) {
  const [, nonce = "", saltText = "", iterationText = ""] =
    /^r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/]+={0,2}),i=([1-9]\d{0,9})$/.exec(text) ?? [];
  if (nonce === "") throw new ProtocolError("its first SCRAM message is malformed");
  if (!nonce.startsWith(clientNonce) || nonce.length === clientNonce.length) {
    throw new ProtocolError("its SCRAM nonce does not extend the client's");
  }
  const iterations = Number(iterationText);
  if (iterations > maxIterations) {
    throw new ProtocolError(
      `it requested ${iterations} SCRAM iterations; the limit is ${maxIterations}`,
    );
  }
  let salt: Uint8Array<ArrayBuffer>;
  try {
    salt = Uint8Array.fromBase64(saltText);
  } catch {
    throw new ProtocolError("its SCRAM salt is malformed");
  }
  if (salt.length > maxSaltBytes) {
    throw new ProtocolError(`its SCRAM salt has ${salt.length} bytes`);
  }
  return { nonce, salt, iterations };
}

async function derive(
  password: string,
  salt: Uint8Array<ArrayBuffer>,
  iterations: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const key = await crypto.subtle.importKey(
    "raw",
    encoder.encode(saslPrepare(password)),
    "PBKDF2",
    false,
    ["deriveBits"],
  );
  const parameters = { name: "PBKDF2", hash: "SHA-256", salt, iterations };
  return new Uint8Array(await crypto.subtle.deriveBits(parameters, key, 256));
}

async function hmac(
  key: Uint8Array<ArrayBuffer>,
  data: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", key, algorithm, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, data));
}

function equal(one: Uint8Array, other: Uint8Array): boolean {
  let difference = one.length ^ other.length;
  for (let at = 0; at < one.length; at++) difference |= (one[at] ?? 0) ^ (other[at] ?? 0);
  return difference === 0;
}

function concat(one: Uint8Array, other: Uint8Array): Uint8Array {
  const joined = new Uint8Array(one.length + other.length);
  joined.set(one);
  joined.set(other, one.length);
  return joined;
}
