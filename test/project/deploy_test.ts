import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { Deployment } from "npm:kubernetes-models@5.1.0/apps/v1/Deployment";
import { Ingress } from "npm:kubernetes-models@5.1.0/networking.k8s.io/v1/Ingress";
import { Namespace } from "npm:kubernetes-models@5.1.0/v1/Namespace";
import { NetworkPolicy } from "npm:kubernetes-models@5.1.0/networking.k8s.io/v1/NetworkPolicy";
import { PodDisruptionBudget } from "npm:kubernetes-models@5.1.0/policy/v1/PodDisruptionBudget";
import { Secret } from "npm:kubernetes-models@5.1.0/v1/Secret";
import { Service } from "npm:kubernetes-models@5.1.0/v1/Service";
import { parse, parseAllDocuments } from "npm:yaml@2.9.1";
import { repository, runCli } from "../support/cli.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withDatabase } from "../support/databases.ts";
import { openTestService, serviceTemplate } from "../support/service.ts";

const folder = `${repository}deploy`;
const cluster = await sharedCluster(16);
const template = await serviceTemplate(cluster);

/** The parts of a manifest that the tests use. */
// deno-lint-ignore no-explicit-any -- YAML of any shape; the schemas validate it
type Manifest = any;

const models: Readonly<Record<string, new (data: Manifest) => { validate(): void }>> = {
  Deployment,
  Ingress,
  Namespace,
  NetworkPolicy,
  PodDisruptionBudget,
  Secret,
  Service,
};

async function readManifests(): Promise<readonly Manifest[]> {
  const manifests: Manifest[] = [];
  for await (const { name } of Deno.readDir(`${folder}/kubernetes`)) {
    const text = await Deno.readTextFile(`${folder}/kubernetes/${name}`);
    for (const document of parseAllDocuments(text, { merge: true })) {
      deepStrictEqual(document.errors, [], name);
      manifests.push(document.toJS());
    }
  }
  return manifests;
}

/** The flags on a command line, and those listed by its `--help`. */
async function assertFlagsExist(args: readonly string[]): Promise<void> {
  const [command = "", ...flags] = args;
  const { stdout, code } = await runCli([command, "--help"]);
  strictEqual(code, 0);
  for (const flag of flags) {
    const name = /^--[a-z-]+/.exec(flag)?.[0];
    ok(name !== undefined && stdout.includes(`${name} `), `${command} knows no ${flag}`);
  }
}

Deno.test("the Kubernetes manifests conform to the schemas, and are consistent", async () => {
  const manifests = await readManifests();
  for (const manifest of manifests) {
    const Model = models[manifest.kind];
    ok(Model !== undefined, `no schema for ${manifest.kind}`);
    new Model(manifest).validate();
  }
  const secrets = new Set(
    manifests.filter(({ kind }) => kind === "Secret").map(({ metadata }) => metadata.name),
  );
  const deployments = manifests.filter(({ kind }) => kind === "Deployment");
  strictEqual(deployments.length, 3);
  for (const { spec: { selector, template } } of deployments) {
    deepStrictEqual(selector.matchLabels, template.metadata.labels);
    const { containers, initContainers, volumes } = template.spec;
    const names = new Set(volumes.map((volume: Manifest) => volume.name));
    for (const { secret } of volumes) ok(secret === undefined || secrets.has(secret.secretName));
    for (const container of [...containers, ...initContainers]) {
      for (const { name } of container.volumeMounts) ok(names.has(name), `no volume ${name}`);
      strictEqual(container.securityContext.readOnlyRootFilesystem, true);
    }
    for (const { env } of containers) {
      for (const { valueFrom } of env) {
        ok(valueFrom.secretKeyRef === undefined || secrets.has(valueFrom.secretKeyRef.name));
      }
    }
  }
  const [serve] = deployments.filter(({ metadata }) => metadata.name === "serve");
  const [service] = manifests.filter(({ kind }) => kind === "Service");
  deepStrictEqual(service.spec.selector, serve.spec.template.metadata.labels);
  strictEqual(
    service.spec.ports[0].targetPort,
    serve.spec.template.spec.containers[0].ports[0].name,
  );
});

Deno.test("an invalid manifest is rejected", async () => {
  const [deployment] = (await readManifests()).filter(({ kind }) => kind === "Deployment");
  deployment.spec.replicas = "two";
  let message = "";
  try {
    new Deployment(deployment).validate();
  } catch (error) {
    message = String(error);
  }
  match(message, /replicas must be integer/);
});

Deno.test("manifests and units use existing flags, and stop workers only after they have drained", async () => {
  const commandLines: (readonly string[])[] = [];
  for (const { kind, spec } of await readManifests()) {
    if (kind !== "Deployment") continue;
    const { args } = spec.template.spec.containers[0];
    commandLines.push(args);
    const drain = /--drain-timeout=(\d+)min/.exec(args.join(" "))?.[1];
    if (args[0] === "worker") {
      ok(spec.template.spec.terminationGracePeriodSeconds > Number(drain) * 60);
    }
  }
  for (const unit of ["serve", "worker"]) {
    const text = await Deno.readTextFile(`${folder}/ec2/seren-${unit}.service`);
    const [, line = ""] = /^ExecStart=\S+ (.+)$/m.exec(text) ?? [];
    commandLines.push(line.split(" "));
  }
  for (const args of commandLines) await assertFlagsExist(args);
});

Deno.test({
  name: "systemd accepts the units",
  ignore: !await isInstalled("systemd-analyze"),
  fn: async () => {
    const copy = await Deno.makeTempDir();
    for (const unit of ["serve", "worker"]) {
      const text = await Deno.readTextFile(`${folder}/ec2/seren-${unit}.service`);
      const path = `${copy}/seren-${unit}.service`;
      // the executable is not installed here
      const installed = text.replaceAll("/usr/local/bin/postgres-seren-replicator", "/bin/true");
      await Deno.writeTextFile(path, installed);
      const { code, stderr } = await new Deno.Command("systemd-analyze", { args: ["verify", path] })
        .output();
      strictEqual(new TextDecoder().decode(stderr), "");
      strictEqual(code, 0);
    }
    await Deno.remove(copy, { recursive: true });
  },
});

Deno.test("the EC2 user data is cloud-config that starts one of the units", async () => {
  const text = await Deno.readTextFile(`${folder}/ec2/user-data.yaml`);
  match(text, /^#cloud-config\n/);
  const { runcmd, write_files } = parse(text);
  ok(Array.isArray(write_files) && Array.isArray(runcmd));
  for (const command of runcmd) ok(command.every((word: unknown) => typeof word === "string"));
  const started = runcmd.at(-1).at(-1);
  ok((await Deno.stat(`${folder}/ec2/${started}`)).isFile);
});

Deno.test("dashboard and alerts use existing metrics", async () => {
  const names = await withService(async (url, key) => {
    const response = await fetch(`${url}/metrics`, { headers: { "x-api-key": key } });
    const text = await response.text();
    strictEqual(response.status, 200, text);
    return new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name));
  });
  const dashboard = JSON.parse(
    await Deno.readTextFile(`${folder}/monitoring/grafana-dashboard.json`),
  );
  const expressions: string[] = dashboard.panels.flatMap((panel: Manifest) =>
    panel.targets.map((target: Manifest) => target.expr)
  );
  const { groups } = parse(await Deno.readTextFile(`${folder}/monitoring/alerts.yaml`));
  expressions.push(
    ...groups.flatMap(({ rules }: Manifest) => rules.map((rule: Manifest) => rule.expr)),
  );
  ok(expressions.length > 20);
  for (const expression of expressions) {
    const asked = expression.match(/\bseren_\w+/g) ?? [];
    ok(asked.length > 0, expression);
    for (const name of asked) {
      const family = name.replace(/_(bucket|sum|count)$/, "");
      ok(names.has(name) || names.has(family), `${name} is no metric: ${expression}`);
    }
  }
  const ids = dashboard.panels.map((panel: Manifest) => panel.id);
  strictEqual(new Set(ids).size, ids.length);
});

async function withService<Result>(
  use: (url: string, key: string) => Promise<Result>,
): Promise<Result> {
  let result: Result | undefined;
  await withDatabase(cluster, template, async ({ url }) => {
    await using test = await openTestService(url);
    const { key } = await test.key("ops", { scopes: ["metrics:read"] });
    result = await use(test.service.url, key);
  });
  return result as Result;
}

async function isInstalled(program: string): Promise<boolean> {
  try {
    await new Deno.Command(program, { args: ["--version"], stdout: "null" }).output();
    return true;
  } catch {
    return false;
  }
}
