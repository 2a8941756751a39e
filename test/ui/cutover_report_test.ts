import { deepStrictEqual, match, ok } from "node:assert/strict";
import fc from "fast-check";
import { type DefaultTreeAdapterTypes, parse } from "npm:parse5@8.1.1";
import {
  type RehearsalView,
  renderRehearsalReport,
  renderSwitchReport,
  renderUnfinishedSwitch,
  type SwitchView,
  type UnfinishedSwitchView,
} from "../../lib/ui/cutover_report.ts";

type Node = DefaultTreeAdapterTypes.Node;
type Element = DefaultTreeAdapterTypes.Element;

/** The page's elements in order. Fails on anything that a strict parser rejects. */
function elementsOf(page: string): readonly Element[] {
  const document = parse(page, {
    onParseError: ({ code, startLine }) => {
      if (code !== "noncharacter-in-input-stream") throw new Error(`${code} in line ${startLine}`);
    },
  });
  const elements: Element[] = [];
  const visit = (node: Node) => {
    if ("tagName" in node) elements.push(node);
    if ("childNodes" in node) node.childNodes.forEach(visit);
  };
  visit(document);
  return elements;
}

/** Elements with the names of their attributes. */
function shapeOf(page: string): readonly string[] {
  return elementsOf(page).map(({ tagName, attrs }) =>
    [tagName, ...attrs.map(({ name }) => name)].join(" ")
  );
}

function serversOf(text: string) {
  const server = { url: text, version: "15.18", encrypted: true, provider: "Amazon RDS" };
  return {
    source: server,
    target: server,
    startedAt: "2026-11-29T12:00:00.000Z",
    finishedAt: "2026-11-29T12:00:04.000Z",
    maxPauseMs: 30_000,
  };
}

/** A report whose every text is the given one. */
function switchOf(text: string): SwitchView {
  return {
    ...serversOf(text),
    direction: "run",
    pauseMs: 480,
    failedAttempts: 2,
    failedAttemptsMs: 700,
    attempts: [{ atMs: 5, ms: 400, blockers: [text, text] }, { atMs: 900, ms: 300, blockers: [] }],
    databases: [{
      database: text,
      evidence: {
        closedAt: "2026-11-29T12:00:03.000Z",
        heldSince: "2026-11-29T12:00:02.520Z",
        tokens: [{ stream: text, id: text, lsn: text, ms: 35 }],
        sequences: 7,
        unchecked: [text],
      },
      compared: { tables: 12, rows: 3_456 },
      waiting: { sessions: 5, longestMs: 470 },
      refusedWrites: 3,
    }, {
      database: text,
      evidence: null,
      compared: null,
      waiting: { sessions: 0, longestMs: 0 },
      refusedWrites: null,
    }],
    steps: [
      { step: "hook-before", atMs: 0, ms: 40, isPause: false, summary: text },
      { step: "barrier", atMs: 40, ms: 20, isPause: true, summary: text },
      { step: "open", atMs: 400, ms: 30, isPause: true, summary: "" },
      { step: "end-sessions", atMs: 430, ms: 30, isPause: false, summary: text },
      { step: "hook-after", atMs: 460, ms: 30, isPause: false, summary: "failed" },
    ],
    warnings: [text],
    unchecked: ["large objects"],
  };
}

function unfinishedOf(text: string): UnfinishedSwitchView {
  const { direction, pauseMs, attempts, databases, steps } = switchOf(text);
  return {
    ...serversOf(text),
    ...{ direction, pauseMs, attempts, databases, steps },
    failedAttempts: 2,
    failedAttemptsMs: 700,
    outcome: "abandoned",
    reason: [text, `  ${text}`],
    warnings: [text],
  };
}

function rehearsalOf(text: string): RehearsalView {
  return {
    ...serversOf(text),
    predictedPauseMs: 400,
    isRefused: false,
    databases: [{
      source: text,
      drain: { p50Ms: 20, p99Ms: 60 },
      sequencesMs: 12,
      reverseMs: 160,
      brownoutMs: null,
      blockers: [text],
      findings: [{ side: "source", message: text, remedy: text }],
    }],
  };
}

const options = { generatedAt: new Date("2026-11-29T12:00:05Z"), toolVersion: "1.2.3" };
const pages: Readonly<Record<string, (text: string) => string>> = {
  "a switch": (text) => renderSwitchReport(switchOf(text), options),
  "an abandoned switch": (text) => renderUnfinishedSwitch(unfinishedOf(text), options),
  "a rehearsal": (text) => renderRehearsalReport(rehearsalOf(text), options),
};

const hostile = [
  `</script><script>alert(1)</script>`,
  `"><img src=x onerror=alert(1)>`,
  `' onload='alert(1)`,
  `<!--`,
  `]]>`,
  `</title></style></svg>`,
  "a\u202eb\u001b[31m",
  "\ud800",
];

for (const [what, render] of Object.entries(pages)) {
  Deno.test(`no text from a server becomes markup in the report of ${what}`, () => {
    const plain = shapeOf(render("plain"));
    const text = fc.oneof(
      fc.constantFrom(...hostile),
      fc.array(fc.constantFrom(..."<>&\"'/-= ab"), { minLength: 1 }).map((all) => all.join("")),
    );
    fc.assert(
      fc.property(text, (each) => deepStrictEqual(shapeOf(render(each)), plain)),
      { numRuns: 60 },
    );
  });

  Deno.test(`the report of ${what} is self-contained, its links lead somewhere and its headings nest`, () => {
    const elements = elementsOf(render("app"));
    const value = (element: Element, name: string) =>
      element.attrs.find((each) => each.name === name)?.value;
    const ids = elements.flatMap((each) => value(each, "id") ?? []);
    deepStrictEqual(ids, [...new Set(ids)]);
    for (const element of elements) {
      for (const { name, value } of element.attrs) {
        if (["src", "href"].includes(name)) ok(ids.includes(value.slice(1)), value);
        ok(!name.startsWith("on") && name !== "style", name);
      }
      for (const id of value(element, "aria-labelledby")?.split(" ") ?? []) {
        ok(ids.includes(id), id);
      }
    }
    match(
      elements.map(({ tagName }) => tagName).filter((tag) => /^h\d$/.test(tag)).join(" "),
      /^h1( h2)+$/,
    );
  });

  Deno.test(`passwords are redacted in the report of ${what}`, () => {
    const page = render("postgresql://me:hunter2@old/app?sslpassword=hunter2");
    // all but names and IDs
    const shown = page.replaceAll(/<bdi>.*?<\/bdi>|<title>.*?<\/title>|<td><code>.*?<\/code>/g, "");
    ok(!shown.includes("hunter2"));
  });
}

Deno.test("the report of a switch has its evidence: tokens, positions, counts, sessions, hooks", () => {
  const page = renderSwitchReport({
    ...switchOf("app"),
    databases: switchOf("app").databases.map((each) => ({
      ...each,
      evidence: each.evidence && {
        ...each.evidence,
        tokens: [{ stream: "seren_1", id: "0b2c", lsn: "16/B374D848", ms: 35 }],
      },
    })),
  }, options);
  for (
    const each of ["480 ms", "16/B374D848", "0b2c", "3,456", "✗ failed", "✓ succeeded", "470 ms"]
  ) {
    ok(page.includes(each), each);
  }
});

Deno.test("the report of an abandoned switch has its reason, its attempts and how long users waited", () => {
  const page = renderUnfinishedSwitch({
    ...unfinishedOf("app"),
    reason: ["the pause would have exceeded --max-pause"],
    attempts: [{ atMs: 5, ms: 400, blockers: ["app: pid 4711 (me, psql): idle in transaction"] }],
  }, options);
  for (
    const each of [
      "✗ Abandoned: nothing was changed, and the source is in use",
      "the pause would have exceeded --max-pause",
      "pid 4711 (me, psql): idle in transaction",
      "writers waited 700 ms in them",
      "the longest for 470 ms",
    ]
  ) {
    ok(page.includes(each), each);
  }
});
