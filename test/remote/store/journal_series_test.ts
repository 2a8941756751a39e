import { notDeepStrictEqual, strictEqual } from "node:assert/strict";
import type { ThrottleSubject } from "../../../lib/core/internal.ts";
import { seriesOf } from "../../../lib/remote/store/journal_series.ts";

Deno.test("seriesOf() separates throttling events by subject, so that one subject does not replace another", () => {
  const place = (about: ThrottleSubject, database = "app") =>
    seriesOf({ kind: "run", event: { kind: "governor", database, about, message: "" } });
  strictEqual(place("speed").series, place("speed").series);
  strictEqual(place("speed").sample, true);
  notDeepStrictEqual(place("speed").series, place("locks").series);
  notDeepStrictEqual(place("locks").series, place("locks", "other").series);
});
