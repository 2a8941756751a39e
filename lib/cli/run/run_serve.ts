import type { JobLogLevel } from "../../remote/spec/mod.ts";
import { errorMessage, ExitCode, toolVersion } from "../../core/internal.ts";
import { startCluster } from "../../cluster/mod.ts";
import { type Endpoint, resolveEndpoint } from "../../postgres/internal.ts";
import { createKey, openService, type RequestLine, type Service } from "../../remote/api/mod.ts";
import { addPage } from "../../remote/page/mod.ts";
import { type KeyProvider, LocalKeyProvider } from "../../remote/secrets/mod.ts";
import { jobCommands } from "../../remote/mod.ts";
import { printable } from "../../ui/mod.ts";
import type { CommandContext, CommandRunner } from "../context.ts";
import { jsonLine } from "../print/print.ts";
import type { OptionReader } from "../options/option_reader.ts";
import { commandLine } from "../print/resume_command.ts";
import { readWorkerOptions, waitingMessage, work } from "./run_worker.ts";
import {
  type KeeperOptions,
  openKeys,
  parseListen,
  readKeeperOptions,
  readRequiredFile,
} from "../options/service_options.ts";

interface ServeOptions {
  readonly keeper: KeeperOptions;
  readonly embedded: boolean;
  readonly hostname: string;
  readonly port: number;
  readonly tlsFiles: { readonly certificate: string; readonly key: string } | undefined;
  readonly defaultTimeoutSeconds: number;
  readonly openMetrics: boolean;
}

/** `serve`: accepts jobs until it is stopped. */
export const runServe: CommandRunner = async (reader, context) => {
  const options = await readServeOptions(reader, context);
  const worker = options.embedded ? readWorkerOptions(reader, context) : undefined;
  reader.done();
  const { keeper } = options;
  await using opened = new AsyncDisposableStack();
  const database = keeper.database ?? await embeddedDatabase(opened, context);
  const keys = keeper.keyPlace === undefined
    ? await keysForNow(opened)
    : await openKeys(keeper.keyPlace, { create: true });
  const { signal } = context.run;
  const waits = Promise.withResolvers<void>();
  const service = await open({
    ...{ options, database, keys, context },
    onWait: (error, delayMs) => {
      waits.resolve();
      log(context, waitingMessage(error, delayMs), "warn");
    },
  });
  opened.use(service);
  const end = ended(signal);
  // a client that reads this line may send requests, unless the database is unreachable
  const isReady = await Promise.race([
    service.ready.then(() => true),
    ...[waits.promise, end].map((each) => each.then(() => false)),
  ]);
  log(context, `listening on ${service.url}`);
  if (!isReady) {
    await Promise.race([service.ready, end]);
    if (signal.aborted) return ExitCode.success;
    log(context, "the service's database is available");
  }
  if (worker === undefined) {
    await end;
    return ExitCode.success;
  }
  await reportHowToUse(service, context);
  await work({ options: worker, keeper, database, keys, context, signal });
  return ExitCode.success;
};

async function readServeOptions(
  reader: OptionReader,
  { resolve: { environment } }: CommandContext,
): Promise<ServeOptions> {
  const embedded = reader.flag("embedded");
  const keeper = await readKeeperOptions(reader, { environment, embedded });
  const listen = reader.text("listen");
  const place = parseListen(listen);
  if (place === undefined) {
    reader.problem("--listen", `"${listen}" is not an address like 127.0.0.1:8080 or [::]:8443`);
  }
  const certificate = reader.text("tlsCert");
  const key = reader.text("tlsKey");
  if ((certificate === undefined) !== (key === undefined)) {
    reader.problem("--tls-cert", "and --tls-key must be given together");
  }
  if (embedded && reader.given("database")) {
    reader.problem("--embedded", "uses a temporary database; omit --database");
  }
  return {
    keeper,
    embedded,
    hostname: place?.hostname ?? "",
    port: place?.port ?? 0,
    tlsFiles: certificate === undefined || key === undefined ? undefined : { certificate, key },
    defaultTimeoutSeconds: Math.round(
      reader.duration("jobTimeout") / 1000,
    ),
    openMetrics: reader.flag("openMetrics"),
  };
}

async function open(
  { options, database, keys, context, onWait }: {
    readonly options: ServeOptions;
    readonly database: Endpoint;
    readonly keys: KeyProvider;
    readonly context: CommandContext;
    readonly onWait: (error: unknown, delayMs: number) => void;
  },
): Promise<Service> {
  const { tlsFiles, keeper } = options;
  const tls = tlsFiles === undefined ? undefined : {
    certificate: await readRequiredFile(tlsFiles.certificate, "--tls-cert"),
    key: await readRequiredFile(tlsFiles.key, "--tls-key"),
  };
  return await openService({
    ...options,
    tls,
    database,
    keys,
    guard: keeper.guard,
    queueSettings: keeper.queueSettings,
    commands: jobCommands,
    version: toolVersion,
    log: (line) => logRequest(context, line),
    extend: addPage,
    onWait,
    onError: (error) => log(context, errorMessage(error), "error"),
  });
}

/** A database on a temporary server. */
async function embeddedDatabase(
  opened: AsyncDisposableStack,
  { run }: CommandContext,
): Promise<Endpoint> {
  const cluster = opened.use(
    await startCluster({
      major: 17,
      password: crypto.randomUUID(),
      settings: { fsync: "on" },
      signal: run.signal,
    }),
  );
  return await resolveEndpoint(cluster.url(), { side: "target" });
}

/** Temporary keys, as temporary as the database. */
async function keysForNow(opened: AsyncDisposableStack): Promise<KeyProvider> {
  const folder = await Deno.makeTempDir({ prefix: "seren-keys-" });
  opened.defer(() => Deno.remove(folder, { recursive: true }));
  return await LocalKeyProvider.create(`${folder}/keys`);
}

async function reportHowToUse(
  service: Service,
  { terminal, output }: CommandContext,
): Promise<void> {
  const { key } = await service.pool.transaction((session) =>
    createKey(session, { owner: "me", name: "embedded", scopes: ["admin"] }, {
      actor: "serve --embedded",
    })
  );
  if (output.json) {
    terminal.stdout.write(jsonLine({ url: service.url, key }));
    return;
  }
  terminal.stdout.write(
    `Page: ${service.url}\nKey:  ${key}\n\nOr, in another terminal:\n` +
      `export SEREN_REMOTE_API=${service.url} SEREN_API_KEY=${key}\n${commandLine(["validate"])}\n`,
  );
}

function logRequest({ terminal, output }: CommandContext, line: RequestLine): void {
  const at = new Date().toISOString();
  const { method, route, status, ms, traceId, keyPrefix, error } = line;
  terminal.stderr.write(
    output.logFormat === "json"
      ? jsonLine({
        at,
        level: status < 500 ? "info" : "error",
        method,
        route,
        status,
        ms: Math.round(ms),
        trace_id: traceId,
        key: keyPrefix,
        error,
      })
      : `${at} ${method} ${route} ${status} ${Math.round(ms)} ms key ${
        keyPrefix ?? "-"
      } trace ${traceId}${error === undefined ? "" : ` ${printable(error)}`}\n`,
  );
}

function log(
  { terminal, output }: CommandContext,
  message: string,
  level: JobLogLevel = "info",
): void {
  const at = new Date().toISOString();
  terminal.stderr.write(
    output.logFormat === "json"
      ? jsonLine({ at, level, message })
      : `${at} ${level.padEnd(5)} ${printable(message)}\n`,
  );
}

function ended(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) resolve();
  else signal.addEventListener("abort", () => resolve(), { once: true });
  return promise;
}
