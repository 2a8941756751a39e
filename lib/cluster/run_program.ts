import { serverUser } from "./server_user.ts";

/** Options of {@linkcode runProgram}. */
export interface RunProgramOptions {
  /** Standard input. Default: none. */
  readonly input?: string;
  /** Run as the user that servers run as. Default: false. */
  readonly asServerUser?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Runs a program and returns its standard output.
 *
 * Throws an `Error` with the program's stderr if it exits with a non-zero code.
 * Requires `--allow-run`, `--allow-env=PATH,TMPDIR`.
 */
export async function runProgram(
  command: readonly [string, ...string[]],
  options: RunProgramOptions = {},
): Promise<string> {
  options.signal?.throwIfAborted();
  const [program, ...args] = command;
  const child = new Deno.Command(program, {
    args,
    cwd: "/",
    clearEnv: true,
    env: serverEnv(),
    stdin: options.input === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
    ...(options.asServerUser ? serverUser() : {}),
    ...(options.signal ? { signal: options.signal } : {}),
  }).spawn();
  if (options.input !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(options.input)).catch(() => {});
    await writer.close().catch(() => {});
  }
  const { code, stdout, stderr } = await child.output();
  options.signal?.throwIfAborted();
  const text = new TextDecoder();
  if (code !== 0) {
    throw new Error(
      `${command.join(" ")} exited with ${code}: ${text.decode(stderr).trim() || "no message"}`,
    );
  }
  return text.decode(stdout);
}

/**
 * A minimal environment for server programs, which must not inherit variables such as `PG*`, `LC_*`
 * and `TZ`.
 */
export function serverEnv(): Record<string, string> {
  const env: Record<string, string> = {
    LC_ALL: "C",
    PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin",
  };
  const temp = Deno.env.get("TMPDIR");
  if (temp) env.TMPDIR = temp;
  return env;
}
