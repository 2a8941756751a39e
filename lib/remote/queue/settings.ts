import { optionDefaults } from "../../config/internal.ts";

/** How the queue handles jobs. Must be the same for all instances and workers. */
export interface QueueSettings {
  /**
   * A worker that has not reported for this long is lost, and its job is claimed by another. At
   * least 10.
   */
  readonly heartbeatSeconds: number;
  /** Maximum number of retries after a worker was lost or a server was unreachable. */
  readonly retryLimit: number;
  /** The pause before the first retry; it doubles each time, up to five minutes. */
  readonly retryDelaySeconds: number;
  /** Interval between checks for lost workers. */
  readonly superviseSeconds: number;
}

/** The default settings. */
export const defaultQueueSettings: QueueSettings = {
  heartbeatSeconds: optionDefaults.heartbeatSeconds,
  retryLimit: 5,
  retryDelaySeconds: 5,
  superviseSeconds: 5,
};
