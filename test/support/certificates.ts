import "npm:reflect-metadata@0.2.2";
import * as x509 from "npm:@peculiar/x509@2.2.0";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const DAY_MS = 86_400_000;

/** A certificate and its key, in PEM. */
export interface Certificate {
  readonly certPem: string;
  readonly keyPem: string;
}

/** Options of a server certificate. */
export interface ServerCertificateOptions {
  /** Host names and IP addresses. Default: `localhost` and `127.0.0.1`. */
  readonly hosts?: readonly string[];
  /** Whether it expired yesterday. Default: false. */
  readonly expired?: boolean;
}

/** A private certificate authority, created without external programs. */
export class CertificateAuthority {
  readonly #certificate: x509.X509Certificate;
  readonly #keys: CryptoKeyPair;

  private constructor(certificate: x509.X509Certificate, keys: CryptoKeyPair) {
    this.#certificate = certificate;
    this.#keys = keys;
  }

  static async create(name = "Test CA"): Promise<CertificateAuthority> {
    const keys = await generateKeys();
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      name: `CN=${name}`,
      keys,
      signingAlgorithm: ALGORITHM,
      ...validity(false),
      extensions: [
        new x509.BasicConstraintsExtension(true, 1, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    return new CertificateAuthority(certificate, keys);
  }

  /** The CA certificate, for `sslrootcert`. */
  get certPem(): string {
    return this.#certificate.toString("pem");
  }

  /** A certificate for a server. */
  async server(options: ServerCertificateOptions = {}): Promise<Certificate> {
    const hosts = options.hosts ?? ["localhost", "127.0.0.1"];
    return await this.#issue(hosts[0] ?? "", options.expired ?? false, [
      new x509.SubjectAlternativeNameExtension(hosts.map(generalName)),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
    ]);
  }

  /** A client certificate for a role. */
  async client(role: string): Promise<Certificate> {
    return await this.#issue(role, false, [
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
    ]);
  }

  async #issue(commonName: string, expired: boolean, extensions: x509.Extension[]) {
    const keys = await generateKeys();
    const certificate = await x509.X509CertificateGenerator.create({
      subject: [{ CN: [commonName] }],
      issuer: this.#certificate.subject,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: ALGORITHM,
      ...validity(expired),
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        await x509.AuthorityKeyIdentifierExtension.create(this.#keys.publicKey),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
        ...extensions,
      ],
    });
    return { certPem: certificate.toString("pem"), keyPem: await privateKeyPem(keys) };
  }
}

/** A self-signed server certificate. */
export async function selfSignedCertificate(
  options: ServerCertificateOptions = {},
): Promise<Certificate> {
  const hosts = options.hosts ?? ["localhost", "127.0.0.1"];
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [hosts[0] ?? ""] }],
    keys,
    signingAlgorithm: ALGORITHM,
    ...validity(options.expired ?? false),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.SubjectAlternativeNameExtension(hosts.map(generalName)),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
    ],
  });
  return { certPem: certificate.toString("pem"), keyPem: await privateKeyPem(keys) };
}

async function generateKeys(): Promise<CryptoKeyPair> {
  return await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

async function privateKeyPem(keys: CryptoKeyPair): Promise<string> {
  const pkcs8 = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return x509.PemConverter.encode(pkcs8, "PRIVATE KEY");
}

function validity(expired: boolean): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return {
    notBefore: new Date(now - 30 * DAY_MS),
    notAfter: new Date(expired ? now - DAY_MS : now + 365 * DAY_MS),
  };
}

function generalName(host: string): x509.JsonGeneralName {
  return { type: /^[\d.]+$|:/.test(host) ? "ip" : "dns", value: host };
}
