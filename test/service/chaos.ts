import { oversize, pause, SlowLoris } from "./attacks.ts";
import { Requests } from "./clients.ts";
import type { Supervised } from "./fleet.ts";
import type { LoadOptions } from "./options.ts";
import type { Stage } from "./stage.ts";

/**
 * Kills, restarts and attacks the service, while also sending ordinary requests. Counts add up over
 * all calls of `run`.
 */
export class Chaos {
  restarts = 0;
  /** How often slow connections were closed or refused. */
  slowClosed = 0;
  slowRefused = 0;
  /** Responses to ordinary requests to the attacked instance. */
  readonly answers = new Requests();
  readonly attacks: Awaited<ReturnType<typeof oversize>>[] = [];
  readonly #stage: Stage;
  readonly #options: LoadOptions;
  readonly #admin: string;
  readonly #random: (below: number) => number;
  #round = 0;

  constructor(
    stage: Stage,
    { options, admin, random }: {
      readonly options: LoadOptions;
      readonly admin: string;
      readonly random: (below: number) => number;
    },
  ) {
    this.#stage = stage;
    this.#options = options;
    this.#admin = admin;
    this.#random = random;
  }

  /** Causes faults until the signal aborts; only sends requests if `killEvery` is 0. */
  async run(workers: readonly Supervised[], signal: AbortSignal): Promise<void> {
    const { killEvery, slow: count } = this.#options;
    const { serves, ports } = this.#stage;
    const fleet = [...serves, ...workers];
    const slow = new SlowLoris(ports[0]!, killEvery === 0 ? 0 : count);
    while (!signal.aborted) {
      for (let second = 0; second < (killEvery || 5) && !signal.aborted; second++) {
        await pause(1_000, signal);
        await this.#look(fleet);
      }
      if (!signal.aborted && killEvery > 0) await this.#break(fleet);
    }
    await slow[Symbol.asyncDispose]();
    this.slowClosed += slow.closed;
    this.slowRefused += slow.refused;
  }

  async #look(fleet: readonly Supervised[]): Promise<void> {
    await Promise.all(fleet.map((each) => each.measure()));
    const response = await this.answers.send(`${this.#stage.instances[0]}/v1/me`, {
      headers: { "x-api-key": this.#admin },
    });
    await response?.body?.cancel();
  }

  async #break(fleet: readonly Supervised[]): Promise<void> {
    const round = ++this.#round;
    const { instances } = this.#stage;
    fleet[this.#random(fleet.length)]!.kill();
    if (round % 4 === 0) {
      this.attacks.push(await oversize(instances[round % instances.length]!, this.#admin));
    }
    if (round % 8 !== 5) return;
    await this.#stage.restartDatabase(this.#random(2) === 0 ? "fast" : "immediate");
    this.restarts++;
  }
}
