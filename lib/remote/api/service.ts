import type { SessionPool } from "../../postgres/internal.ts";
import type { AddressGuard } from "../guard/mod.ts";
import type { JobQueue } from "../queue/mod.ts";
import type { KeyProvider } from "../secrets/mod.ts";
import type { JobCommand } from "../spec/mod.ts";
import type { Authenticator } from "./authenticate.ts";
import type { EventHub } from "./event_hub.ts";
import type { RequestMetrics } from "./metrics.ts";

/** A line for the operator about a request: no body, no query, no key. */
export interface RequestLine {
  readonly method: string;
  /** The route's pattern, not the path. */
  readonly route: string;
  readonly status: number;
  readonly ms: number;
  readonly traceId: string;
  readonly keyPrefix: string | undefined;
  /** What went wrong inside, for a status of 500. */
  readonly error?: string;
}

/**
 * What the API stands on. It keeps nothing of its own: any number of instances share the database.
 */
export interface ServiceParts {
  readonly pool: SessionPool;
  /** @throws HttpProblem 503 while the database is waited for */
  readonly queue: JobQueue;
  /** Whether the database is there and its tables are up to date. */
  readonly isReady: () => boolean;
  readonly keys: KeyProvider;
  readonly guard: AddressGuard;
  readonly authenticator: Authenticator;
  readonly hub: EventHub;
  readonly metrics: RequestMetrics;
  /** What the workers of this release can run. */
  readonly commands: readonly JobCommand[];
  /** For jobs that name no timeout. */
  readonly defaultTimeoutSeconds: number;
  /** Whether `/metrics` is for everybody who can reach it. */
  readonly openMetrics: boolean;
  readonly version: string;
  readonly log: (line: RequestLine) => void;
}
