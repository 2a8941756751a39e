import { fileURLToPath } from "node:url";
import { denoEnvironment, repository } from "../support/cli.ts";

/** The properties of a slow link. */
export interface LinkOptions {
  /** Added to each direction. */
  readonly latencyMs?: number;
  /** Limit of each connection's direction. */
  readonly bytesPerSecond?: number;
}

/** A slow link to a server: a proxy in a separate process. */
export class SlowLink implements AsyncDisposable {
  readonly port: number;
  readonly #child: Deno.ChildProcess;

  private constructor(child: Deno.ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  /** Starts the proxy. */
  static async start(
    serverPort: number,
    { latencyMs = 0, bytesPerSecond = Infinity }: LinkOptions,
  ): Promise<SlowLink> {
    const program = fileURLToPath(new URL("slow_link.ts", import.meta.url));
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-q", "--no-prompt", `--config=${repository}deno.json`, "-P=test", program],
        ...[serverPort, latencyMs, bytesPerSecond].map(String),
      ],
      clearEnv: true,
      env: denoEnvironment(),
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    let line = "";
    while (!line.endsWith("\n")) {
      const { value, done } = await reader.read();
      if (done) throw new Error("the slow link did not start");
      line += value;
    }
    reader.releaseLock();
    return new SlowLink(child, Number(line));
  }

  /** The same URL through this link. */
  url(serverUrl: string): string {
    const url = new URL(serverUrl);
    url.port = String(this.port);
    return url.href;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stdin.close();
    this.#child.kill("SIGTERM");
    await this.#child.status;
  }
}
