/**
 * `.github`: the workflows call tasks that exist, with pinned actions and minimal permissions, and
 * the forms are valid.
 */
import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import { parseDocument } from "npm:yaml@2.9.1";
import denoJson from "../../deno.json" with { type: "json" };
import { repository } from "../support/cli.ts";

const folder = `${repository}.github/`;

/** The parts of YAML documents that the tests use. */
// deno-lint-ignore no-explicit-any -- of any shape; the tests check it
type Yaml = any;

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}

interface Job {
  readonly "timeout-minutes"?: number;
  readonly permissions?: Readonly<Record<string, string>>;
  readonly needs?: string | readonly string[];
  readonly steps: readonly Step[];
}

async function readYaml(path: string): Promise<{ readonly text: string; readonly data: Yaml }> {
  const text = await Deno.readTextFile(folder + path);
  const document = parseDocument(text);
  deepStrictEqual([...document.errors, ...document.warnings], [], path);
  return { text, data: document.toJS() };
}

async function filesIn(name: string): Promise<readonly string[]> {
  const entries = await Array.fromAsync(Deno.readDir(folder + name));
  return entries.map((entry) => `${name}/${entry.name}`).toSorted();
}

const workflows = await Promise.all((await filesIn("workflows")).map(async (path) => {
  const { text, data } = await readYaml(path);
  return { path, text, data, jobs: Object.entries(data.jobs as Record<string, Job>) };
}));

Deno.test("there are workflows for changes, versions, releases and vulnerabilities", () => {
  const names = workflows.map(({ path }) => path.replace(/^.*\/|\.yml$/g, ""));
  for (const name of ["audit", "ci", "codeql", "matrix", "nightly", "release"]) {
    ok(names.includes(name), name);
  }
});

Deno.test("every action is pinned by hash, the same everywhere, with its version as a comment", () => {
  const pins = new Map<string, string>();
  for (const { path, text } of workflows) {
    const uses = text.match(/^.*\buses:.*$/gm) ?? [];
    ok(uses.length > 0, path);
    for (const line of uses) {
      match(line, /^ +(- )?uses: [\w-]+\/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/, path);
      const [, name = "", pin = ""] = /uses: ([\w-]+\/[\w-]+)[^@]*@(.*)$/.exec(line)!;
      strictEqual(pins.get(name) ?? pin, pin, `${path}: ${name} has several versions`);
      pins.set(name, pin);
    }
  }
});

Deno.test("every task of the workflows exists in deno.json", () => {
  for (const { path, jobs } of workflows) {
    for (const [, { steps }] of jobs) {
      for (const { run = "" } of steps) {
        for (const [, task = ""] of run.matchAll(/deno task (?:-\S+ )*(\S+)/g)) {
          ok(task in denoJson.tasks, `${path}: deno task ${task}`);
        }
      }
    }
  }
});

/** The permissions of each job that has more than reading the repository. */
const granted: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "codeql analyze": { contents: "read", "security-events": "write" },
  "docs deploy": { pages: "write", "id-token": "write" },
  "release build": { contents: "read", "id-token": "write", attestations: "write" },
  "release jsr": { contents: "read", "id-token": "write" },
  "release image": {
    contents: "read",
    packages: "write",
    "id-token": "write",
    attestations: "write",
  },
  "release publish": { contents: "write" },
};

Deno.test("jobs have only the permissions that they need, and no credentials in the checkout", () => {
  for (const { path, text, data, jobs } of workflows) {
    deepStrictEqual(data.permissions, { contents: "read" }, path);
    doesNotMatch(text, /pull_request_target|workflow_run/, path);
    doesNotMatch(text, /\bsecrets\./, `${path}: tokens come from the workflow itself`);
    const workflow = path.replace(/^.*\/|\.yml$/g, "");
    for (const [name, { permissions, steps, ...job }] of jobs) {
      deepStrictEqual(permissions, granted[`${workflow} ${name}`], `${path}: ${name}`);
      ok((job["timeout-minutes"] ?? 0) > 0, `${path}: ${name} has no timeout`);
      for (const { uses = "", run = "", with: input } of steps) {
        if (uses.startsWith("actions/checkout@")) {
          strictEqual(input?.["persist-credentials"], false, `${path}: ${name}`);
        }
        // text of others in a script would be run: it belongs in variables
        for (const [expression] of run.matchAll(/\$\{\{.*?\}\}/g)) {
          match(expression, /^\$\{\{ matrix\./, `${path}: ${name}`);
        }
      }
    }
  }
});

Deno.test("the tests run on every platform of a release", () => {
  const { jobs } = workflows.find(({ path }) => path.endsWith("/ci.yml"))!;
  const test = jobs.find(([name]) => name === "test")![1] as Yaml;
  deepStrictEqual(
    test.strategy.matrix.include.map(({ platform }: { platform: string }) => platform),
    ["Linux x64", "Linux arm64", "macOS arm64", "macOS x64", "Windows x64"],
  );
});

Deno.test("a release is published only after everything else succeeded", () => {
  const { jobs } = workflows.find(({ path }) => path.endsWith("/release.yml"))!;
  const needs = Object.fromEntries(jobs.map(([name, job]) => [name, job.needs]));
  deepStrictEqual(needs, {
    build: undefined,
    jsr: "build",
    image: "build",
    publish: ["build", "jsr", "image"],
  });
  const runs = jobs.flatMap(([, { steps }]) => steps.flatMap(({ run }) => run ?? []));
  match(runs.join("\n"), /deno task release --check-tag "\$GITHUB_REF_NAME"/);
  match(runs.join("\n"), /deno task test\n/);
});

Deno.test("issue forms have a name, a description, and fields with distinct ids", async () => {
  const kinds = ["markdown", "input", "textarea", "dropdown", "checkboxes"];
  for (const path of await filesIn("ISSUE_TEMPLATE")) {
    const { data } = await readYaml(path);
    if (path.endsWith("/config.yml")) {
      strictEqual(data.blank_issues_enabled, false);
      continue;
    }
    ok(data.name && data.description && data.body.length > 1, path);
    const ids = data.body.flatMap(({ id }: { id?: string }) => id ?? []);
    strictEqual(new Set(ids).size, ids.length, path);
    for (const { type, attributes, id } of data.body) {
      ok(kinds.includes(type), `${path}: ${type}`);
      if (type === "markdown") ok(attributes.value, path);
      else ok(id && attributes.label, path);
      if (type === "dropdown" || type === "checkboxes") ok(attributes.options.length > 0, path);
    }
  }
});

Deno.test("every path of CODEOWNERS exists, and has an owner", async () => {
  const lines = (await Deno.readTextFile(`${folder}CODEOWNERS`)).split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  for (const line of lines) {
    const [path = "", ...owners] = line.split(/\s+/);
    ok(owners.length > 0 && owners.every((owner) => /^@[\w-]+(\/[\w-]+)?$/.test(owner)), line);
    if (path !== "*") await Deno.stat(repository + path);
  }
});

Deno.test("dependabot updates the actions and the image", async () => {
  const { data } = await readYaml("dependabot.yml");
  deepStrictEqual(
    data.updates.map((each: Yaml) => [each["package-ecosystem"], each.directory]),
    [["github-actions", "/"], ["docker", "/deploy"]],
  );
});
