/**
 * SQL as servers print it from their catalogs, brought into one form: what a server prints before a
 * dump and after the restore differs, although it means the same, wherever the printed text is
 * parsed into something else than what was printed. Pure; no server is asked, for it would run the
 * user's functions to answer.
 *
 * Source: PostgreSQL's `src/backend/utils/adt/ruleutils.c` and `src/backend/parser`.
 *
 * @module
 */
import { type Token, tokenize } from "../../core/internal.ts";

/** A word, literal, symbol or qualified name, or what is between brackets. */
export type Node = string | Group;

/** What is between brackets. */
export interface Group {
  readonly open: "(" | "[";
  readonly content: readonly Node[];
}

/**
 * The normal form of a piece of SQL, as tokens: white space, brackets and casts that mean nothing
 * are gone.
 */
export function normalForm(text: string): readonly string[] {
  return [...flat(normal(treeOf(tokensOf(text).map(unquoted))))];
}

/**
 * A name is printed in quotes where it is a keyword of the server's version: `"json"` from 16 on.
 */
export function unquoted(text: string): string {
  return text.replace(/^"((?!true"|false")[a-z_][a-z0-9_$]*)"$/, "$1");
}

/** A piece of SQL without its white space. */
export function tokensOf(text: string): readonly string[] {
  const isWord = ({ kind }: Token) => kind !== "space";
  return [...tokenize(text)].filter(isWord).map(({ start, end }) => text.slice(start, end));
}

function* flat(nodes: readonly Node[]): Generator<string> {
  for (const node of nodes) {
    if (typeof node === "string") yield node;
    else {
      yield node.open;
      yield* flat(node.content);
      yield node.open === "(" ? ")" : "]";
    }
  }
}

/** Brackets become groups; names with their qualifiers, and `::`, become one node. */
function treeOf(tokens: readonly string[]): readonly Node[] {
  const stack: { readonly open: "(" | "["; readonly content: Node[] }[] = [];
  let content: Node[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at]!;
    if (token === "(" || token === "[") {
      stack.push({ open: token, content });
      content = [];
    } else if ((token === ")" || token === "]") && stack.length > 0) {
      const outer = stack.pop()!;
      outer.content.push({ open: outer.open, content });
      content = outer.content;
    } else if (token === ":" && tokens[at + 1] === ":") {
      content.push("::");
      at++;
    } else if (isName(token)) {
      let name = token;
      while (tokens[at + 1] === "." && (isName(tokens[at + 2]) || tokens[at + 2] === "*")) {
        name += `.${tokens[at + 2]}`;
        at += 2;
      }
      content.push(name);
    } else content.push(token);
  }
  // brackets that are never closed: the text is no SQL, and stays as it is
  while (stack.length > 0) {
    const outer = stack.pop()!;
    content = [...outer.content, { open: outer.open, content }];
  }
  return content;
}

function isName(node: Node | undefined): boolean {
  return typeof node === "string" && /^["\p{L}_]/u.test(node);
}

/** Servers print keywords in capitals and names in small letters or quoted. */
function isKeyword(node: Node | undefined): boolean {
  return typeof node === "string" && /^[A-Z]+$/.test(node);
}

function isIdentifier(node: Node | undefined): boolean {
  return isName(node) && !isKeyword(node);
}

function isGroup(node: Node | undefined, open: "(" | "[" = "("): node is Group {
  return typeof node === "object" && node.open === open;
}

function normal(nodes: readonly Node[]): readonly Node[] {
  const inner = nodes.map((node, at): Node => {
    // ON TRUE is printed for a join without condition, ON (true) for one with that
    if (node === "TRUE") return "true";
    if (typeof node === "string") return node;
    const isNameless = isSubquery(node) && !givesNames(nodes, at);
    return { ...node, content: normal(isNameless ? withoutNames(node.content) : node.content) };
  });
  return [withoutPlaceholders, plainTypes, pushedCasts, singleCasts, withoutBrackets, flattened]
    .reduce((result, step) => step(result), inner as readonly Node[]);
}

function isSubquery({ open, content }: Group): boolean {
  return open === "(" && (content[0] === "SELECT" || content[0] === "WITH");
}

const setOperations: ReadonlySet<Node | undefined> = new Set(["UNION", "INTERSECT", "EXCEPT"]);

/**
 * Whether the names of a subquery's columns mean anything: those of an item of FROM, a common table
 * expression, a part of UNION.
 */
function givesNames(nodes: readonly Node[], at: number): boolean {
  const [before, previous, next] = [nodes[at - 2], nodes[at - 1], nodes[at + 1]];
  if (
    previous === undefined && next === undefined || setOperations.has(next) ||
    setOperations.has(previous) || previous === "ALL" && setOperations.has(before)
  ) return true;
  return ["FROM", "JOIN", "LATERAL", "AS", "MATERIALIZED"].includes(String(previous)) ||
    isIdentifier(next);
}

/**
 * A subquery in an expression, without the names of its columns: a cast that is printed for a
 * literal gives it another one.
 */
function withoutNames(content: readonly Node[]): readonly Node[] {
  let isList = false;
  return content.filter((node, at) => {
    if (node === "SELECT") isList = true;
    else if (
      isKeyword(node) && ["FROM", "WHERE", "UNION", "INTERSECT", "EXCEPT"].includes(node as string)
    ) isList = false;
    const isNaming = (as: Node | undefined, name: Node | undefined) =>
      as === "AS" && isIdentifier(name);
    return !isList || !isNaming(node, content[at + 1]) && !isNaming(content[at - 1], node);
  });
}

/** A column without a name is printed with this one before 15, and in places still. */
function withoutPlaceholders(nodes: readonly Node[]): readonly Node[] {
  const isPlaceholder = (at: number) => nodes[at] === "AS" && nodes[at + 1] === '"?column?"';
  return nodes.filter((_, at) => !isPlaceholder(at) && !isPlaceholder(at - 1));
}

/**
 * Without a length `character varying` is `text`: which of both an operand is cast to depends on
 * who has parsed it last.
 */
function plainTypes(nodes: readonly Node[]): readonly Node[] {
  const result: Node[] = [];
  for (let at = 0; at < nodes.length; at++) {
    const isVarchar = nodes[at] === "::" && nodes[at + 1] === "character" &&
      nodes[at + 2] === "varying" &&
      !isGroup(nodes[at + 3]);
    result.push(nodes[at]!);
    if (!isVarchar) continue;
    result.push("text");
    at += 2;
  }
  return result;
}

/**
 * `(ARRAY[a, b])::text[]` is parsed as `ARRAY[(a)::text, (b)::text]`; statistics are printed with
 * fewer brackets.
 */
function pushedCasts(nodes: readonly Node[]): readonly Node[] {
  const result: Node[] = [];
  for (let at = 0; at < nodes.length; at++) {
    const node = nodes[at]!;
    const bare = nodes.slice(at, at + 2);
    const [array, after] = isArray(bare)
      ? [bare, at + 2]
      : [isGroup(node) && isArray(node.content) ? node.content : undefined, at + 1];
    const cast = array === undefined ? undefined : arrayTypeAt(nodes, after);
    if (array === undefined || cast === undefined) {
      result.push(node);
      continue;
    }
    result.push(...castElements(array, cast.type));
    at = cast.end - 1;
  }
  return result;
}

function isArray(content: readonly Node[]): boolean {
  return content.length === 2 && content[0] === "ARRAY" && isGroup(content[1], "[");
}

/** The element's type of a cast to an array, without its modifier, and where it ends. */
function arrayTypeAt(
  nodes: readonly Node[],
  from: number,
): { readonly type: readonly Node[]; readonly end: number } | undefined {
  if (nodes[from] !== "::") return undefined;
  let end = from + 1;
  while (isIdentifier(nodes[end])) end++;
  const dimensions = nodes[end];
  if (end === from + 1 || !isGroup(dimensions, "[") || dimensions.content.length > 0) {
    return undefined;
  }
  return { type: nodes.slice(from + 1, end), end: end + 1 };
}

function castElements(array: readonly Node[], type: readonly Node[]): readonly Node[] {
  const elements = split((array[1] as Group).content, ",").map((element) => {
    if (isArray(element)) return castElements(element, type);
    const value: readonly Node[] = element.length === 1
      ? element
      : [{ open: "(", content: element }];
    return singleCasts([...value, "::", ...type]);
  });
  const content = elements.flatMap((element, index) => index === 0 ? element : [",", ...element]);
  return ["ARRAY", { open: "[", content }];
}

function split(nodes: readonly Node[], separator: string): readonly (readonly Node[])[] {
  const parts: Node[][] = [[]];
  for (const node of nodes) {
    if (node === separator) parts.push([]);
    else parts.at(-1)!.push(node);
  }
  return parts.length === 1 && parts[0]!.length === 0 ? [] : parts;
}

/** `('a'::text)::text`, `'a'::text::text`: once is enough. */
function singleCasts(nodes: readonly Node[]): readonly Node[] {
  const result: Node[] = [];
  for (let at = 0; at < nodes.length; at++) {
    const node = nodes[at]!;
    const isText = isGroup(node) && node.content.length === 3 && endsInText(node.content);
    if (isText && isTextCast(nodes, at + 1)) result.push(...node.content);
    else result.push(node);
    while (endsInText(result) && isTextCast(nodes, at + 1)) at += 2;
  }
  return result;
}

function endsInText(nodes: readonly Node[]): boolean {
  return nodes.at(-2) === "::" && nodes.at(-1) === "text";
}

function isTextCast(nodes: readonly Node[], at: number): boolean {
  return nodes[at] === "::" && nodes[at + 1] === "text" && !isGroup(nodes[at + 2], "[");
}

/** Brackets around brackets or around a single word; those of a function's arguments stay. */
function withoutBrackets(nodes: readonly Node[]): readonly Node[] {
  return nodes.map((node, at) => {
    if (!isGroup(node) || isIdentifier(nodes[at - 1])) return node;
    let inner: Node = node;
    while (isGroup(inner) && inner.content.length === 1) inner = inner.content[0]!;
    return inner;
  });
}

/**
 * AND within AND: BETWEEN is printed in brackets, and parsed as a part of the list that it stands
 * in.
 */
function flattened(nodes: readonly Node[]): readonly Node[] {
  return nodes.flatMap((node, at) => {
    if (!isGroup(node)) return [node];
    const [previous, next] = [nodes[at - 1], nodes[at + 1]];
    for (const word of ["AND", "OR"] as const) {
      const other = word === "AND" ? "OR" : "AND";
      const isList = node.content.includes(word) && !node.content.includes(other) &&
        !isSubquery(node);
      const ends = (neighbour: Node | undefined) => neighbour === undefined || neighbour === word;
      if (isList && (previous === word || next === word) && ends(previous) && ends(next)) {
        return node.content;
      }
    }
    return [node];
  });
}
