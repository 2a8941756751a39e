import { maxBodyBytes } from "../spec/mod.ts";
import { HttpProblem } from "./problem.ts";
import { unstorableText } from "./unstorable_text.ts";

/** Ample time to send a body of 15 KB. */
const bodyTimeoutMs = 10_000;

/**
 * Reads the body of a request as text.
 *
 * @throws HttpProblem 415 if it is not declared as JSON, 413 if it is too large, 400 if it arrives
 * too slowly or is not UTF-8
 */
export async function readBody(request: Request): Promise<string> {
  const type = request.headers.get("content-type") ?? "";
  if (!/^application\/json(\s*;\s*charset=utf-8)?\s*$/i.test(type)) {
    throw new HttpProblem(415, "the body must be JSON, with content-type: application/json");
  }
  const tooLarge = new HttpProblem(413, `the body exceeds ${maxBodyBytes} bytes`);
  if (Number(request.headers.get("content-length") ?? 0) > maxBodyBytes) throw tooLarge;
  if (request.body === null) return "";
  const reader = request.body.getReader();
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  const late = Promise.withResolvers<never>();
  late.promise.catch(() => {}); // raced below; may reject after the race
  const timer = setTimeout(
    () => late.reject(new HttpProblem(400, "the body did not arrive in time")),
    bodyTimeoutMs,
  );
  try {
    while (true) {
      const { done, value } = await Promise.race([reader.read(), late.promise]);
      if (done) break;
      bytes += value.length;
      if (bytes > maxBodyBytes) throw tooLarge;
      chunks.push(value);
    }
  } catch (error) {
    await reader.cancel().catch(() => {}); // the rest is not needed
    throw error;
  } finally {
    clearTimeout(timer);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await new Blob(chunks).bytes());
  } catch (error) {
    if (error instanceof TypeError) throw new HttpProblem(400, "the body is not UTF-8");
    throw error;
  }
}

/** @throws HttpProblem 400 if it is not JSON, or contains text that cannot be stored or sent */
export function parseBody(text: string): unknown {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    // the parser's message would quote the body
    throw new HttpProblem(400, "the body is not valid JSON");
  }
  const problems = unstorableText(document);
  if (problems.length === 0) return document;
  throw new HttpProblem(400, "the body contains text that cannot be stored or sent", {
    problems: problems.slice(0, 20),
  });
}
