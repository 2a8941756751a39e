/**
 * One cutover command in its own process, so that it can be killed. Its argument is JSON
 * ({@linkcode ProgramInput}). Events go to stdout, one JSON object per line. At the points `haltAt`
 * it blocks, with all its sessions open, until it reads a byte from stdin.
 */
import { errorMessage, ReplicatorError } from "../../lib/core/internal.ts";
import { executeSwitch } from "../../lib/commands/cutover/switch.ts";
import { executeCutoverPrepare } from "../../lib/commands/cutover/prepare.ts";
import { executeFinish } from "../../lib/commands/cutover/finish.ts";
import type { RunContext } from "../../lib/commands/shared/run.ts";
import { endpointOf } from "../support/init.ts";

/** What the program does. */
export interface ProgramInput {
  readonly command: "prepare" | "run" | "rollback" | "finish";
  readonly sourceUrl: string;
  readonly targetUrl: string;
  /** The target at the address by which the source's server connects to it. */
  readonly targetFromSource?: string;
  readonly databases: readonly string[];
  /** Their names on the target, if they are different ones. */
  readonly map?: Readonly<Record<string, string>>;
  readonly maxPauseMs?: number;
  readonly onBlocker?: "wait" | "cancel" | "terminate";
  readonly barrierAttempts?: number;
  readonly endSessions?: boolean;
  readonly fence?: "triggers" | "sessions";
  readonly finalCheck?: "structure" | "counts";
  readonly haltAt?: readonly string[];
}

if (import.meta.main) await main(JSON.parse(Deno.args[0] ?? "{}"));

async function main(input: ProgramInput): Promise<void> {
  const seen = new Map<string, number>();
  const run: RunContext = {
    signal: new AbortController().signal,
    events: (event) => {
      if (event.kind === "cutover-pause") return;
      const kind = event.kind === "step-started"
        ? "begin"
        : event.kind === "step-finished"
        ? "end"
        : undefined;
      if (kind === undefined || !("step" in event)) say({ event });
      const name = kind !== undefined && "step" in event
        ? `${kind} ${event.step}`
        : event.kind === "warning"
        ? "warning"
        : undefined;
      if (name === undefined) return;
      const count = (seen.get(name) ?? 0) + 1;
      seen.set(name, count);
      const point = `${name} ${count}`;
      say({ point });
      if (input.haltAt?.includes(point) === true) {
        say({ halted: point });
        Deno.stdin.readSync(new Uint8Array(1));
      }
    },
  };
  const servers = {
    source: await endpointOf(input.sourceUrl, "source"),
    target: await endpointOf(input.targetUrl, "target"),
    databases: { include: input.databases, exclude: [], map: input.map ?? {} },
  };
  const confirm = () => Promise.resolve(true);
  try {
    const report = input.command === "prepare"
      ? await executeCutoverPrepare({
        ...servers,
        wayBack: "replicate",
        fence: input.fence ?? "triggers",
        targetFromSource: input.targetFromSource === undefined
          ? undefined
          : await endpointOf(input.targetFromSource, "target"),
        passfile: undefined,
        now: "2026-01-01T00:00:00Z",
        confirm,
      }, run)
      : input.command === "finish"
      ? await executeFinish({ ...servers, openOldSide: false, confirm }, run)
      : await executeSwitch(input.command, {
        ...servers,
        maxPauseMs: input.maxPauseMs ?? 5_000,
        onBlocker: input.onBlocker ?? "wait",
        barrierAttempts: input.barrierAttempts ?? 20,
        sequenceMargin: 1_000,
        endSessions: input.endSessions ?? false,
        slotTimeoutMs: 20_000,
        finalCheck: input.finalCheck ?? "structure",
        hook: (hook) => {
          say({ hook });
          return Promise.resolve();
        },
        isContinued: false,
        beginning: undefined,
        onBegin: () => Promise.resolve(),
        onUnfinished: () => Promise.resolve(),
        now: () => new Date(),
        confirm,
      }, run);
    say({ report });
    Deno.exit(0);
  } catch (error) {
    const details = error instanceof ReplicatorError ? error.details : [];
    const code = error instanceof ReplicatorError ? error.exitCode : 1;
    say({ error: errorMessage(error), details, code });
    if (code === 1) console.error(error);
    Deno.exit(code);
  }
}

function say(line: unknown): void {
  const text = JSON.stringify(
    line,
    (_, value) => typeof value === "bigint" ? String(value) : value,
  );
  const bytes = new TextEncoder().encode(`${text}\n`);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}
