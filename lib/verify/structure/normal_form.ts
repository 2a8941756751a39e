/**
 * Normalizes SQL that servers print from their catalogs. A definition may print differently after
 * dump and restore although it is equivalent, because parsing the printed text can yield a
 * different expression tree. Pure: asking a server would run user-defined functions.
 *
 * Source: PostgreSQL's `src/backend/utils/adt/ruleutils.c` and `src/backend/parser`.
 *
 * @module
 */
import { type Token, tokenize } from "../../core/internal.ts";

/** A word, literal, symbol or qualified name, or a bracketed group. */
export type Node = string | Group;

/** The contents of a pair of brackets. */
export interface Group {
  readonly open: "(" | "[";
  readonly content: readonly Node[];
}

/**
 * The normal form of a definition as tokens, without white space and redundant brackets and casts.
 */
export function normalForm(text: string): readonly string[] {
  return [...flat(normal(treeOf(tokensOf(text).map(unquoted))))];
}

/**
 * Removes the quotes of a name that is a keyword in the server's version, such as `"json"` since 16.
 */
export function unquoted(text: string): string {
  return text.replace(/^"((?!true"|false")[a-z_][a-z0-9_$]*)"$/, "$1");
}

/** The tokens of a definition, without white space. */
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

/** Brackets become groups; qualified names and `::` become single nodes. */
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
  // unbalanced brackets: not SQL, so leave the rest unchanged
  while (stack.length > 0) {
    const outer = stack.pop()!;
    content = [...outer.content, { open: outer.open, content }];
  }
  return content;
}

function isName(node: Node | undefined): boolean {
  return typeof node === "string" && /^["\p{L}_]/u.test(node);
}

/** Servers print keywords in upper case, and names in lower case or quoted. */
function isKeywordNode(node: Node | undefined): boolean {
  return typeof node === "string" && /^[A-Z]+$/.test(node);
}

function isIdentifier(node: Node | undefined): boolean {
  return isName(node) && !isKeywordNode(node);
}

function isGroup(node: Node | undefined, open: "(" | "[" = "("): node is Group {
  return typeof node === "object" && node.open === open;
}

function normal(nodes: readonly Node[]): readonly Node[] {
  const inner = nodes.map((node, at): Node => {
    // a join without condition is printed as ON TRUE, and as ON (true) after a restore
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
 * Whether a subquery's column names are significant: in FROM, a common table expression or a set
 * operation.
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
 * Removes the column names of a subquery in an expression; a cast printed for a literal changes
 * them.
 */
function withoutNames(content: readonly Node[]): readonly Node[] {
  let isList = false;
  return content.filter((node, at) => {
    if (node === "SELECT") isList = true;
    else if (
      isKeywordNode(node) &&
      ["FROM", "WHERE", "UNION", "INTERSECT", "EXCEPT"].includes(node as string)
    ) isList = false;
    const isNaming = (as: Node | undefined, name: Node | undefined) =>
      as === "AS" && isIdentifier(name);
    return !isList || !isNaming(node, content[at + 1]) && !isNaming(content[at - 1], node);
  });
}

/** Versions before 15, and newer ones in some places, print this name for unnamed columns. */
function withoutPlaceholders(nodes: readonly Node[]): readonly Node[] {
  const isPlaceholder = (at: number) => nodes[at] === "AS" && nodes[at + 1] === '"?column?"';
  return nodes.filter((_, at) => !isPlaceholder(at) && !isPlaceholder(at - 1));
}

/**
 * Treats `character varying` without a length as `text`: which of the two an operand is cast to
 * depends on how often it was parsed.
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
 * `(ARRAY[a, b])::text[]` is parsed as `ARRAY[(a)::text, (b)::text]`. Statistics are printed with
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

/** The element type of a cast to an array, without its modifier, and where the cast ends. */
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
  const elements = splitNodes((array[1] as Group).content, ",").map((element) => {
    if (isArray(element)) return castElements(element, type);
    const value: readonly Node[] = element.length === 1
      ? element
      : [{ open: "(", content: element }];
    return singleCasts([...value, "::", ...type]);
  });
  const content = elements.flatMap((element, index) => index === 0 ? element : [",", ...element]);
  return ["ARRAY", { open: "[", content }];
}

function splitNodes(nodes: readonly Node[], separator: string): readonly (readonly Node[])[] {
  const parts: Node[][] = [[]];
  for (const node of nodes) {
    if (node === separator) parts.push([]);
    else parts.at(-1)!.push(node);
  }
  return parts.length === 1 && parts[0]!.length === 0 ? [] : parts;
}

/** Reduces `('a'::text)::text` and `'a'::text::text` to one cast. */
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

/** Removes brackets around brackets or a single word, except those of function arguments. */
function withoutBrackets(nodes: readonly Node[]): readonly Node[] {
  return nodes.map((node, at) => {
    if (!isGroup(node) || isIdentifier(nodes[at - 1])) return node;
    let inner: Node = node;
    while (isGroup(inner) && inner.content.length === 1) inner = inner.content[0]!;
    return inner;
  });
}

/**
 * Flattens AND within AND and OR within OR: BETWEEN is printed in brackets but parsed as part of
 * the surrounding list.
 */
function flattened(nodes: readonly Node[]): readonly Node[] {
  return nodes.flatMap((node, at) => {
    if (!isGroup(node)) return [node];
    const [previous, next] = [nodes[at - 1], nodes[at + 1]];
    for (const word of ["AND", "OR"] as const) {
      const other = word === "AND" ? "OR" : "AND";
      const isList = node.content.includes(word) && !node.content.includes(other) &&
        !isSubquery(node);
      const ends = (neighbor: Node | undefined) => neighbor === undefined || neighbor === word;
      if (isList && (previous === word || next === word) && ends(previous) && ends(next)) {
        return node.content;
      }
    }
    return [node];
  });
}
