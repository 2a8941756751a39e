import { type Browser, chromium, type Page } from "npm:playwright-core@1.65.1";

/** Usual locations on Linux. */
const places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Finds an installed browser; undefined if there is none. */
export async function findChromium(): Promise<string | undefined> {
  for (const place of places) {
    const found = await Deno.stat(place).then(({ isFile }) => isFile, () => false);
    if (found) return place;
  }
  return undefined;
}

/** Opens a headless browser. */
export async function openBrowser(executablePath: string): Promise<Browser> {
  return await chromium.launch({
    executablePath,
    // containers run as root, which has no sandbox
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
}

/** Collects errors and warnings of a page: exceptions, policy violations, failed requests. */
export function complaints(page: Page): string[] {
  const found: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) found.push(message.text());
  });
  page.on("pageerror", (error) => found.push(error.message));
  return found;
}

/**
 * Finds accessibility problems: controls and images without a name, low contrast (WCAG 2.2, 1.4.3),
 * duplicate ids, a missing language, title or heading.
 */
export async function accessibilityProblems(page: Page): Promise<string[]> {
  return await page.evaluate(checkAccessibility) as string[];
}

/** Runs in the browser, so it cannot use outer variables. */
const checkAccessibility = `(${
  String(function () {
    // deno-lint-ignore no-explicit-any
    const { document, getComputedStyle } = globalThis as any;
    const problems: string[] = [];
    // deno-lint-ignore no-explicit-any
    const all = [...document.querySelectorAll("body *")] as any[];
    const seen = all.filter((each) => each.checkVisibility() && each.getClientRects().length > 0);
    // deno-lint-ignore no-explicit-any
    const label = (each: any) => `${each.tagName.toLowerCase()}.${each.className}`;
    if (!document.documentElement.lang) problems.push("no language");
    if (!document.title) problems.push("no title");
    const headings = document.querySelectorAll("h1").length;
    if (headings !== 1) problems.push(`${headings} first headings`);
    const ids = all.map((each) => each.id).filter(Boolean);
    for (const id of ids) {
      if (ids.indexOf(id) !== ids.lastIndexOf(id)) problems.push(`duplicate id ${id}`);
    }
    for (const each of all) {
      for (const name of ["aria-labelledby", "aria-describedby"]) {
        for (const id of (each.getAttribute(name) ?? "").split(" ").filter(Boolean)) {
          if (document.getElementById(id) === null) problems.push(`${label(each)}: no ${id}`);
        }
      }
    }
    for (const each of seen) {
      const control = each.matches(
        "a, button, input, summary, [tabindex='0'], [role=img], [role=progressbar]",
      );
      const named = (each.textContent ?? "").trim() !== "" && !each.matches("input") ||
        each.getAttribute("aria-label") || each.getAttribute("aria-labelledby") ||
        (each.labels?.length ?? 0) > 0;
      if (control && !named) problems.push(`${label(each)} has no name`);
    }
    const channels = (text: string) => (text.match(/[\d.]+/g) ?? []).map(Number);
    const luminance = (color: number[]) => {
      const [red, green, blue] = color.slice(0, 3).map((value) => {
        const part = value / 255;
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
    };
    // deno-lint-ignore no-explicit-any
    const background = (each: any): number[] => {
      for (let at = each; at !== null; at = at.parentElement) {
        const color = channels(getComputedStyle(at).backgroundColor);
        if (color.length === 3 || color[3] === 1) return color;
      }
      return [255, 255, 255];
    };
    for (const each of seen) {
      // deno-lint-ignore no-explicit-any
      const own = [...each.childNodes].some((node: any) =>
        node.nodeType === 3 && node.textContent.trim() !== ""
      );
      if (!own || each.matches(":disabled")) continue;
      const style = getComputedStyle(each);
      const [one, two] = [luminance(channels(style.color)), luminance(background(each))];
      const contrast = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
      const large = parseFloat(style.fontSize) >= 24 ||
        parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700;
      if (contrast < (large ? 3 : 4.5)) {
        problems.push(
          `${label(each)} "${each.textContent.slice(0, 20)}": contrast ${contrast.toFixed(2)}`,
        );
      }
    }
    return [...new Set(problems)];
  })
})()`;
