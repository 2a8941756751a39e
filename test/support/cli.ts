import { fileURLToPath } from "node:url";

/** The root folder of the repository. */
export const repository = fileURLToPath(new URL("../../", import.meta.url));

/** The result of running a program. */
export interface CliOutcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Options of {@linkcode runCli}. */
export interface CliOptions {
  /** Its environment, apart from what Deno needs. */
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * The arguments of `deno` that run the command line from source under its documented permissions.
 */
export const cliCommand: readonly string[] = [
  "run",
  "--quiet",
  "--no-prompt",
  `--config=${repository}deno.json`,
  `--lock=${repository}deno.lock`,
  "--frozen",
  "-P=cli",
  `${repository}cli.ts`,
];

/**
 * Runs the command line in a separate process, without terminal and with an empty environment.
 */
export async function runCli(
  args: readonly string[],
  { env = {} }: CliOptions = {},
): Promise<CliOutcome> {
  return await runProgram(Deno.execPath(), [...cliCommand, ...args], {
    env: { ...denoEnvironment(), ...env },
  });
}

/** Runs a program with exactly this environment. */
export async function runProgram(
  program: string,
  args: readonly string[],
  { env, cwd = "/" }: { readonly env: Readonly<Record<string, string>>; readonly cwd?: string },
): Promise<CliOutcome> {
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    cwd,
    clearEnv: true,
    env: { ...env },
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

/** Variables that `deno` needs to find its cache. */
export function denoEnvironment(): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(Deno.env.toObject())) {
    const isOurs = ["PATH", "HOME", "XDG_CACHE_HOME", "TMPDIR"].includes(name);
    // and to access the network: proxies, certificates, registries
    const isNetwork = /^(DENO_|NPM_CONFIG_|SSL_CERT_|HTTPS?_PROXY|NO_PROXY)/i.test(name);
    if (isOurs || isNetwork) kept[name] = value;
  }
  return kept;
}

/** Deno's npm cache, which contains the embedded pg_dump. */
export async function npmCache(): Promise<string> {
  const { stdout } = await runProgram(Deno.execPath(), ["info", "--json"], {
    env: denoEnvironment(),
  });
  return JSON.parse(stdout).npmCache;
}
