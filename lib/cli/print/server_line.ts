import type { ServerSummary } from "../../commands/shared/report.ts";
import { printable } from "../../ui/mod.ts";

/** A server in one line. */
export function serverLine(
  side: string,
  { url, version, provider, encrypted }: ServerSummary,
): string {
  const where = provider === undefined ? "" : `, ${provider}`;
  return `${side}  ${printable(url)}  PostgreSQL ${version}${where}, ${
    encrypted ? "encrypted" : "not encrypted"
  }`;
}
