import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { type DefaultTreeAdapterTypes, parse } from "npm:parse5@8.1.1";
import type { WorkKind } from "../../lib/core/internal.ts";
import { renderInitReport } from "../../lib/ui/html_report.ts";
import { inTurn } from "../../lib/ui/html_report/in_turn.ts";
import { pageStyle } from "../../lib/ui/html_report/page_style.ts";
import type { ReportView, WorkView } from "../../lib/ui/html_report/report_view.ts";
import { layoutTimeline } from "../../lib/ui/html_report/timeline_layout.ts";
import { printable } from "../../lib/ui/text.ts";

type Node = DefaultTreeAdapterTypes.Node;
type Element = DefaultTreeAdapterTypes.Element;

/** The page's elements in order. Fails on anything that a strict parser rejects. */
function elementsOf(page: string): readonly Element[] {
  const document = parse(page, {
    onParseError: ({ code, startLine }) => {
      // a name can contain U+FFFE, which every parser keeps
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

function textOf(node: Node): string {
  if ("value" in node) return node.value;
  return "childNodes" in node ? node.childNodes.map(textOf).join("") : "";
}

function attribute(element: Element, name: string): string | undefined {
  return element.attrs.find((each) => each.name === name)?.value;
}

function section(elements: readonly Element[], id: string): Element {
  const found = elements.find((each) => attribute(each, "aria-labelledby") === id);
  ok(found, `no section ${id}`);
  return found;
}

/** The cell texts of a section's table, row by row, without the header. */
function rowsOf(elements: readonly Element[], id: string): readonly (readonly string[])[] {
  const inside = new Set<Node>();
  const visit = (node: Node) => {
    inside.add(node);
    if ("childNodes" in node) node.childNodes.forEach(visit);
  };
  visit(section(elements, id));
  return elements
    .filter((each) => inside.has(each) && each.tagName === "tr")
    .map((row) => row.childNodes.map((cell) => textOf(cell).trim()))
    .slice(1);
}

const server = { url: "postgresql://me@old/app", version: "15.18", encrypted: true } as const;

/** A report that contains the same text everywhere. */
function reportOf(text: string): ReportView {
  return {
    plan: {
      source: { ...server, url: text, version: text, provider: text },
      target: server,
      databases: [{
        source: text,
        target: text,
        action: "drop-and-create",
        willBeLost: text,
        tables: [{
          schema: text,
          name: text,
          bytes: 2048,
          parts: 3,
          format: "text",
          whyText: text,
        }],
        largeObjects: 1,
        bytes: 2048,
      }],
      jobs: 4,
      indexJobs: 2,
      dumpTool: text,
      bytes: 2048,
      predictedMs: 1000,
      warnings: [text],
    },
    databases: [{
      source: text,
      target: text,
      tables: [{ schema: text, name: text, rows: 10, bytes: 1024, ms: 5 }],
      ms: 900,
    }],
    steps: [{ step: text, database: text, startMs: 5, ms: 10, summary: text }, {
      step: "data",
      startMs: 20,
      ms: 500,
    }],
    warnings: [{ message: text, side: "target", object: text, remedy: text }],
    timeline: [{ database: text, work: "copy", lane: 1, label: text, startMs: 100, ms: 50 }],
    governor: [{ database: text, about: "speed", message: text, startMs: 120 }],
    retries: [{ what: text, reason: text, attempt: 1, delayMs: 200, startMs: 130 }],
    failure: text,
    rows: 10,
    bytes: 1024,
    ms: 1500,
  };
}

const options = { generatedAt: new Date("2026-01-24T10:11:12Z"), toolVersion: "1.2.3" };
const render = (report: ReportView) => renderInitReport(report, options);

function work(
  label: string,
  startMs: number,
  ms: number,
  { kind = "copy", lane = 1 }: { readonly kind?: WorkKind; readonly lane?: number } = {},
): WorkView {
  return { database: "shop", work: kind, lane, label, startMs, ms };
}

Deno.test("the page is well-formed, self-contained and labeled for screen readers", () => {
  const page = render(reportOf("shop"));
  const elements = elementsOf(page);
  for (const element of elements) {
    for (const { name, value } of element.attrs) {
      if (["src", "href", "srcset", "action", "data"].includes(name)) match(value, /^#/);
      ok(!name.startsWith("on") && name !== "style", `attribute ${name}`);
    }
  }
  ok(!/@import|url\(/.test(page));
  const ids = elements.flatMap((each) => attribute(each, "id") ?? []);
  strictEqual(new Set(ids).size, ids.length);
  for (const element of elements) {
    const labels = attribute(element, "aria-labelledby")?.split(" ") ?? [];
    const link = attribute(element, "href")?.slice(1);
    for (const id of link === undefined ? labels : [...labels, link]) ok(ids.includes(id), id);
  }
  const headings = elements.map(({ tagName }) => tagName).filter((tag) => /^h\d$/.test(tag));
  strictEqual(headings[0], "h1");
  ok(headings.includes("h3"));
  for (const [index, tag] of headings.entries()) {
    const above = Number(headings[index - 1]?.[1] ?? 0);
    ok(Number(tag[1]) <= above + 1 && (index === 0 || tag !== "h1"), headings.join(" "));
  }
  for (const table of elements.filter(({ tagName }) => tagName === "table")) {
    strictEqual(table.childNodes.find((each) => "tagName" in each)?.nodeName, "caption");
  }
  const charts = elements.filter((each) => attribute(each, "role") === "img");
  strictEqual(charts.length, 1);
  match(textOf(charts[0]!), /Timeline of shop\s+50 ms from start to end\. Copy rows: 1 session/);
});

Deno.test("the page's policy allows only its own style and script", () => {
  const elements = elementsOf(render(reportOf("shop")));
  const policy = elements.map((each) => attribute(each, "content") ?? "")
    .find((each) => each.includes("default-src")) ?? "";
  match(policy, /^default-src 'none';/);
  for (const tag of ["style", "script"]) {
    const found = elements.filter(({ tagName }) => tagName === tag);
    strictEqual(found.length, 1);
    const hash = createHash("sha256").update(textOf(found[0]!)).digest("base64");
    ok(policy.includes(`${tag}-src 'sha256-${hash}'`), `${tag}: ${policy}`);
  }
});

/**
 * Elements with the names of their attributes, except the labels of blocks, which only short texts
 * get.
 */
function shapeOf(page: string): readonly string[] {
  return elementsOf(page)
    .filter((each) => !(each.tagName === "svg" && attribute(each, "x") !== undefined))
    .filter((each) => !attribute(each, "class")?.startsWith("label"))
    .map(({ tagName, attrs }) => [tagName, ...attrs.map(({ name }) => name)].join(" "));
}

const nasty = [
  `</script><script>alert(1)</script>`,
  `"><img src=x onerror=alert(1)>`,
  `' onload='alert(1)`,
  `<!--`,
  `]]>`,
  `&lt;b&gt;`,
  `</title></style></svg>`,
  "日本の表",
  "a\u202eb\u0000\u001b[31m",
  "\ud800",
  "valueOf",
  "__proto__",
];

Deno.test("no text from a server becomes markup", () => {
  const plain = shapeOf(render(reportOf("plain")));
  const text = fc.oneof(
    fc.constantFrom(...nasty),
    fc.string({ unit: "binary", minLength: 1 }),
    fc.array(fc.constantFrom(..."<>&\"'/-= ab"), { minLength: 1 }).map((all) => all.join("")),
    // names cannot contain NUL; lines are separated by <br>
  ).filter((each) => !/[\0\r\n]/.test(each));
  fc.assert(
    fc.property(text, (each) => {
      const page = render(reportOf(each));
      deepStrictEqual(shapeOf(page), plain);
      const [name] = rowsOf(elementsOf(page), "plan").map(([first]) => first);
      strictEqual(name, printable(each).toWellFormed().trim());
    }),
    { numRuns: 40 },
  ); // each run renders and parses a whole page
});

Deno.test("control characters are shown as replacement characters", () => {
  const page = render(reportOf("a\u202eb\u001b[31m"));
  // deno-lint-ignore no-control-regex -- the page must not contain these
  ok(!/[\u202e\u001b]/.test(page));
  ok(page.includes("a\ufffdb\ufffd[31m"));
});

Deno.test("passwords in external text are redacted", () => {
  const secret = "postgresql://me:hunter2@old/app?sslpassword=hunter2";
  const report = reportOf("shop");
  const page = render({
    ...report,
    plan: { ...report.plan, source: { ...server, url: secret }, warnings: [secret] },
    warnings: [{ message: secret, object: secret, remedy: `\n${secret}` }],
  });
  ok(!page.includes("hunter2"));
  const elements = elementsOf(page);
  for (const id of ["summary", "warnings"]) {
    const text = textOf(section(elements, id));
    ok(text.includes("postgresql://me:***@old/app"), text);
  }
});

Deno.test("all tables are listed, largest first, each with its rate", () => {
  const tables = Array.from({ length: 500 }, (_, index) => ({
    schema: "public",
    name: `t${index}`,
    rows: index,
    bytes: index * 1024,
    ms: 100,
  }));
  const report = reportOf("shop");
  const elements = elementsOf(
    render({ ...report, databases: [{ source: "shop", target: "shop", tables, ms: 100 }] }),
  );
  const rows = rowsOf(elements, "tables");
  strictEqual(rows.length, 500);
  deepStrictEqual(rows[0]?.slice(0, 7), ["t499", "499", "", "499 kB", "", "4.87 MB/s", "100 ms"]);
  strictEqual(rows[499]?.[0], "t0");
});

Deno.test("the prediction is compared with the duration excluding the confirmation prompt", () => {
  const summaryOf = (predictedMs: number | undefined, ms: number) => {
    const { plan: { predictedMs: _, ...plan }, failure: __, ...report } = reportOf("shop");
    const page = render({
      ...report,
      plan: { ...plan, ...(predictedMs === undefined ? {} : { predictedMs }) },
      databases: report.databases.map((database) => ({ ...database, ms })),
      ms: 3_600_000,
    });
    return textOf(section(elementsOf(page), "summary")).replace(/\s+/g, " ");
  };
  match(summaryOf(10_000, 12_000), /Time12\.0 s 1 h 00 min .*Predicted10\.0 s took 20 % longer/);
  match(summaryOf(10_000, 8_000), /took 20 % less/);
  match(summaryOf(10_000, 34_000), /took 3\.4 times as long/);
  match(summaryOf(undefined, 34_000), /too little data/);
  const report = reportOf("shop");
  const page = render({
    ...report,
    databases: report.databases.map((database) => ({ ...database, ms: 9_000 })),
    steps: [
      { step: "globals", startMs: 1_000, ms: 5_000 },
      { step: "dump", database: "shop", startMs: 2_000, ms: 3_000 },
    ],
  });
  // the database was begun while roles and settings were copied
  match(textOf(section(elementsOf(page), "summary")), /Time\s*10\.0 s/);
});

Deno.test("each step is shown with its prediction, and a failed one is marked", () => {
  const elements = elementsOf(render({
    ...reportOf("shop"),
    steps: [
      { step: "connect", startMs: 0, ms: 40 },
      { step: "schema", database: "shop", startMs: 50, ms: 1_000, predictedMs: 4_000 },
      { step: "data", database: "shop", startMs: 1_050, ms: 2_000, predictedMs: 500, failed: true },
    ],
  }));
  deepStrictEqual(
    rowsOf(elements, "steps").map((
      [step, began, predicted, took, , outcome],
    ) => [step, began, predicted, took, outcome]),
    [
      ["Connect", "0 ms", "", "40 ms", ""],
      ["Create tables and types", "50 ms", "4.0 s", "1.0 s", ""],
      ["Copy rows", "1.1 s", "500 ms", "2.0 s", "✗ failed"],
    ],
  );
  const marks = elements.filter(({ tagName, parentNode }) =>
    tagName === "line" && parentNode?.nodeName === "svg" &&
    attribute(parentNode as Element, "class") === "bar"
  ).map((line) => attribute(line, "x1"));
  deepStrictEqual(marks, ["100%", "12.5%"]);
});

Deno.test("every retry is listed with its time, pause and redacted reason", () => {
  const report = reportOf("shop");
  const elements = elementsOf(render({
    ...report,
    governor: [],
    retries: [{
      what: "copying the tables of shop (session 2)",
      reason: "no answer from postgresql://me:hunter2@old/app\nand no more",
      attempt: 2,
      delayMs: 4_000,
      startMs: 61_000,
    }],
  }));
  deepStrictEqual(rowsOf(elements, "events"), [[
    "copying the tables of shop (session 2)",
    "1 min 01 s",
    "2",
    "4.0 s",
    "no answer from postgresql://me:***@old/appand no more",
  ]]);
  const none = render({ ...report, governor: [], retries: [] });
  ok(!none.includes('id="events"') && !none.includes("#events"));
});

Deno.test("a run that ended early says why, and is not shown as complete", () => {
  const page = render({ ...reportOf("shop"), failure: "target: disk full\n  → make room" });
  const title = elementsOf(page).find(({ tagName }) => tagName === "title");
  match(textOf(title!), /not copied completely/);
  match(page, /✗ Ended before everything was copied/);
  match(page, /target: disk full<br> {2}→ make room/);
  ok(!page.includes("✓ Done"));
});

Deno.test("tables copied by an earlier run have no duration", () => {
  const report = reportOf("shop");
  const tables = [{
    schema: "public",
    name: "old",
    rows: 5,
    bytes: 10,
    ms: 0,
    earlier: true,
  }] as const;
  const elements = elementsOf(
    render({ ...report, databases: [{ source: "shop", target: "shop", tables, ms: 100 }] }),
  );
  deepStrictEqual(rowsOf(elements, "tables")[0]?.slice(5, 7), ["", "earlier run"]);
  const uncounted = [{ ...tables[0]!, uncounted: true }] as const;
  const page = elementsOf(
    render({
      ...report,
      databases: [{ source: "shop", target: "shop", tables: uncounted, ms: 100 }],
    }),
  );
  strictEqual(rowsOf(page, "tables")[0]?.[1], "not counted");
  match(textOf(section(page, "summary")), /in 1 table; 1 copied earlier without a count/);
});

Deno.test("the same warning about many objects is shown once with all of them", () => {
  const warnings = Array.from({ length: 30 }, (_, index) => ({
    message: "left out",
    object: `role r${index}`,
    remedy: "ask\nagain",
  }));
  const elements = elementsOf(render({ ...reportOf("shop"), warnings }));
  const text = textOf(section(elements, "warnings"));
  strictEqual(text.match(/left out/g)?.length, 1);
  for (const { object } of warnings) ok(text.includes(object), object);
  match(text, /and 22 more.*What to do: askagain/s);
});

Deno.test("pipelined work of a session is shown sequentially", () => {
  deepStrictEqual(inTurn([work("b", 0, 300), work("a", 0, 100), work("c", 350, 50)]), [
    work("a", 0, 100),
    work("b", 100, 200),
    work("c", 350, 50),
  ]);
});

Deno.test("three pieces of work are three labeled blocks, and the slowest is listed first", () => {
  const timeline = [
    work("orders", 0, 600),
    work("customers", 0, 1000, { lane: 2 }),
    work("orders_pkey", 600, 300, { kind: "index" }),
  ];
  const elements = elementsOf(render({ ...reportOf("shop"), timeline }));
  const texts = elements.filter(({ tagName }) => tagName === "text").map(textOf);
  for (const text of ["rows 1", "rows 2", "index 1", "orders", "customers", "orders_pkey"]) {
    ok(texts.includes(text), text);
  }
  deepStrictEqual(rowsOf(elements, "slowest").map(([first]) => first), [
    "customers",
    "orders",
    "orders_pkey",
  ]);
});

Deno.test("a run that did nothing still renders a page", () => {
  const elements = elementsOf(
    render({
      ...reportOf("shop"),
      timeline: [],
      databases: [],
      steps: [],
      warnings: [],
      rows: 0,
      bytes: 0,
    }),
  );
  match(textOf(section(elements, "timeline")), /No work was recorded/);
  ok(!elements.some((each) => attribute(each, "href") === "#slowest"));
});

Deno.test("layoutTimeline() keeps every piece of work, in its lane, within the chart and apart from the next", () => {
  const kind = fc.constantFrom<WorkKind>("copy", "index", "foreign-key", "analyze");
  const piece = fc.record({
    kind,
    lane: fc.integer({ min: 1, max: 5 }),
    database: fc.constantFrom("a", "b"),
    ms: fc.oneof(fc.double({ min: 0, max: 5, noNaN: true }), fc.integer({ max: 9999, min: 0 })),
    startMs: fc.integer({ min: 0, max: 100_000 }),
  });
  fc.assert(fc.property(fc.array(piece, { maxLength: 400 }), (pieces) => {
    const timeline = inTurn(pieces.map(({ kind, lane, database, startMs, ms }, index) => ({
      ...work(`t${index}`, startMs, ms, { kind, lane }),
      database,
    })));
    const charts = layoutTimeline(timeline);
    const groups = charts.flatMap((chart) => chart.groups);
    const blocks = groups.flatMap(({ lanes }) => lanes.flatMap((lane) => lane.blocks));
    strictEqual(blocks.reduce((sum, block) => sum + block.pieces, 0), pieces.length);
    const ulp = 1e-9;
    for (const { lanes, busy } of groups) {
      ok(busy >= 0 && busy <= 1);
      for (const { blocks } of lanes) {
        let end = 0;
        for (const { start, width } of blocks) {
          ok(start >= end - ulp, `${start} < ${end}`);
          end = start + width;
        }
        ok(end <= 1 + ulp);
      }
    }
    for (const { ticks } of charts) {
      ok(ticks.length <= 7 && ticks.every(({ at }) => at >= 0 && at <= 1 + ulp));
      strictEqual(new Set(ticks.map(({ label }) => label)).size, ticks.length);
    }
  }));
});

Deno.test("a hundred thousand pieces of work draw no more blocks than a screen can show", () => {
  const timeline = Array.from(
    { length: 100_000 },
    (_, index) => work(`table_${index}`, Math.floor(index / 4) * 10, 9, { lane: 1 + index % 4 }),
  );
  const page = render({ ...reportOf("shop"), timeline });
  ok(page.length < 100_000, `${page.length}`);
  const [chart] = layoutTimeline(timeline);
  for (const { lanes } of chart?.groups ?? []) {
    for (const { blocks } of lanes) ok(blocks.length <= 150, `${blocks.length}`);
  }
});

/** Source: WCAG 2.2, "contrast ratio" and "relative luminance". */
function contrast(a: string, b: string): number {
  const luminance = (color: string) => {
    const full = color.length === 4 ? color.replace(/[^#]/g, "$&$&") : color;
    const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
      const value = parseInt(full.slice(at, at + 2), 16) / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [light = 0, dark = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (light + 0.05) / (dark + 0.05);
}

Deno.test("colors have the contrast of WCAG AA in light and dark mode and in print", () => {
  const palettes = [...pageStyle.matchAll(/:root \{([^}]*)\}/g)].map(([, block = ""]) =>
    new Map(
      [...block.matchAll(/--([a-z-]+): (#[0-9a-f]+);/g)].map(([, name, value]) =>
        [name, value] as const
      ),
    )
  );
  strictEqual(palettes.length, 3);
  for (const palette of palettes) {
    const atLeast = (least: number, front: string, back: string) => {
      const ratio = contrast(palette.get(front) ?? "", palette.get(back) ?? "");
      ok(ratio >= least, `${front} on ${back}: ${ratio}`);
    };
    for (const back of ["page", "panel"]) {
      for (const text of ["text", "quiet"]) atLeast(4.5, text, back);
      for (const kind of ["copy", "index", "foreign-key", "analyze"]) atLeast(3, kind, back);
    }
    for (const text of ["copy", "warn", "good"]) atLeast(4.5, text, "page");
    for (const kind of ["copy", "index", "foreign-key", "analyze"]) atLeast(4.5, "on-block", kind);
  }
});
