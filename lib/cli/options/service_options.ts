import { errorMessage, ExitCode, ReplicatorError, UsageError } from "../../core/internal.ts";
import { type Endpoint, resolveEndpoint } from "../../postgres/internal.ts";
import { AddressGuard, readAllowList } from "../../remote/guard/mod.ts";
import { defaultQueueSettings, type QueueSettings } from "../../remote/queue/settings.ts";
import { type KeyProvider, LocalKeyProvider, openAwsKms } from "../../remote/secrets/mod.ts";
import { type Environment, resolveEnvironmentOf } from "./environment.ts";
import { notOneOf, type OptionReader } from "./option_reader.ts";

/** Where the keys that encrypt secrets are kept. */
export type KeyPlace =
  | { readonly kind: "file"; readonly path: string }
  | {
    readonly kind: "kms";
    readonly keyId: string;
    readonly region: string;
    readonly endpoint: string | undefined;
  };

/** What instances and workers share. */
export interface KeeperOptions {
  /** Undefined with `--embedded`. */
  readonly database: Endpoint | undefined;
  /** Undefined with `--embedded`, whose keys are temporary. */
  readonly keyPlace: KeyPlace | undefined;
  readonly guard: AddressGuard;
  readonly queueSettings: QueueSettings;
}

/** The service's database; problems are collected in the reader. */
export async function readServiceDatabase(
  reader: OptionReader,
  environment: Environment,
): Promise<Endpoint | undefined> {
  const flag = reader.text("database");
  const url = flag ?? environment["SEREN_DATABASE_URL"];
  const path = flag === undefined ? "SEREN_DATABASE_URL" : "--database";
  if (!url) {
    reader.problem("--database", "is missing; give --database URL or set SEREN_DATABASE_URL");
    return undefined;
  }
  try {
    const resolveEnvironment = resolveEnvironmentOf(environment, reader.warn);
    const endpoint = await resolveEndpoint(url, { side: "target", path, resolveEnvironment });
    return { ...endpoint, applicationName: "postgres-seren-replicator service" };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    reader.problems.push(...error.problems);
    return undefined;
  }
}

/** Reads what instances and workers share; problems are collected in the reader. */
export async function readKeeperOptions(
  reader: OptionReader,
  { environment, embedded }: { readonly environment: Environment; readonly embedded: boolean },
): Promise<KeeperOptions> {
  const lists = reader.names("allowAddress");
  const { allow, problems } = readAllowList(lists);
  for (const problem of problems) reader.problem("--allow-address", problem);
  return {
    database: embedded ? undefined : await readServiceDatabase(reader, environment),
    keyPlace: readKeyPlace(reader, embedded),
    guard: new AddressGuard(allow),
    queueSettings: {
      ...defaultQueueSettings,
      heartbeatSeconds: reader.integer("heartbeat"),
    },
  };
}

function readKeyPlace(reader: OptionReader, embedded: boolean): KeyPlace | undefined {
  const path = reader.text("keyFile");
  const keyId = reader.text("kmsKey");
  const region = reader.text("kmsRegion");
  if (path !== undefined && keyId !== undefined) {
    reader.problem("--kms-key", "cannot be combined with --key-file: use one of them");
  }
  if (keyId !== undefined) {
    if (region === undefined) reader.problem("--kms-region", "is missing");
    return { kind: "kms", keyId, region: region ?? "", endpoint: reader.text("kmsEndpoint") };
  }
  if (path !== undefined) return { kind: "file", path };
  if (!embedded) {
    reader.problem(
      "--key-file",
      "is missing; give --key-file FILE (serve creates it) or --kms-key ID: secrets of jobs are stored encrypted",
    );
  }
  return undefined;
}

/** Opens the keys. @param create whether to create a missing file */
export async function openKeys(
  place: KeyPlace,
  { create }: { readonly create: boolean },
): Promise<KeyProvider> {
  if (place.kind === "kms") return await openAwsKms(place);
  return create
    ? await LocalKeyProvider.create(place.path)
    : await LocalKeyProvider.open(place.path);
}

/** One of the words; problems are collected in the reader. */
export function readWord<Word extends string>(
  reader: OptionReader,
  { word, words, path }: {
    readonly word: string | undefined;
    readonly words: readonly Word[];
    readonly path: string;
  },
): Word | undefined {
  const found = words.find((each) => each === word);
  if (found === undefined) {
    reader.problem(path, notOneOf(word ?? "", words));
  }
  return found;
}

/** Reads `host:port`, `[::1]:8080` or `:8080`; undefined for anything else. */
export function parseListen(
  text: string,
): { readonly hostname: string; readonly port: number } | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]*)):(\d{1,5})$/i.exec(text);
  if (match === null) return undefined;
  const port = Number(match[3]);
  return port > 65_535 ? undefined : { hostname: match[1] ?? (match[2] || "0.0.0.0"), port };
}

/** @throws ReplicatorError when the file cannot be read */
export async function readRequiredFile(path: string, flag: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    throw new ReplicatorError(
      `${flag}: "${path}" cannot be read: ${errorMessage(cause)}`,
      { exitCode: ExitCode.usage, cause },
    );
  }
}
