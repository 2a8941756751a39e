/** Definitions by the name of their type. */
export type Definitions = Readonly<Record<string, unknown>>;

/** The schema of one type, with the definitions that it refers to. */
export function schemaOf(
  type: string,
  { title, definitions }: { readonly title: string; readonly definitions: Definitions },
): Record<string, unknown> {
  const root = definitions[type];
  if (root === undefined) throw new Error(`the generator found no type ${type}`);
  const used = new Set<string>();
  const pending = referencesIn(root);
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (used.has(name)) continue;
    used.add(name);
    pending.push(...referencesIn(definitions[name]));
  }
  const own = Object.fromEntries([...used].toSorted().map((name) => [name, definitions[name]]));
  return withPlainText({
    $schema: "http://json-schema.org/draft-07/schema#",
    title,
    ...(root as Record<string, unknown>),
    ...(used.size === 0 ? {} : { definitions: own }),
  }) as Record<string, unknown>;
}

function referencesIn(schema: unknown): string[] {
  const found: string[] = [];
  JSON.stringify(schema, (key, value) => {
    if (key === "$ref") found.push(decodeURIComponent(value.replace("#/definitions/", "")));
    return value;
  });
  return found;
}

/** Descriptions without the links of doc comments. */
function withPlainText(schema: unknown): unknown {
  return JSON.parse(
    JSON.stringify(
      schema,
      (key, value) =>
        key === "description" && typeof value === "string"
          ? value.replaceAll(/\{@linkcode\s+([^}]*?)\s*\}/g, "$1").replaceAll(/\s+/g, " ")
            .replaceAll(/ ([.,;])/g, "$1")
          : value,
    ),
  );
}
