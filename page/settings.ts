/// <reference lib="dom" />

/** Light, dark, or what the system says. */
export type Theme = "auto" | "light" | "dark";

const themes: readonly Theme[] = ["auto", "light", "dark"];

/** What the browser keeps; where it keeps nothing (a private window), the defaults hold. */
function read(storage: () => Storage, name: string): string | null {
  try {
    return storage().getItem(name);
  } catch {
    return null; // storage is switched off: not a failure of this page
  }
}

function write(storage: () => Storage, name: string, value: string | undefined): void {
  try {
    if (value === undefined) storage().removeItem(name);
    else storage().setItem(name, value);
  } catch {
    // storage is switched off: the setting lasts as long as the page
  }
}

const ofTab = () => sessionStorage;
const ofBrowser = () => localStorage;

/** The key of this tab; it is gone when the tab is closed. */
export function readKey(): string | undefined {
  return read(ofTab, "seren-key") ?? undefined;
}

/** Keeps the key for this tab, or forgets it. */
export function keepKey(key: string | undefined): void {
  write(ofTab, "seren-key", key);
}

/** The theme that was chosen. */
export function readTheme(): Theme {
  const kept = read(ofBrowser, "seren-theme");
  return themes.find((theme) => theme === kept) ?? "auto";
}

/** Shows a theme, and keeps it. */
export function applyTheme(theme: Theme): void {
  if (theme === "auto") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.setAttribute("data-theme", theme);
  write(ofBrowser, "seren-theme", theme === "auto" ? undefined : theme);
  document.dispatchEvent(new Event("seren-theme"));
}

/** The one after. */
export function nextTheme(theme: Theme): Theme {
  return themes[(themes.indexOf(theme) + 1) % themes.length] ?? "auto";
}

/** Whether single keys do something (WCAG 2.2, 2.1.4: they can be switched off). */
export function readShortcuts(): boolean {
  return read(ofBrowser, "seren-shortcuts") !== "off";
}

/** Keeps whether single keys do something. */
export function keepShortcuts(on: boolean): void {
  write(ofBrowser, "seren-shortcuts", on ? undefined : "off");
}
