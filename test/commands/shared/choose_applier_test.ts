import { deepStrictEqual, doesNotMatch, match, strictEqual } from "node:assert/strict";
import {
  chooseApplier,
  describeApplierChoice,
  sameAsExisting,
} from "../../../lib/commands/shared/choose_applier.ts";
import {
  completeValidateOptions,
  defaultApplySettings,
} from "../../../lib/commands/shared/complete_options.ts";
import type { ApplySettings } from "../../../lib/commands/shared/run.ts";
import { executeValidate } from "../../../lib/commands/validate/validate.ts";
import { openSession } from "../../../lib/postgres/internal.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { withDatabase } from "../../support/databases.ts";
import { endpointOf } from "../../support/init.ts";
import { exec } from "../../support/sql.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(17);
const newer = await sharedCluster(18);

/** A role of the target that may set `session_replication_role` if asked to. */
async function withRole(
  grants: readonly string[],
  work: (role: string) => Promise<void>,
): Promise<void> {
  const role = `role_${crypto.randomUUID().slice(0, 8)}`;
  await exec(target.url(), `CREATE ROLE ${role} LOGIN CREATEDB`);
  try {
    for (const grant of grants) await exec(target.url(), `${grant} TO ${role}`);
    await work(role);
  } finally {
    await exec(target.url(), `DROP OWNED BY ${role}; DROP ROLE ${role}`);
  }
}

const maySetReplica = "GRANT SET ON PARAMETER session_replication_role";

async function choose(role: string | undefined, settings: Partial<ApplySettings> = {}) {
  const url = target.url(role === undefined ? {} : { user: role });
  await using session = await openSession(await endpointOf(url, "target"));
  const sourceFromTarget = settings.sourceFromTarget ?? await endpointOf(source.url(), "source");
  return await chooseApplier({
    target: session,
    access: { sourceFromTarget, passfile: settings.passfile },
    settings: { ...defaultApplySettings, ...settings },
    databases: 1,
  });
}

const gone = "postgresql://postgres@127.0.0.1:1/postgres";

Deno.test("a target that reaches the source, with a role that may subscribe, subscribes", async () => {
  deepStrictEqual(await choose(undefined), { kind: "subscription", reasons: [], isTested: true });
  deepStrictEqual(await choose(undefined, { applyFrom: "target" }), {
    ...{ kind: "subscription", reasons: [], isTested: false },
  });
});

Deno.test("this tool applies the changes if the role may not subscribe, and the reason is given", async () => {
  await withRole([maySetReplica], async (role) => {
    const choice = await choose(role);
    deepStrictEqual(choice, {
      ...{ kind: "client", reasons: [`${role} may not create subscriptions`], isTested: false },
    });
    match(
      describeApplierChoice(choice),
      /this tool applies the changes, so sync must keep running/,
    );
  });
});

Deno.test("this tool applies the changes if the target cannot reach the source", async () => {
  await using session = await openSession(await endpointOf(target.url(), "target"));
  const { kind, reasons } = await chooseApplier({
    target: session,
    access: { sourceFromTarget: await endpointOf(gone, "source"), passfile: undefined },
    settings: defaultApplySettings,
    databases: 1,
  });
  strictEqual(kind, "client");
  match(reasons.join(), /target's server cannot reach the source at .*127\.0\.0\.1:1.*refused/s);
});

Deno.test("who says how the target reaches the source wants a subscription", async () => {
  const sourceFromTarget = await endpointOf(gone, "source");
  strictEqual((await choose(undefined, { sourceFromTarget })).kind, "subscription");
  strictEqual((await choose(undefined, { passfile: "/x" })).kind, "subscription");
});

Deno.test("too few workers for all databases are a reason", async () => {
  await using session = await openSession(await endpointOf(target.url(), "target"));
  const { kind, reasons } = await chooseApplier({
    target: session,
    access: { sourceFromTarget: await endpointOf(source.url(), "source"), passfile: undefined },
    settings: defaultApplySettings,
    databases: 100_000,
  });
  strictEqual(kind, "client");
  match(reasons.join("; "), /max_logical_replication_workers is \d+, sync needs at least 100000/);
});

Deno.test("from 18 on, origins have a limit of their own", async () => {
  await using session = await openSession(await endpointOf(newer.url(), "target"));
  const { reasons } = await chooseApplier({
    target: session,
    access: { sourceFromTarget: await endpointOf(source.url(), "source"), passfile: undefined },
    settings: defaultApplySettings,
    databases: 1_000,
  });
  match(reasons.join("; "), /max_active_replication_origins is \d+, sync needs at least 1000/);
  doesNotMatch(reasons.join("; "), /max_replication_slots/);
});

Deno.test("a role without any privilege is enough for this tool, which then disables triggers itself", async () => {
  await withRole([], async (role) => {
    deepStrictEqual(await choose(role), {
      ...{ kind: "client", reasons: [`${role} may not create subscriptions`], isTested: false },
    });
    deepStrictEqual(await choose(role, { applyFrom: "here" }), {
      ...{ kind: "client", reasons: [], isTested: false },
    });
  });
});

Deno.test("validate --for-sync requires of the target only what --apply-from needs", async () => {
  await withDatabase(source, undefined, async ({ name, url }) => {
    await exec(url, "CREATE TABLE t (id int PRIMARY KEY)");
    const failed = async (role: string, applyFrom: ApplySettings["applyFrom"]) => {
      const { checks } = await executeValidate(
        completeValidateOptions({
          source: await endpointOf(url, "source"),
          target: await endpointOf(target.url({ user: role }), "target"),
          databases: { include: [name], exclude: [], map: {} },
          tools: { dump: "embedded", binDirectory: undefined, environment: {} },
          forSync: true,
          apply: { ...defaultApplySettings, applyFrom },
        }),
        { events: () => {}, signal: new AbortController().signal },
      );
      const applying = checks.find(({ id }) => id === "apply-from");
      return {
        failed: checks.filter(({ id, status }) =>
          status === "fail" && (id === "apply-from" || id === "subscription-privilege")
        ).map(({ id }) => id),
        applying: applying?.finding,
      };
    };
    await withRole([maySetReplica], async (role) => {
      deepStrictEqual(await failed(role, "target"), {
        ...{ failed: ["subscription-privilege"], applying: undefined },
      });
      deepStrictEqual(await failed(role, "here"), {
        ...{ failed: [], applying: "this tool applies the changes, so sync must keep running" },
      });
      deepStrictEqual(await failed(role, "auto"), {
        failed: [],
        applying:
          `this tool applies the changes, so sync must keep running: ${role} may not create subscriptions`,
      });
    });
    await withRole([], async (role) => {
      deepStrictEqual((await failed(role, "auto")).failed, []);
    });
  });
});

Deno.test("a further stream has the same applier as existing ones, and another request is refused", () => {
  const client = [{ name: "seren_1", kind: "client" as const }];
  strictEqual(sameAsExisting([], { applyFrom: "here" }), undefined);
  strictEqual(sameAsExisting(client, { applyFrom: "auto" }), "client");
  strictEqual(sameAsExisting(client, { applyFrom: "here" }), "client");
  match(
    (() => {
      try {
        sameAsExisting(client, { applyFrom: "target" });
        return "";
      } catch (error) {
        return String(error);
      }
    })(),
    /--apply-from target: the changes of the stream seren_1 are applied by this tool/,
  );
});
