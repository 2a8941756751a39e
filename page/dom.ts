/// <reference lib="dom" />

/** A child of an element. Text is never parsed as HTML. */
export type Child = Node | string | number | undefined | false;

/**
 * Attributes by name; `on` contains event listeners. `style` is forbidden by the page's content
 * security policy.
 */
export type Attributes =
  & { readonly [name: string]: string | number | boolean | undefined | Listeners }
  & { readonly on?: Listeners; readonly style?: never };

type Listeners = { readonly [event: string]: (event: Event) => void };

/** Creates an element. Attributes that are `false` or undefined are omitted; `true` is empty. */
export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (typeof value === "object") {
      for (const [event, listen] of Object.entries(value)) element.addEventListener(event, listen);
    } else element.setAttribute(name, value === true ? "" : String(value));
  }
  fill(element, ...children);
  return element;
}

/** Replaces the children of an element. */
export function fill(element: Element, ...children: readonly Child[]): void {
  element.replaceChildren(
    ...children.filter((child) => child !== undefined && child !== false).map((child) =>
      typeof child === "number" ? String(child) : child
    ),
  );
}

/** Sets a text only if it changes, to keep the selection and avoid repeated announcements. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets or removes an attribute if it changes. */
export function setAttribute(element: Element, name: string, value: string | undefined): void {
  if (value === undefined) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/**
 * A user-supplied name (a database, a table), isolated from the surrounding text whatever its
 * writing direction.
 */
export function name(text: string, className = ""): HTMLElement {
  return make("bdi", { class: `name ${className}`.trim(), title: text }, text);
}

/** A time, with the full date as a tooltip. */
export function moment(iso: string): HTMLElement {
  return make("time", { datetime: iso, title: new Date(iso).toString() }, formatMoment(iso));
}

/** `14:03:12` today, `Mar 4, 14:03` on other days. */
function formatMoment(iso: string): string {
  const at = new Date(iso);
  const today = new Date().toDateString() === at.toDateString();
  return today ? clock.format(at) : new Intl.DateTimeFormat("en", {
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  }).format(at);
}

/** `14:03:12` */
export const clock: Intl.DateTimeFormat = new Intl.DateTimeFormat("en", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

/** `Thu 14:03`, for jobs that take days. */
export const dayClock: Intl.DateTimeFormat = new Intl.DateTimeFormat("en", {
  weekday: "short",
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});

/** Announces a text to screen readers. */
export function announce(text: string): void {
  const region = document.getElementById("live");
  if (region !== null) setText(region, text);
}
