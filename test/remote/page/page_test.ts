import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { Browser, Page } from "npm:playwright-core@1.65.1";
import { jobRunners } from "../../../lib/commands/job_runners/job_runners.ts";
import type { EventSink } from "../../../lib/core/internal.ts";
import { ReplicatorError } from "../../../lib/core/internal.ts";
import { addPage } from "../../../lib/remote/page/mod.ts";
import type { JobRunners } from "../../../lib/remote/worker/mod.ts";
import {
  accessibilityProblems,
  complaints,
  findChromium,
  openBrowser,
} from "../../support/browser.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { createTemplate, dropDatabase, withDatabase } from "../../support/databases.ts";
import {
  jobSpec,
  openTestService,
  serviceTemplate,
  startTestWorker,
  type TestKey,
  type TestService,
} from "../../support/service.ts";
import { query, withSession } from "../../support/sql.ts";

const cluster = await sharedCluster(16);
const target = await sharedCluster(17);
const template = await serviceTemplate(cluster);
const chromium = await findChromium();
const needsBrowser = {
  ignore: chromium === undefined,
  // playwright's child process and pipes live as long as the browser, which is closed
  sanitizeOps: false,
  sanitizeResources: false,
};
const where = chromium === undefined ? " (skipped: no Chromium is installed)" : "";

async function withService(use: (service: TestService) => Promise<void>): Promise<void> {
  await withDatabase(cluster, template, async ({ url }) => {
    await using service = await openTestService(url, { extend: addPage });
    await use(service);
  });
}

async function withPage(
  use: (page: Page, complained: string[], browser: Browser) => Promise<void>,
): Promise<void> {
  const browser = await openBrowser(chromium!);
  try {
    const page = await browser.newPage({ colorScheme: "light" });
    page.setDefaultTimeout(20_000);
    await use(page, complaints(page), browser);
  } finally {
    await browser.close();
  }
}

async function signIn(page: Page, { service }: TestService, key: TestKey): Promise<void> {
  await page.goto(service.url);
  await page.getByLabel("API key").fill(key.key);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Jobs" }).waitFor();
}

async function submit(key: TestKey, change: Record<string, unknown>): Promise<string> {
  const response = await key.request("/v1/jobs", { json: jobSpec(change) });
  const body = await response.json();
  strictEqual(response.status, 201, JSON.stringify(body));
  return body.id;
}

/** Checks the view in both themes, and at the width of a phone. */
async function looksRight(page: Page): Promise<void> {
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    deepStrictEqual(await accessibilityProblems(page), [], `${page.url()} ${colorScheme}`);
  }
  await page.setViewportSize({ width: 360, height: 740 });
  const width = await page.evaluate("document.documentElement.scrollWidth");
  strictEqual(width, 360, `${page.url()} has to be scrolled sideways`);
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.emulateMedia({ colorScheme: "light" });
}

const badName = `<img src=x onerror="document.title='pwned'">`;

/** A source with a table whose copy pauses while a lock is held. */
async function withGatedSource(
  use: (source: { readonly spec: Record<string, unknown>; open(): Promise<void> }) => Promise<void>,
): Promise<void> {
  const quoted = `"${badName.replaceAll('"', '""')}"`;
  await createTemplate(
    cluster,
    badName,
    `CREATE FUNCTION public.gate(n integer) RETURNS boolean LANGUAGE plpgsql AS $$
     BEGIN
       IF n = 30000 THEN PERFORM pg_advisory_xact_lock_shared(7); END IF;
       RETURN true;
     END $$;
     CREATE TABLE public.${quoted} (id integer PRIMARY KEY);
     INSERT INTO public.${quoted} VALUES (1), (2), (3);
     CREATE TABLE public.gated AS
       SELECT id, repeat('x', 300) AS filler FROM generate_series(1, 60000) AS id;
     ALTER TABLE public.gated ADD PRIMARY KEY (id);`,
  );
  const { promise: opened, resolve: open } = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const holding = withSession(cluster.url({ database: badName }), async (session) => {
    await session.unsafe("SELECT pg_advisory_lock(7)").simple();
    held.resolve();
    await opened;
  });
  try {
    await held.promise;
    await use({
      spec: {
        command: "init",
        // encodeURIComponent does not encode these, and the service rejects them
        source_url: cluster.url({ database: badName }).replaceAll(
          /[!'()*]/g,
          (found) => `%${found.charCodeAt(0).toString(16)}`,
        ),
        target_url: target.url(),
        filters: { include_databases: [quoted] },
        rules: { table_filters: [{ table: "public.gated", where: "public.gate(id)" }] },
        options: { jobs: 2 },
      },
      async open() {
        open();
        await holding;
      },
    });
  } finally {
    open();
    await holding;
    await dropDatabase(cluster, badName);
    await dropDatabase(target, badName);
  }
}

const realRunners = (): JobRunners =>
  jobRunners({
    jobs: 2,
    splitBytes: 1024 ** 3,
    maxDiffs: 10,
    slotTimeoutMs: 10_000,
    now: () => new Date(),
  });

Deno.test("the page and its files have a strict content security policy, and are cached by content", async () => {
  await withService(async ({ service }) => {
    const page = await fetch(service.url);
    const html = await page.text();
    const policy = page.headers.get("content-security-policy") ?? "";
    match(policy, /^default-src 'none'; /);
    match(policy, /frame-ancestors 'none'/);
    ok(!/unsafe|https?:|\*/.test(policy), policy);
    deepStrictEqual(
      ["x-content-type-options", "referrer-policy", "cache-control", "content-type"]
        .map((name) => page.headers.get(name)),
      ["nosniff", "no-referrer", "no-cache", "text/html; charset=utf-8"],
    );
    ok(
      !/<script(?![^>]* src=)|<style|\son\w+=|\sstyle=/.test(html),
      "there is inline code or style",
    );
    const tag = page.headers.get("etag")!;
    const again = await fetch(service.url, { headers: { "if-none-match": tag } });
    strictEqual(again.status, 304);
    strictEqual(await again.text(), "");
    const files = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path!);
    strictEqual(files.length, 3);
    for (const path of files) {
      match(path, /^\/assets\/\w+\.[0-9a-f]{12}\.\w+$/);
      const file = await fetch(`${service.url}${path}`);
      strictEqual(file.status, 200);
      strictEqual(file.headers.get("cache-control"), "public, max-age=31536000, immutable");
      strictEqual(file.headers.get("content-encoding"), "gzip");
      ok((await file.text()).length > 100);
    }
    const plain = await fetch(`${service.url}${files[1]}`, {
      headers: { "accept-encoding": "identity" },
    });
    strictEqual(plain.headers.get("content-encoding"), null);
    match(await plain.text(), /Leon Sorokin/); // uPlot's license is included
    const missing = await fetch(`${service.url}/assets/app.000000000000.js`);
    await missing.body?.cancel();
    strictEqual(missing.status, 404);
  });
});

Deno.test(
  `the page shows a running copy, survives a restart of the service, and treats names as text${where}`,
  needsBrowser,
  async () => {
    await withService(async (service) => {
      await using _worker = await startTestWorker(service, realRunners());
      const alice = await service.key("alice");
      await withGatedSource(async ({ spec, open }) => {
        await withPage(async (page, complained) => {
          const addresses: string[] = [];
          page.on("request", (request) => addresses.push(request.url()));
          await signIn(page, service, alice);
          await page.getByText("No jobs yet.").waitFor();
          await looksRight(page);
          const id = await submit(alice, spec);
          await page.getByText("1 of 2 tables").waitFor(); // the gated one is paused
          await page.getByText(badName).waitFor();
          await looksRight(page);
          await page.getByRole("link", { name: /Running/ }).filter({ hasText: "init" }).click();
          const tables = page.getByRole("table", { name: "Tables" });
          await tables.getByRole("row", { name: "gated" }).getByText(/^\d\d?%$/).waitFor();
          await tables.getByRole("row", { name: badName }).getByText("done").waitFor();
          await page.getByRole("img", { name: /^Throughput over time/ }).waitFor();
          ok(await page.evaluate(drawnPixels) as number > 50, "the chart is empty");
          const log = page.getByRole("log");
          await log.getByText(/3 rows/).waitFor();
          await looksRight(page);
          // scrolling up stops following; a button resumes it
          const follow = page.getByRole("button", { name: "Follow" });
          strictEqual(await follow.getAttribute("aria-pressed"), "true");

          const port = Number(new URL(service.service.url).port);
          await service.service[Symbol.asyncDispose]();
          await page.getByText(/The service is not responding since \d\d:\d\d:\d\d/).waitFor();
          await looksRight(page);
          await using _again = await service.another(port);
          await page.getByText("The service is not responding").waitFor({ state: "hidden" });
          await open();
          await page.getByText("Succeeded", { exact: true }).waitFor();
          await page.getByText("100% · 2 of 2 tables · 60,003 rows").waitFor();
          await log.getByText(/60,000 rows/).waitFor();
          await looksRight(page);
          await page.getByText("Report").click();
          await looksRight(page);
          strictEqual(page.url(), `${service.service.url}/#/jobs/${id}`);
          match(await page.title(), /^Job /); // no name was executed as code
          const secret = alice.key.split("_")[2]!;
          ok(!addresses.some((address) => address.includes(secret)), "the key is in an address");
          strictEqual(await page.evaluate("JSON.stringify({ ...localStorage })"), "{}");
          // the browser itself reports failed connections, and that a service that is starting is
          // not ready
          deepStrictEqual(
            complained.filter((text) =>
              !/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE|ERR_CONNECTION_RESET|status of 503/.test(text)
            ),
            [],
          );
          await page.reload(); // the tab still has the key
          await page.getByText("Succeeded", { exact: true }).waitFor();
        });
        const [{ count }] = await query<{ count: string }>(
          target.url({ database: badName }),
          "SELECT count(*) FROM public.gated",
        ) as [{ count: string }];
        strictEqual(Number(count), 60_000);
      });
    });
  },
);

/** How many pixels of the first chart are not empty. */
const drawnPixels = `(() => {
  const canvas = document.querySelector(".plot canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let drawn = 0;
  for (let at = 3; at < data.length; at += 4) if (data[at] > 0) drawn++;
  return drawn;
})()`;

Deno.test(`keyboard only: sign in, find a job, cancel it${where}`, needsBrowser, async () => {
  await withService(async (service) => {
    await using _worker = await startTestWorker(service, realRunners());
    const alice = await service.key("alice");
    await withGatedSource(async ({ spec }) => {
      const id = await submit(alice, spec);
      await withPage(async (page, complained) => {
        const focused = () =>
          page.evaluate(
            "(document.activeElement.textContent || document.activeElement.id).trim()",
          ) as Promise<string>;
        await page.goto(service.service.url);
        await page.getByLabel("API key").waitFor();
        await page.locator("#key:focus").waitFor();
        // may contain ? and t, which must not act as shortcuts in fields
        await page.keyboard.type(alice.key);
        await page.keyboard.press("Enter");
        await page.getByText("1 of 2 tables").waitFor();
        strictEqual(await focused(), "Jobs");
        await page.keyboard.press("?");
        await page.getByRole("dialog").waitFor();
        await looksRight(page);
        await page.keyboard.press("Escape");
        await page.keyboard.press("/");
        strictEqual(await focused(), "All");
        await page.keyboard.press("j");
        match(await focused(), /Running.*init/);
        await page.keyboard.press("Enter");
        await page.getByRole("button", { name: "Cancel job" }).waitFor();
        strictEqual(page.url(), `${service.service.url}/#/jobs/${id}`);
        await page.keyboard.press("c");
        await page.getByRole("alertdialog").waitFor();
        await looksRight(page);
        strictEqual(await focused(), "Keep it"); // Enter by mistake ends nothing
        await page.keyboard.press("Enter");
        await page.getByRole("alertdialog").waitFor({ state: "detached" });
        const before = await (await alice.request(`/v1/jobs/${id}`)).json();
        deepStrictEqual([before.state, before.cancel_requested_at], ["running", null]);
        await page.keyboard.press("c");
        await page.keyboard.press("Tab");
        strictEqual(await focused(), "Cancel job");
        await page.keyboard.press("Enter");
        await page.getByRole("heading", { name: "Cancelled" }).waitFor();
        await looksRight(page);
        await page.keyboard.press("t");
        strictEqual(await page.evaluate("document.documentElement.dataset.theme"), "light");
        await page.keyboard.press("Escape");
        await page.getByRole("heading", { name: "Jobs" }).waitFor();
        // the first stop of the Tab key skips the page's header
        await page.keyboard.press("Shift+Tab");
        await page.evaluate("document.activeElement.blur()");
        await page.getByText("Skip to the content").focus();
        await page.keyboard.press("Enter");
        strictEqual(await page.evaluate("document.activeElement.id"), "main");
        deepStrictEqual(complained, []);
      });
    });
  });
});

Deno.test(
  `wrong keys, missing scopes, failures and thousands of tables${where}`,
  needsBrowser,
  async () => {
    await withService(async (service) => {
      const { promise: events, resolve } = Promise.withResolvers<EventSink>();
      await using _worker = await startTestWorker(service, {
        validate: () =>
          Promise.reject(
            new ReplicatorError("the role may not read a table", {
              exitCode: 2,
              side: "source",
              object: "shop.public.orders",
              details: ["SELECT is missing", "  → ask its owner", "it has 3 rows"],
              remedy: "GRANT SELECT ON orders TO copier",
            }),
          ),
        init: (_, context) =>
          new Promise((_, reject) => {
            context.signal.addEventListener("abort", () => reject(context.signal.reason));
            resolve(context.events);
          }),
      });
      const alice = await service.key("alice");
      const reader = await service.key("alice", { scopes: ["jobs:read"] });
      const meter = await service.key("meter", { scopes: ["metrics:read"] });
      await withPage(async (page) => {
        await page.goto(`${service.service.url}/#/jobs`);
        const field = page.getByLabel("API key");
        const attempts = [
          ["nonsense", /unknown, expired or revoked/],
          ["schlüssel", /letters, digits/],
          [`srk_000000000000_${"A".repeat(43)}`, /unknown, expired or revoked/],
          [meter.key, /lacks the scope jobs:read.*administrator/],
        ] as const;
        for (const [key, answer] of attempts) {
          await field.fill(key);
          await page.keyboard.press("Enter");
          await page.getByRole("alert").getByText(answer).waitFor();
          strictEqual(await page.evaluate("sessionStorage.length"), 0);
        }
        await looksRight(page);

        const failed = await submit(alice, {});
        const huge = await submit(alice, { command: "init" });
        await signIn(page, service, reader);
        await page.getByText("the role may not read a table").waitFor();
        await page.goto(`${service.service.url}/#/jobs/${failed}`);
        await page.getByText("What to do: GRANT SELECT ON orders TO copier.").waitFor();
        await page.getByText("source: shop.public.orders").waitFor();
        deepStrictEqual(await page.locator(".notice li").allInnerTexts(), [
          "SELECT is missing\n→ ask its owner",
          "it has 3 rows",
        ]);
        await looksRight(page);

        await page.goto(`${service.service.url}/#/jobs?state=timed_out`);
        await page.getByText("No job is timed out.").waitFor();

        await page.goto(`${service.service.url}/#/jobs/${huge}`);
        const emit = await events;
        const database = "shop";
        emit({ kind: "database-planned", database, tables: 2000, bytes: 2000 * 1024 });
        for (let index = 0; index < 2000; index++) {
          const table = `public.t${index}`;
          emit({ kind: "table-started", database, table, bytes: 1024 });
          if (index < 1999) {
            emit({ kind: "table-finished", database, table, rows: 1, bytes: 1024, ms: 1 });
          }
        }
        for (let bytes = 9; bytes > 6; bytes--) {
          for (const name of ["shop", "crm"]) {
            emit({
              kind: "replication-lag",
              database: name,
              subscription: "s",
              bytes: bytes << 20,
            });
          }
        }
        const tables = page.getByRole("table", { name: "Tables" });
        await page.getByText("1,999 of 2,000 tables done").waitFor();
        for (const [bytes, shown] of [[256, "25%"], [512, "50%"]] as const) {
          emit({ kind: "table-progress", database, table: "public.t1999", bytes });
          await tables.getByRole("row", { name: "t1999" }).getByText(shown).waitFor();
        }
        strictEqual(await tables.getAttribute("aria-rowcount"), "2001");
        // running tables come first
        await tables.getByText("public.t1999", { exact: true }).waitFor();
        ok(await tables.getByRole("row").count() < 60, "invisible rows are drawn");
        await tables.focus();
        await page.keyboard.press("End");
        await tables.getByText("public.t0", { exact: true }).waitFor();
        ok(await tables.getByRole("row").count() < 60, "invisible rows are drawn");
        await page.getByLabel("Filter tables by name").fill("t77");
        await page.getByText("11 of 2,000 shown").waitFor();
        // a read-only key cannot cancel, and the page says why
        const cancel = page.getByRole("button", { name: "Cancel job" });
        ok(await cancel.isDisabled());
        match(await cancel.getAttribute("title") ?? "", /jobs:write/);
        await page.getByRole("log").getByText("t1998").waitFor();
        await page.reload(); // after a reload the log shows its tail, and earlier lines on demand
        await page.getByRole("log").getByText("t1998").waitFor();
        strictEqual(await page.getByRole("log").getByText("t1000").count(), 0);
        await page.getByRole("button", { name: "Earlier lines" }).click();
        await page.getByRole("log").getByText("t1000").waitFor();
        strictEqual(
          await page.getByRole("button", { name: "Follow" }).getAttribute("aria-pressed"),
          "false",
        );
        await looksRight(page);

        // the middle of an oversized log is not retained, and the page shows the gap
        await query(
          service.databaseUrl,
          `DELETE FROM seren_remote.job_logs WHERE message LIKE '%public.t190%' AND job_id = '${huge}'`,
        );
        await page.reload();
        await page.getByRole("log").getByText("t1998").waitFor();
        const gap = page.getByRole("log").getByText("10 lines not retained");
        match(await gap.locator("xpath=preceding-sibling::*[1]").innerText(), /t1899/);
        match(await gap.locator("xpath=following-sibling::*[1]").innerText(), /t1910/);

        // another user's job is reported as not found
        await page.goto(`${service.service.url}/#/jobs/${crypto.randomUUID()}`);
        await page.getByRole("heading", { name: "Job not found" }).waitFor();
        // a key that is revoked while in use
        await service.service.pool.use((session) =>
          session.query(
            "UPDATE seren_remote.api_keys SET revoked_at = now() WHERE id = $1::text::uuid",
            [reader.id],
          )
        );
        await page.getByRole("link", { name: "Back to the jobs" }).click();
        await page.getByText(/You were signed out: the API key is unknown, expired or revoked/)
          .waitFor();
        strictEqual(await page.evaluate("sessionStorage.length"), 0);
      });
    });
  },
);
