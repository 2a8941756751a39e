import type { Acknowledged } from "./acknowledged_load.ts";
import { waitUntil } from "./wait.ts";

/** What the clients saw. */
export interface PsqlOutcome {
  readonly acknowledged: readonly Acknowledged[];
  /** Whether these were committed is not known. */
  readonly unknown: readonly Acknowledged[];
  readonly errors: readonly string[];
}

/** A writer that connects with libpq for each transaction, as psql does. */
export class PsqlLoad implements AsyncDisposable {
  readonly #url: string;
  readonly #writing: Promise<void>;
  readonly #acknowledged: Acknowledged[] = [];
  readonly #unknown: Acknowledged[] = [];
  readonly #errors: string[] = [];
  #isStopped = false;

  constructor(url: string) {
    this.#url = url;
    this.#writing = this.#write(90);
  }

  /** Resolves once that many more transactions have been acknowledged. */
  async more(transactions: number): Promise<void> {
    const at = this.#acknowledged.length + transactions;
    await waitUntil(
      `${transactions} transactions of psql more`,
      () => this.#acknowledged.length >= at,
    );
  }

  /** The port of the server to which the URL leads. */
  async port(): Promise<string> {
    return (await this.#run("SHOW port")).output.trim();
  }

  async stop(): Promise<PsqlOutcome> {
    this.#isStopped = true;
    await this.#writing;
    return { acknowledged: this.#acknowledged, unknown: this.#unknown, errors: this.#errors };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #write(writer: number): Promise<void> {
    for (let n = 1; !this.#isStopped; n++) {
      const { error, success } = await this.#run(
        `INSERT INTO ack (writer, n) VALUES (${writer}, ${n});
         UPDATE balance SET amount = amount + 1 WHERE id = ${n % 32};
         INSERT INTO part VALUES (${writer}, ${n}, 'w')`,
      );
      if (success) this.#acknowledged.push({ writer, n });
      else {
        this.#unknown.push({ writer, n });
        this.#errors.push(error);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async #run(sql: string) {
    const { success, stdout, stderr } = await new Deno.Command("psql", {
      args: ["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", this.#url, "-c", sql],
      env: { PGCONNECT_TIMEOUT: "5" },
    }).output();
    const decoder = new TextDecoder();
    return { success, output: decoder.decode(stdout), error: decoder.decode(stderr) };
  }
}

/** Starts it. The servers must accept connections without a password. */
export function startPsqlLoad(url: string): PsqlLoad {
  return new PsqlLoad(url);
}
