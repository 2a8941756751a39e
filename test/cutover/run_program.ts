import { fileURLToPath } from "node:url";
import { TextLineStream } from "../faults/lines.ts";
import { denoEnvironment, repository } from "../support/cli.ts";
import type { ProgramInput } from "./switch_program.ts";

/** How a cutover command ended. */
export interface ProgramOutcome {
  readonly code: number;
  readonly signal: string | null;
  /** The point at which the last fault occurred; undefined if none was reached. */
  readonly hitAt: string | undefined;
  /** The message and details of the error. */
  readonly error: string;
  readonly points: readonly string[];
  readonly lines: readonly string[];
}

/** What happens to a running command. */
export interface ProgramFault {
  /** Acts as soon as the point is reached; see `haltAt` of {@linkcode ProgramInput}. */
  readonly point: string;
  /** Whether the command is blocked meanwhile, and then released. */
  readonly halts: boolean;
  readonly act: (child: Deno.ChildProcess) => Promise<void>;
}

const program = fileURLToPath(new URL("./switch_program.ts", import.meta.url));

/** Runs one cutover command in its own process; faults occur one after the other. */
export async function runCutover(
  input: ProgramInput,
  ...faults: readonly ProgramFault[]
): Promise<ProgramOutcome> {
  const haltAt = faults.filter(({ halts }) => halts).map(({ point }) => point);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      `--config=${repository}deno.json`,
      `--lock=${repository}deno.lock`,
      "--frozen",
      "--no-check",
      "-A",
      program,
      JSON.stringify({ ...input, haltAt }),
    ],
    clearEnv: true,
    env: denoEnvironment(),
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const stdin = child.stdin.getWriter();
  const lines: string[] = [];
  const points: string[] = [];
  let hitAt: string | undefined;
  let acting = Promise.resolve();
  let next = 0;
  let error = "";
  for await (const line of child.stdout.pipeThrough(new TextLineStream())) {
    lines.push(line);
    const said = JSON.parse(line) as {
      point?: string;
      halted?: string;
      error?: string;
      details?: readonly string[];
    };
    if (said.point !== undefined) points.push(said.point);
    if (said.error !== undefined) error = [said.error, ...said.details ?? []].join("; ");
    const fault = faults[next];
    const reached = fault?.halts === true ? said.halted : said.point;
    if (fault !== undefined && reached === fault.point) {
      hitAt = reached;
      next++;
      acting = acting.then(() => fault.act(child))
        .then(() => stdin.write(new Uint8Array([10])).catch(() => {}));
    }
  }
  await acting;
  const { code, signal } = await child.status;
  await stdin.close().catch(() => {});
  return { code, signal, hitAt, error, points, lines };
}

/** Ends the process at once. */
export function kill9(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch {
    // it has already exited
  }
}
