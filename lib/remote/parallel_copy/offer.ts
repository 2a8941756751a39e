import type { SourcePoint } from "../../checkpoint/internal.ts";
import type { CopyWork, CopyWorkerJob } from "../../copy/internal.ts";
import type { AdvisoryLock } from "../../postgres/internal.ts";
import type { OpenedSecrets } from "../secrets/mod.ts";
import {
  claimParts,
  type ClaimSize,
  type Participation,
  readClaimedParts,
  type SealedPart,
  type StoreDatabase,
} from "../store/mod.ts";

/**
 * What a worker needs to take part in a copy, besides the job itself. Stored encrypted.
 *
 * It does not contain the servers' addresses: each worker resolves, checks and pins them itself.
 */
export interface CopyOffer {
  readonly sourceDatabase: string;
  readonly targetDatabase: string;
  /** Held by every session on the target: the next coordinator waits until all have ended. */
  readonly sharedLock: AdvisoryLock;
  /** Identifier of the coordinator's snapshot. */
  readonly snapshot: string;
  /**
   * What the snapshot sees. The identifier is not enough: another server may use the same one.
   */
  readonly point: SourcePoint;
  readonly targetSettings: Readonly<Record<string, string>>;
  readonly recordedConstraint: string;
  readonly delaysMs: readonly number[];
  /** Copy workers in each process. Helpers of another version read the offer: names stay. */
  readonly lanes: number;
}

/** A part that can be checked for being committed, which is required to reassign it. */
export type ReportingJob = CopyWorkerJob & Required<Pick<CopyWorkerJob, "isRecorded">>;

/** Small tables are claimed together, since each claim queries the service's database. */
const claimSize: ClaimSize = { maxParts: 64, maxBytes: 4 * 1024 * 1024 };

/**
 * Whether several workers can share a copy: every part must be recorded in the ledger by the
 * transaction that copies its rows.
 */
export function canBeShared<Job extends CopyWorkerJob>(work: CopyWork<Job>): boolean {
  return work.jobs.length > 1 && work.recordedConstraint !== undefined &&
    work.target.sharedLock !== undefined &&
    work.jobs.every(({ isRecorded }) => isRecorded !== undefined);
}

/** Each worker's share of the job's rate limit, in bytes per second; undefined if unlimited. */
export function shareOfRate(
  { max_bytes_per_second: rate, workers = 1 }: {
    readonly max_bytes_per_second?: number | undefined;
    readonly workers?: number | undefined;
  },
): number | undefined {
  return rate === undefined ? undefined : Math.max(1, Math.floor(rate / workers));
}

/** The purpose that the offer of a copy is sealed for. */
export function offerPurpose(copyId: string): string {
  return `copy ${copyId}`;
}

/** The purpose that a part is sealed for, so that one part cannot replace another. */
function partPurpose(copyId: string, number: number): string {
  return `copy ${copyId} part ${number}`;
}

/** Encrypts a part for storage: its statements contain the filter conditions of rules. */
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

/** Decrypts a part encrypted by {@linkcode sealPart}. */
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
 * Claims the next parts, in order; returns none if none is available.
 *
 * @param given numbers of the parts that the participant knows it has claimed; newly claimed ones
 * are added
 */
export async function claimNext(
  database: StoreDatabase,
  { given, ...participation }: Participation & { readonly given: Set<number> },
): Promise<readonly SealedPart[]> {
  let asked = false;
  const parts = await database.use(async (session) => {
    if (asked) {
      // a lost response may have claimed parts already
      const claimed = await readClaimedParts(session, participation);
      const unknown = claimed.filter(({ number }) => !given.has(number));
      if (unknown.length > 0) return unknown;
    }
    asked = true;
    return await claimParts(session, { ...participation, ...claimSize });
  });
  for (const { number } of parts) given.add(number);
  return parts.toSorted((a, b) => a.number - b.number);
}

/** A participant's claimed parts, shared by its copy workers; refilled when empty. */
export class ClaimedJobs<Job> {
  readonly #claim: () => Promise<readonly Job[]>;
  readonly #jobs: Job[] = [];
  #claiming: Promise<number> | undefined;

  /** @param claim claims further parts; returns none if none is available at the moment */
  constructor(claim: () => Promise<readonly Job[]>) {
    this.#claim = claim;
  }

  /** The next part; undefined if none is available at the moment. */
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
