/**
 * The response of a pooler to a startup packet with an unknown parameter.
 *
 * @param sqlState default: that of PgBouncer
 */
export function startupRefusal(parameter: string, sqlState = "08P01"): Uint8Array {
  const body = `SFATAL\0C${sqlState}\0Munsupported startup parameter: ${parameter}\0\0`;
  const message = new Uint8Array(5 + body.length);
  message[0] = "E".charCodeAt(0);
  new DataView(message.buffer).setInt32(1, 4 + body.length);
  message.set(new TextEncoder().encode(body), 5);
  return message;
}
