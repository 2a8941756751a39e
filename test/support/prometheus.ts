/** Metrics parsed from the Prometheus text format. */
export interface PrometheusText {
  readonly names: readonly string[];
  readonly types: ReadonlyMap<string, string>;
  /** The value with exactly these labels; undefined if it does not exist. */
  get(name: string, labels: Readonly<Record<string, string>>): number | undefined;
}

const nameForm = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const labelForm = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/**
 * Parses the text format 0.0.4 strictly as documented, and throws on violations: HELP and TYPE once
 * per metric, before its samples; samples of a metric together; no duplicates; a trailing line
 * feed.
 */
export function parsePrometheus(text: string): PrometheusText {
  if (!text.endsWith("\n")) throw new Error("the last line does not end with a line feed");
  const helps = new Set<string>();
  const types = new Map<string, string>();
  const samples = new Map<string, number>();
  const order: string[] = [];
  for (const line of text.slice(0, -1).split("\n")) {
    const comment = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line);
    if (comment !== null) {
      const [, kind, name = "", rest = ""] = comment;
      if (!nameForm.test(name)) throw new Error(`bad name: ${line}`);
      if (order.includes(name)) throw new Error(`after its samples: ${line}`);
      if (kind === "HELP" ? helps.has(name) : types.has(name)) throw new Error(`twice: ${line}`);
      if (kind === "HELP") helps.add(name);
      else {
        if (!["counter", "gauge", "histogram", "summary", "untyped"].includes(rest)) {
          throw new Error(`bad type: ${line}`);
        }
        types.set(name, rest);
      }
      continue;
    }
    const { name, labels, value } = parseSample(line);
    if (!helps.has(name) || !types.has(name)) throw new Error(`without HELP and TYPE: ${line}`);
    if (order.at(-1) !== name) {
      if (order.includes(name)) throw new Error(`apart from the others of its metric: ${line}`);
      order.push(name);
    }
    const key = keyOf(name, labels);
    if (samples.has(key)) throw new Error(`twice: ${line}`);
    samples.set(key, value);
  }
  return { names: order, types, get: (name, labels) => samples.get(keyOf(name, labels)) };
}

function keyOf(name: string, labels: Readonly<Record<string, string>>): string {
  return JSON.stringify([name, Object.entries(labels).sort(([a], [b]) => a < b ? -1 : 1)]);
}

function parseSample(line: string) {
  const head = /^([a-zA-Z_:][a-zA-Z0-9_:]*)/.exec(line)?.[1];
  if (head === undefined) throw new Error(`neither comment nor sample: ${line}`);
  let at = head.length;
  const labels: Record<string, string> = {};
  if (line[at] === "{") {
    at++;
    while (line[at] !== "}") {
      const label = /^([^=]+)="/.exec(line.slice(at))?.[1];
      if (label === undefined || !labelForm.test(label)) throw new Error(`bad label: ${line}`);
      if (label in labels) throw new Error(`label twice: ${line}`);
      at += label.length + 2;
      let value = "";
      for (; line[at] !== '"'; at++) {
        if (at >= line.length) throw new Error(`unterminated label: ${line}`);
        if (line[at] !== "\\") value += line[at];
        else {
          const escaped = { n: "\n", '"': '"', "\\": "\\" }[line[++at] ?? ""];
          if (escaped === undefined) throw new Error(`bad escape: ${line}`);
          value += escaped;
        }
      }
      labels[label] = value;
      at++;
      if (line[at] === ",") at++;
      else if (line[at] !== "}") throw new Error(`no comma: ${line}`);
    }
    at++;
  }
  const value = /^ (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|[+-]Inf|NaN)(?: -?\d+)?$/.exec(line.slice(at))
    ?.[1];
  if (value === undefined) throw new Error(`bad value: ${line}`);
  return { name: head, labels, value: Number(value.replace("Inf", "Infinity")) };
}
