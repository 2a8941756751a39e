import { rejects, strictEqual } from "node:assert/strict";
import {
  explainUnknownHost,
  UnknownHostError,
} from "../../../lib/postgres/connect/unknown_host.ts";

const host = "old.example.com";
const failure = new Error("failed to lookup address information");

Deno.test("a host that the resolver does not know is distinguished from a resolver that does not answer", async () => {
  const { signal } = new AbortController();
  const explain = (code: string) =>
    explainUnknownHost(failure, {
      host,
      signal,
      find: () => Promise.reject(Object.assign(new Error(code), { code })),
    });
  strictEqual(await explain("ENOTFOUND") instanceof UnknownHostError, true);
  strictEqual(await explain("EAI_AGAIN"), failure);
});

Deno.test("the resolver's second answer is not awaited once the signal has aborted", async () => {
  const controller = new AbortController();
  const reason = new Error("the time is over");
  const explained = explainUnknownHost(failure, {
    host,
    signal: controller.signal,
    find: () => new Promise(() => {}),
  });
  controller.abort(reason);
  await rejects(explained, reason);
});
