/** The parts of deno.lock that the bundle needs. */
interface Lock {
  readonly version: string;
  readonly specifiers: Readonly<Record<string, string>>;
  readonly npm: Readonly<Record<string, { readonly dependencies?: readonly string[] }>>;
}

/**
 * A lock file for `deno run --lock=… --frozen URL`: Deno refuses a bundle whose hash differs, and
 * a package that the bundle loads with another version or hash.
 *
 * @param specifier the package that the bundle loads on use, `npm:name@version`
 */
export function bundleLock(
  { url, sha256, specifier, lock }: {
    readonly url: string;
    readonly sha256: string;
    readonly specifier: string;
    readonly lock: Lock;
  },
): string {
  const version = lock.specifiers[specifier];
  if (version === undefined) throw new Error(`deno.lock has no ${specifier}`);
  const root = `${specifier.slice("npm:".length, specifier.lastIndexOf("@"))}@${version}`;
  const ids = new Set([root]);
  for (const id of ids) {
    for (const name of lock.npm[id]?.dependencies ?? []) {
      // as deno.lock writes it: with a version only if there are several
      const found = Object.keys(lock.npm).find((each) => each === name) ??
        Object.keys(lock.npm).find((each) => each.startsWith(`${name}@`));
      if (found === undefined) throw new Error(`deno.lock has no ${name}, of which ${id} depends`);
      ids.add(found);
    }
  }
  const npm = Object.fromEntries([...ids].toSorted().map((id) => [id, lock.npm[id]]));
  const document = {
    version: lock.version,
    specifiers: { [specifier]: version },
    npm,
    remote: { [url]: sha256 },
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}
