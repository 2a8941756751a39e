import { notDeepStrictEqual, strictEqual } from "node:assert/strict";
import type { ThrottleSubject } from "../../../lib/core/internal.ts";
import { seriesOf } from "../../../lib/remote/store/journal_series.ts";

Deno.test("seriesOf() keeps what the source bears apart by its subject: who waits is not told by how fast it goes", () => {
  const place = (about: ThrottleSubject, database = "app") =>
    seriesOf({ kind: "run", event: { kind: "governor", database, about, message: "" } });
  strictEqual(place("speed").series, place("speed").series);
  strictEqual(place("speed").sample, true);
  notDeepStrictEqual(place("speed").series, place("locks").series);
  notDeepStrictEqual(place("locks").series, place("locks", "other").series);
});
