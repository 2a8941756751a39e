import { createHash } from "node:crypto";
import { answering, type ServiceApp } from "../api/routing.ts";
import type { ServiceParts } from "../api/service.ts";
import { readTrace } from "../api/trace.ts";
import { type Asset, assets } from "./assets.ts";

/**
 * Allows only the page's own files and no framing; user-supplied names cannot become code.
 */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const headers: Readonly<Record<string, string>> = {
  "content-security-policy": policy,
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
};

/**
 * Adds the web page to the service: `/` and its files, which need no key. The page asks the user
 * for a key and uses the API like any other client.
 */
export function addPage(app: ServiceApp, parts: ServiceParts): void {
  for (const asset of assets) {
    const body = new Body(asset);
    app.get(asset.path, (context) => {
      const trace = readTrace(context.req.header("traceparent"));
      return answering(
        parts,
        { context, trace, route: asset.path === "/" ? "/" : "/assets/{file}" },
        () => body.answer(context.req.raw),
      );
    });
  }
}

/** A file, compressed once on demand. */
class Body {
  readonly #asset: Asset;
  readonly #tag: string;
  #compressed: Promise<Uint8Array<ArrayBuffer>> | undefined;

  constructor(asset: Asset) {
    this.#asset = asset;
    this.#tag = createHash("sha256").update(asset.content).digest("base64url").slice(0, 22);
  }

  async answer(request: Request): Promise<Response> {
    const { path, type, content } = this.#asset;
    const common = {
      ...headers,
      // weak: the compressed and the plain body share it
      etag: `W/"${this.#tag}"`,
      vary: "accept-encoding",
      // files with a digest in their name never change; the page itself is always revalidated
      "cache-control": path === "/" ? "no-cache" : "public, max-age=31536000, immutable",
    };
    if (request.headers.get("if-none-match")?.includes(this.#tag)) {
      return new Response(null, { status: 304, headers: common });
    }
    const gzip = /\bgzip\b/.test(request.headers.get("accept-encoding") ?? "");
    const body = gzip ? await (this.#compressed ??= compress(content)) : content;
    return new Response(body, {
      headers: {
        ...common,
        "content-type": `${type}; charset=utf-8`,
        ...(gzip ? { "content-encoding": "gzip" } : {}),
      },
    });
  }
}

async function compress(content: string): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([content]).stream().pipeThrough(new CompressionStream("gzip"));
  return await new Response(stream).bytes();
}
