/// <reference lib="dom" />

/** Light, dark, or the system's theme. */
export type Theme = "auto" | "light" | "dark";

const themes: readonly Theme[] = ["auto", "light", "dark"];

/** Reads a stored setting; null where storage is disabled (such as private windows). */
function read(storage: () => Storage, name: string): string | null {
  try {
    return storage().getItem(name);
  } catch {
    return null; // storage is disabled
  }
}

function write(storage: () => Storage, name: string, value: string | undefined): void {
  try {
    if (value === undefined) storage().removeItem(name);
    else storage().setItem(name, value);
  } catch {
    // storage is disabled: the setting lasts until the page is closed
  }
}

const ofTab = () => sessionStorage;
const ofBrowser = () => localStorage;

/** The key of this tab, until the tab is closed. */
export function readKey(): string | undefined {
  return read(ofTab, "seren-key") ?? undefined;
}

/** Stores or removes the key of this tab. */
export function keepKey(key: string | undefined): void {
  write(ofTab, "seren-key", key);
}

/** The selected theme. */
export function readTheme(): Theme {
  const kept = read(ofBrowser, "seren-theme");
  return themes.find((theme) => theme === kept) ?? "auto";
}

/** Applies and stores a theme. */
export function applyTheme(theme: Theme): void {
  if (theme === "auto") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.setAttribute("data-theme", theme);
  write(ofBrowser, "seren-theme", theme === "auto" ? undefined : theme);
  document.dispatchEvent(new Event("seren-theme"));
}

/** The next theme in the cycle. */
export function nextTheme(theme: Theme): Theme {
  return themes[(themes.indexOf(theme) + 1) % themes.length] ?? "auto";
}

/** Whether single-key shortcuts are enabled (WCAG 2.2, 2.1.4: they can be disabled). */
export function readShortcuts(): boolean {
  return read(ofBrowser, "seren-shortcuts") !== "off";
}

/** Stores whether single-key shortcuts are enabled. */
export function keepShortcuts(on: boolean): void {
  write(ofBrowser, "seren-shortcuts", on ? undefined : "off");
}
