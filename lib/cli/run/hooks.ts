import type { SwitchDirection } from "../../commands/cutover/report.ts";
import {
  errorMessage,
  type EventSink,
  ExitCode,
  formatDuration,
  ReplicatorError,
} from "../../core/internal.ts";
import type { CutoverHook, DatabaseRoute, HookRunner } from "../../cutover/internal.ts";
import type { HookCommands } from "../options/cutover_options.ts";

/** What {@linkcode hookRunner} needs. */
export interface HookOptions extends HookCommands {
  readonly direction: SwitchDirection;
  readonly events: EventSink;
  /** Ends a running hook before the switch; later ones may finish. */
  readonly signal: AbortSignal;
}

/**
 * Runs the hooks of a cutover: `sh -c COMMAND` (on Windows `cmd /c`) in a process group of its own,
 * which is ended at the time limit. Its output is logged line by line, and its environment is that
 * of the tool without passwords, plus `SEREN_CUTOVER_*`.
 *
 * Requires `--allow-run=sh` (Windows: `cmd`).
 */
export function hookRunner(options: HookOptions): HookRunner {
  return (hook, routes) => {
    const command = options.commands[hook];
    return command === undefined ? undefined : runHook(hook, { command, routes, options });
  };
}

/** The program that runs hooks. */
export const hookShell: string = Deno.build.os === "windows" ? "cmd" : "sh";

/**
 * Variables that may hold a password; a hook does not get them, nor those of the configuration file
 * and, on Unix, others of this tool.
 */
const secretVariables = [
  "SOURCE_URL",
  "TARGET_URL",
  "PGPASSWORD",
  "PGSSLPASSWORD",
  "SEREN_API_KEY",
  "SEREN_DATABASE_URL",
] as const;

/** How long a hook that was asked to end may take. */
const graceMs = 2_000;

/** Output of processes that outlive the hook is not waited for longer than this. */
const outputMs = 500;

/**
 * Runs the command, its first argument, without the variables that the others name. Ends the whole
 * process group: Deno signals a single process only. TERM asks for it, USR1 forces it.
 */
const supervisor = `command=$1
shift
unset "$@"
for name in $(env | sed -n 's/^\\(SEREN_[A-Za-z0-9_]*\\)=.*/\\1/p'); do
  case $name in SEREN_CUTOVER_*) ;; *) unset "$name" ;; esac
done
trap 'trap "" TERM; kill -TERM 0' TERM
trap 'kill -KILL 0' USR1
sh -c "$command" & child=$!
while :; do
  wait "$child"
  code=$?
  kill -0 "$child" 2>/dev/null || exit "$code"
done`;

async function runHook(
  hook: CutoverHook,
  { command, routes, options }: {
    readonly command: string;
    readonly routes: readonly DatabaseRoute[];
    readonly options: HookOptions;
  },
): Promise<void> {
  const { events, timeoutMs, direction, signal } = options;
  const hidden = [...secretVariables, ...options.hiddenVariables];
  const isWindows = Deno.build.os === "windows";
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(hookShell, {
      args: isWindows ? ["/d", "/c", command] : ["-c", supervisor, "sh", command, ...hidden],
      env: {
        ...(isWindows ? Object.fromEntries(hidden.map((name) => [name, ""])) : {}),
        ...hookVariables(hook, { direction, routes }),
      },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }).spawn();
  } catch (error) {
    throw failure(hook, `could not be started: ${errorMessage(error)}`);
  }
  const output = Promise.all(
    [child.stdout, child.stderr].map((stream) =>
      logLines(stream, (line) => events({ kind: "info", message: `hook ${hook}: ${line}` }))
    ),
  );
  const ending = new AbortController();
  const limit = AbortSignal.any([
    AbortSignal.timeout(timeoutMs),
    ...(hook === "before" ? [signal] : []),
  ]);
  const killed = endAt(child, { limit, isOver: ending.signal });
  const { success, code } = await child.status;
  ending.abort();
  const wasKilled = await killed;
  await Promise.race([output, delay(outputMs)]);
  if (wasKilled) {
    if (hook === "before") signal.throwIfAborted();
    throw failure(
      hook,
      `did not end within --hook-timeout (${formatDuration(timeoutMs)}) and was stopped`,
    );
  }
  if (!success) throw failure(hook, `failed with exit code ${code}`);
}

/** What a hook learns of the switch. Pure; never a password. */
export function hookVariables(
  hook: CutoverHook,
  { direction, routes }: {
    readonly direction: SwitchDirection;
    readonly routes: readonly DatabaseRoute[];
  },
): Readonly<Record<string, string>> {
  const [first] = routes;
  const from = first?.from;
  const to = first?.to;
  return {
    SEREN_CUTOVER_HOOK: hook,
    SEREN_CUTOVER_DIRECTION: direction,
    SEREN_CUTOVER_DATABASES: routes.map((route) => route.from.database).join(","),
    SEREN_CUTOVER_TO_DATABASES: routes.map((route) => route.to.database).join(","),
    SEREN_CUTOVER_FROM_HOST: from?.hosts[0]?.host ?? "",
    SEREN_CUTOVER_FROM_PORT: String(from?.hosts[0]?.port ?? ""),
    SEREN_CUTOVER_TO_HOST: to?.hosts[0]?.host ?? "",
    SEREN_CUTOVER_TO_PORT: String(to?.hosts[0]?.port ?? ""),
  };
}

/** Ends the process at the limit, first politely. Resolves to whether that was necessary. */
async function endAt(
  child: Deno.ChildProcess,
  { limit, isOver }: { readonly limit: AbortSignal; readonly isOver: AbortSignal },
): Promise<boolean> {
  await aborted(AbortSignal.any([limit, isOver]));
  if (isOver.aborted) return false;
  end(child, "SIGTERM");
  await aborted(AbortSignal.any([AbortSignal.timeout(graceMs), isOver]));
  if (!isOver.aborted) end(child, Deno.build.os === "windows" ? "SIGKILL" : "SIGUSR1");
  return true;
}

function end(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // it has ended
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) =>
    signal.addEventListener("abort", () => resolve(), { once: true })
  );
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A longer line is logged in parts. */
const maxLineLength = 8_192;

async function logLines(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  log: (line: string) => void,
): Promise<void> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split(/\r?\n/);
    rest = lines.pop() ?? "";
    for (const line of lines) log(line);
    if (rest.length > maxLineLength) {
      log(rest);
      rest = "";
    }
  }
  if (rest !== "") log(rest);
}

function failure(hook: CutoverHook, what: string): ReplicatorError {
  return new ReplicatorError(
    hook === "before" ? `the hook before ${what}; nothing was changed` : `the hook ${hook} ${what}`,
    hook === "before"
      ? {
        remedy: "see its output above; run the same command again once it succeeds",
        exitCode: ExitCode.prerequisite,
      }
      : {},
  );
}
