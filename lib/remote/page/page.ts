import { createHash } from "node:crypto";
import { answering, type ServiceApp } from "../api/routing.ts";
import type { ServiceParts } from "../api/service.ts";
import { readTrace } from "../api/trace.ts";
import { type Asset, assets } from "./assets.ts";

/**
 * Nothing but our own files, and nothing that frames us; a name that somebody chose cannot become
 * code.
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
 * Adds the web page to the service: `/` and the files that it names. It needs no key; it asks its
 * user for one and then uses the API as any client does.
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

/** A file, packed once when somebody takes it so. */
class Body {
  readonly #asset: Asset;
  readonly #tag: string;
  #packed: Promise<Uint8Array<ArrayBuffer>> | undefined;

  constructor(asset: Asset) {
    this.#asset = asset;
    this.#tag = createHash("sha256").update(asset.content).digest("base64url").slice(0, 22);
  }

  async answer(request: Request): Promise<Response> {
    const { path, type, content } = this.#asset;
    const all = {
      ...headers,
      // weak: the packed and the plain body are the same file
      etag: `W/"${this.#tag}"`,
      vary: "accept-encoding",
      // what has its digest in its name never changes; the page is asked for again each time
      "cache-control": path === "/" ? "no-cache" : "public, max-age=31536000, immutable",
    };
    if (request.headers.get("if-none-match")?.includes(this.#tag)) {
      return new Response(null, { status: 304, headers: all });
    }
    const gzip = /\bgzip\b/.test(request.headers.get("accept-encoding") ?? "");
    const body = gzip ? await (this.#packed ??= pack(content)) : content;
    return new Response(body, {
      headers: {
        ...all,
        "content-type": `${type}; charset=utf-8`,
        ...(gzip ? { "content-encoding": "gzip" } : {}),
      },
    });
  }
}

async function pack(content: string): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([content]).stream().pipeThrough(new CompressionStream("gzip"));
  return await new Response(stream).bytes();
}
