import type { SourcePoint } from "../../checkpoint/internal.ts";
import type { CopyWork, CopyWorkerJob } from "../../copy/internal.ts";
import type { AdvisoryLock } from "../../postgres/internal.ts";
import type { OpenedSecrets } from "../secrets/mod.ts";
import {
  claimParts,
  type ClaimSize,
  type Membership,
  type OfferedPart,
  readClaimedParts,
  type StoreDatabase,
} from "../store/mod.ts";

/**
 * What a worker has to know to take part in a copy, besides the job itself. Stored encrypted.
 *
 * The servers' addresses are not in it: each worker resolves, checks and pins them by itself.
 */
export interface CopyOffer {
  readonly sourceDatabase: string;
  readonly targetDatabase: string;
  /** Every session on the target takes it: the next leader waits until all of them have ended. */
  readonly sharedLock: AdvisoryLock;
  /** Identifier of the leader's snapshot. */
  readonly snapshot: string;
  /**
   * What one sees under it. An identifier alone would not do: another server may have one like it.
   */
  readonly point: SourcePoint;
  readonly targetSettings: Readonly<Record<string, string>> | undefined;
  readonly recordedConstraint: string;
  readonly delaysMs: readonly number[] | undefined;
  /** Lanes of each worker. */
  readonly lanes: number;
}

/** A part that can be told to be committed: without that nobody else may be given it. */
export type ReportingJob = CopyWorkerJob & Required<Pick<CopyWorkerJob, "isRecorded">>;

/** Small tables are claimed together, since each claim asks the service's database. */
const claimSize: ClaimSize = { maxParts: 64, maxBytes: 4 * 1024 * 1024 };

/**
 * Whether a copy can be done by several workers: every part has to be recorded in the transaction
 * of its rows.
 */
export function canBeShared<Job extends CopyWorkerJob>(work: CopyWork<Job>): boolean {
  return work.jobs.length > 1 && work.recordedConstraint !== undefined &&
    work.target.sharedLock !== undefined &&
    work.jobs.every(({ isRecorded }) => isRecorded !== undefined);
}

/** What each of a job's workers may read, in bytes a second; undefined for as much as there is. */
export function shareOfRate(
  { max_bytes_per_second: rate, workers = 1 }: {
    readonly max_bytes_per_second?: number | undefined;
    readonly workers?: number | undefined;
  },
): number | undefined {
  return rate === undefined ? undefined : Math.max(1, Math.floor(rate / workers));
}

/** What the offer of a copy is encrypted for. */
export function offerPurpose(copyId: string): string {
  return `copy ${copyId}`;
}

/** What a part of a copy is encrypted for: no part opens in the place of another. */
export function partPurpose(copyId: string, number: number): string {
  return `copy ${copyId} part ${number}`;
}

/** A part as it is stored: its statements have the conditions of rules in them. */
export function sealPart(
  secrets: OpenedSecrets,
  { copyId, number, job }: {
    readonly copyId: string;
    readonly number: number;
    readonly job: CopyWorkerJob;
  },
): Promise<string> {
  const { name, copyOut, copyIn, expectedBytes, isRecorded } = job;
  return secrets.seal(
    JSON.stringify({ name, copyOut, copyIn, expectedBytes, isRecorded }),
    partPurpose(copyId, number),
  );
}

/** Opens what {@linkcode sealPart} gave. */
export async function unsealPart(
  secrets: OpenedSecrets,
  { copyId, number, ciphertext }: {
    readonly copyId: string;
    readonly number: number;
    readonly ciphertext: string;
  },
): Promise<ReportingJob> {
  return JSON.parse(await secrets.unseal(ciphertext, partPurpose(copyId, number)));
}

/**
 * Claims the next parts, in their order; none when none waits.
 *
 * @param given numbers of the parts that the member knows itself to have; those that it is given
 * now are added
 */
export async function claimNext(
  database: StoreDatabase,
  { given, ...membership }: Membership & { readonly given: Set<number> },
): Promise<readonly Pick<OfferedPart, "number" | "ciphertext">[]> {
  let asked = false;
  const parts = await database.use(async (session) => {
    if (asked) {
      // the answer may have been lost after the parts were this member's
      const claimed = await readClaimedParts(session, membership);
      const unheard = claimed.filter(({ number }) => !given.has(number));
      if (unheard.length > 0) return unheard;
    }
    asked = true;
    return await claimParts(session, { ...membership, ...claimSize });
  });
  for (const { number } of parts) given.add(number);
  return parts.toSorted((a, b) => a.number - b.number);
}

/**
 * Parts that a member has claimed and not begun: shared by its lanes, filled again when it is
 * empty.
 */
export class ClaimedJobs<Job> {
  readonly #claim: () => Promise<readonly Job[]>;
  readonly #jobs: Job[] = [];
  #claiming: Promise<number> | undefined;

  /** @param claim gives the next ones; none when there are none at the moment */
  constructor(claim: () => Promise<readonly Job[]>) {
    this.#claim = claim;
  }

  /** The next part; undefined when there is none at the moment. */
  async next(): Promise<Job | undefined> {
    for (;;) {
      const job = this.#jobs.shift();
      if (job !== undefined) return job;
      this.#claiming ??= this.#fill().finally(() => this.#claiming = undefined);
      if (await this.#claiming === 0 && this.#jobs.length === 0) return undefined;
    }
  }

  async #fill(): Promise<number> {
    const jobs = await this.#claim();
    this.#jobs.push(...jobs);
    return jobs.length;
  }
}
