import type { RunEvent } from "../../core/internal.ts";

/** A message of a job's event stream. */
export type EventMessage =
  & { readonly number: number | undefined }
  & (
    | {
      readonly kind: "state";
      readonly at: string;
      readonly state: string;
      readonly attempt: number;
      readonly exit_code?: number;
      readonly reason?: string;
    }
    | { readonly kind: "run"; readonly at: string; readonly event: RunEvent }
    | { readonly kind: "end"; readonly state: string | null; readonly exit_code: number | null }
  );

/** A stream without data for this long is broken: the service sends a comment every 15 s. */
const silenceMs = 45_000;

/**
 * Reads server-sent events. Source: WHATWG HTML, "9.2.6 Interpreting an event stream", as far as
 * the service writes them.
 *
 * @throws DOMException (TimeoutError) if no data arrives for too long, the runtime's error if the
 * connection breaks
 */
export async function* readEventMessages(response: Response): AsyncGenerator<EventMessage> {
  if (response.body === null) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    while (true) {
      const { done, value } = await inTime(reader.read());
      if (done) return;
      text += value;
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const message = readBlock(block);
        if (message !== undefined) yield message;
      }
    }
  } finally {
    await reader.cancel().catch(() => {}); // it may already be broken
  }
}

function readBlock(block: string): EventMessage | undefined {
  const fields = new Map(
    block.split("\n").map((line) => {
      const [, name = "", value = ""] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
      return [name, value] as const;
    }),
  );
  const kind = fields.get("event");
  const data = fields.get("data");
  if (kind === undefined || data === undefined) return undefined; // a comment
  const id = fields.get("id");
  return { ...JSON.parse(data), kind, number: id === undefined ? undefined : Number(id) };
}

async function inTime<Value>(promise: Promise<Value>): Promise<Value> {
  const late = Promise.withResolvers<never>();
  late.promise.catch(() => {}); // raced below; may reject after the race
  const timer = setTimeout(
    () => late.reject(new DOMException("the event stream timed out", "TimeoutError")),
    silenceMs,
  );
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
