import { setFlagsFromString } from "node:v8";

/**
 * Lets connections over TLS ask V8 for collections of young objects, see
 * `lib/postgres/connect/tls_buffer_gc.ts`. Applies to worker threads too.
 *
 * Changes the whole process, so only the program that owns it may call this.
 */
export function exposeGarbageCollector(): void {
  setFlagsFromString("--expose-gc");
}
