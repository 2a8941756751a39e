/** Which request this is, from the client to the worker's log. Source: W3C "Trace Context". */
export interface Trace {
  readonly traceId: string;
  readonly spanId: string;
}

const form = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/**
 * The trace that a request belongs to, with a span of our own; a new trace when it names none or a
 * bad one.
 */
export function readTrace(traceparent: string | undefined): Trace {
  const [, version, traceId, parentId] = form.exec(traceparent ?? "") ?? [];
  const good = traceId !== undefined && version !== "ff" && !/^0+$/.test(traceId) &&
    !/^0+$/.test(parentId ?? "");
  return { traceId: good ? traceId : randomHex(16), spanId: randomHex(8) };
}

/** The header that names a trace. */
export function traceparentOf({ traceId, spanId }: Trace): string {
  return `00-${traceId}-${spanId}-01`;
}

/** A trace that begins here. */
export function newTrace(): Trace {
  return readTrace(undefined);
}

function randomHex(bytes: number): string {
  return crypto.getRandomValues(new Uint8Array(bytes)).toHex();
}
