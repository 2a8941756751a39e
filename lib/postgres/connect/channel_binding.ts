/**
 * Channel binding of SCRAM to a TLS connection: `tls-server-end-point` of RFC 5929.
 *
 * @module
 */

/**
 * Hash that RFC 5929 prescribes for each signature algorithm, by the DER contents of its identifier
 * in hexadecimal.
 */
const hashes: Readonly<Record<string, string>> = {
  "2a864886f70d010104": "SHA-256", // md5WithRSAEncryption: SHA-256 instead of MD5 and SHA-1
  "2a864886f70d010105": "SHA-256", // sha1WithRSAEncryption
  "2a864886f70d01010b": "SHA-256", // sha256WithRSAEncryption
  "2a864886f70d01010c": "SHA-384",
  "2a864886f70d01010d": "SHA-512",
  "2a8648ce3d0401": "SHA-256", // ecdsa-with-SHA1
  "2a8648ce3d040302": "SHA-256", // ecdsa-with-SHA256
  "2a8648ce3d040303": "SHA-384",
  "2a8648ce3d040304": "SHA-512",
};

/**
 * The hash of a server's certificate that a login is bound to.
 *
 * @param certificate DER
 * @returns undefined when its signature algorithm implies no known hash (Ed25519, RSA-PSS)
 */
export async function certificateHash(
  certificate: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array | undefined> {
  const identifier = signatureAlgorithm(certificate);
  const hash = identifier === undefined ? undefined : hashes[identifier];
  if (hash === undefined) return undefined;
  return new Uint8Array(await crypto.subtle.digest(hash, certificate));
}

const sequenceTag = 0x30;
const identifierTag = 0x06;

/**
 * Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { algorithm OBJECT
 * IDENTIFIER, … }, … }
 */
function signatureAlgorithm(certificate: Uint8Array): string | undefined {
  const outer = readElement(certificate, 0);
  if (outer?.tag !== sequenceTag) return undefined;
  const signed = readElement(certificate, outer.start);
  const algorithm = signed === undefined ? undefined : readElement(certificate, signed.end);
  if (algorithm?.tag !== sequenceTag) return undefined;
  const identifier = readElement(certificate, algorithm.start);
  if (identifier?.tag !== identifierTag) return undefined;
  return certificate.subarray(identifier.start, identifier.end).toHex();
}

/** Reads a DER element: its tag and the range of its contents. */
function readElement(
  bytes: Uint8Array,
  at: number,
): { readonly tag: number; readonly start: number; readonly end: number } | undefined {
  const tag = bytes[at];
  let length = bytes[at + 1];
  if (tag === undefined || length === undefined) return undefined;
  let start = at + 2;
  if (length >= 0x80) {
    const count = length - 0x80;
    if (count < 1 || count > 4) return undefined;
    length = bytes.subarray(start, start + count).reduce((sum, byte) => sum * 256 + byte, 0);
    start += count;
  }
  const end = start + length;
  return end > bytes.length ? undefined : { tag, start, end };
}
