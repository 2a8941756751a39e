/** A static HTTP server on a free local port. States: running → disposed. */
export class StaticServer implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  /** @param answer the body for a path (`/cli.js`), or undefined for 404 */
  constructor(answer: (path: string) => Promise<string | Uint8Array | undefined>) {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      async (request) => {
        const { pathname } = new URL(request.url);
        const body = await answer(decodeURIComponent(pathname));
        if (body === undefined) return new Response("not found", { status: 404 });
        return new Response(body as BodyInit, {
          headers: { "content-type": contentType(pathname) },
        });
      },
    );
  }

  /** `http://127.0.0.1:PORT/` */
  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

function contentType(path: string): string {
  if (path.endsWith(".ts")) return "text/typescript";
  return path.endsWith(".json") ? "application/json" : "text/javascript";
}
