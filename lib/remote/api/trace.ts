/** Identifies a request, from the client to the worker's log. Source: W3C "Trace Context". */
export interface Trace {
  readonly traceId: string;
  readonly spanId: string;
}

const form = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/**
 * The trace of a request, with a new span; a new trace if the request has none or an invalid one.
 */
export function readTrace(traceparent: string | undefined): Trace {
  const [, version, traceId, parentId] = form.exec(traceparent ?? "") ?? [];
  const isValid = traceId !== undefined && version !== "ff" && !/^0+$/.test(traceId) &&
    !/^0+$/.test(parentId ?? "");
  return { traceId: isValid ? traceId : randomHex(16), spanId: randomHex(8) };
}

/** The `traceparent` header of a trace. */
export function traceparentOf({ traceId, spanId }: Trace): string {
  return `00-${traceId}-${spanId}-01`;
}

function randomHex(bytes: number): string {
  return crypto.getRandomValues(new Uint8Array(bytes)).toHex();
}
