/** How the queue treats jobs. Every instance and worker has to be given the same. */
export interface QueueSettings {
  /**
   * A worker that has not been heard of for so long is lost, and its job goes to another. At least 10.
   */
  readonly heartbeatSeconds: number;
  /** How often a job is begun again after its worker was lost, or a server could not be reached. */
  readonly retryLimit: number;
  /** The first pause before that; it doubles, up to five minutes. */
  readonly retryDelaySeconds: number;
  /** How often lost workers are looked for. */
  readonly superviseSeconds: number;
}

/** What holds when nobody says otherwise. */
export const defaultQueueSettings: QueueSettings = {
  heartbeatSeconds: 30,
  retryLimit: 5,
  retryDelaySeconds: 5,
  superviseSeconds: 5,
};
