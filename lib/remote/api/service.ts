import type { SessionPool } from "../../postgres/internal.ts";
import type { AddressGuard } from "../guard/mod.ts";
import type { JobQueue } from "../queue/mod.ts";
import type { KeyProvider } from "../secrets/mod.ts";
import type { JobCommand } from "../spec/mod.ts";
import type { Authenticator } from "./authenticate.ts";
import type { EventHub } from "./event_hub.ts";
import type { RequestMetrics } from "./metrics.ts";

/** A log line about a request, without its body, query or key. */
export interface RequestLine {
  readonly method: string;
  /** The route's pattern, not the path. */
  readonly route: string;
  readonly status: number;
  readonly ms: number;
  readonly traceId: string;
  readonly keyPrefix: string | undefined;
  /** The internal error, for status 500 and above. */
  readonly error?: string;
}

/**
 * What the API depends on. It has no state of its own: any number of instances share the database.
 */
export interface ServiceParts {
  readonly pool: SessionPool;
  /** @throws HttpProblem 503 until the database is available */
  readonly queue: JobQueue;
  /** Whether the database is available and its tables are migrated. */
  readonly isReady: () => boolean;
  readonly keys: KeyProvider;
  readonly guard: AddressGuard;
  readonly authenticator: Authenticator;
  readonly hub: EventHub;
  readonly metrics: RequestMetrics;
  /** The commands that workers of this release can run. */
  readonly commands: readonly JobCommand[];
  /** The timeout of jobs that do not specify one. */
  readonly defaultTimeoutSeconds: number;
  /** Whether `/metrics` needs no key. */
  readonly openMetrics: boolean;
  readonly version: string;
  readonly log: (line: RequestLine) => void;
}
