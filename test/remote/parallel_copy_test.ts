/**
 * Claims of parts when responses of the service's database are lost: every claimed part is copied.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { openSession, resolveEndpoint } from "../../lib/postgres/internal.ts";
import { claimNext } from "../../lib/remote/parallel_copy/offer.ts";
import {
  coordinatorName,
  isOffered,
  joinCopy,
  offerCopy,
  offerParts,
  type StoreDatabase,
} from "../../lib/remote/store/mod.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withDatabase } from "../support/databases.ts";
import { jobSpec, openTestService, serviceTemplate } from "../support/service.ts";
import { query } from "../support/sql.ts";

const cluster = await sharedCluster(16);
const template = await serviceTemplate(cluster);
const count = 12;

Deno.test("parts claimed by a lost response go to the participant that claimed them, once each", async () => {
  await withDatabase(cluster, template, async ({ url }) => {
    await using service = await openTestService(url);
    const alice = await service.key("alice");
    const response = await alice.request("/v1/jobs", { json: jobSpec() });
    const { id: jobId } = await response.json();
    await query(url, "UPDATE seren_remote.jobs SET state = 'running', attempt = 1");
    await using session = await openSession(await resolveEndpoint(url, { side: "target" }));
    const copyId = crypto.randomUUID();
    strictEqual(await isOffered(session, copyId), false);
    const offer = { copyId, jobId, attempt: 1, ciphertext: "…", worker: "one" };
    strictEqual(await offerCopy(session, offer), true);
    strictEqual(await isOffered(session, copyId), true);
    const parts = Array.from({ length: count }, (_, number) => ({
      number,
      bytes: number < 4 ? 5 * 1024 ** 2 : 1024, // the large ones are claimed one by one
      ciphertext: `part ${number}`,
    }));
    await offerParts(session, copyId, parts);

    /** Runs everything twice, as if the first response had been lost. */
    const lossy: StoreDatabase = {
      async use(work) {
        await work(session);
        return await work(session);
      },
    };
    const participant = crypto.randomUUID();
    const join = () => joinCopy(session, { copyId, participant, worker: "two" });
    deepStrictEqual([await join(), await join()], [1, 1]);

    const given = { coordinator: new Set<number>(), helper: new Set<number>() };
    const claimedNumbers: number[] = [];
    for (let turn = 0;; turn++) {
      ok(turn <= count);
      const [name, known] = turn % 2 === 0
        ? [coordinatorName, given.coordinator]
        : [participant, given.helper];
      const claimed = await claimNext(lossy, { copyId, participant: name, given: known });
      if (claimed.length === 0) break;
      for (const { number, ciphertext } of claimed) strictEqual(ciphertext, `part ${number}`);
      claimedNumbers.push(...claimed.map(({ number }) => number));
    }
    deepStrictEqual(claimedNumbers.toSorted((a, b) => a - b), parts.map(({ number }) => number));
    deepStrictEqual(
      await query(
        url,
        "SELECT number FROM seren_remote.copy_parts WHERE member IS NULL",
      ),
      [],
    );
  });
});
