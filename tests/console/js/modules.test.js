// @ts-check
/** The modules can be joined into one text as Python does it, and make elements by name and text only. */
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const HOME = join(dirname(fileURLToPath(import.meta.url)), "../../../patter_nb/console/js");
const IMPORT = /^import \{ [^}]+ \} from "(\.[^"]+)";$/;
const paths = /** @type {string[]} */ (readdirSync(HOME, { recursive: true })).filter((path) => path.endsWith(".js"));
/** @param {string} path */
const linesOf = (path) => readFileSync(join(HOME, path), "utf8").split("\n");

/** @param {string} entry @param {Set<string>} [known] @returns {Set<string>} it and all that it imports */
function reachable(entry, known = new Set()) {
  if (known.has(entry)) return known;
  known.add(entry);
  for (const line of linesOf(entry)) {
    const [, target] = line.match(IMPORT) ?? [];
    if (target !== undefined) reachable(join(dirname(entry), target), known);
  }
  return known;
}

it.each(paths)("%s imports by one-line named imports and exports by name", (path) => {
  const lines = linesOf(path);
  expect(lines.filter((line) => /^import\b/.test(line) && !IMPORT.test(line))).toEqual([]);
  expect(lines.filter((line) => /^import\b.*\bas\b/.test(line))).toEqual([]);
  const others = lines.filter((line) => /^export\b/.test(line) && !/^export (async function|function|class|const|let) /.test(line));
  expect(others).toEqual(path === "entry.js" ? ["export default { render };"] : []);
});

it.each(["entry.js", "audio/worklet.js"])("%s and all it imports use no name twice", (entry) => {
  const declares = /^(?:export )?(?:async )?(?:function|class|const|let) (\w+)/;
  const names = [...reachable(entry)].flatMap(linesOf).flatMap((line) => line.match(declares)?.[1] ?? []);
  expect(names.filter((name, place) => names.indexOf(name) !== place)).toEqual([]);
});

it("every module is used", () => {
  expect(paths.filter((path) => !reachable("entry.js").has(path) && !reachable("audio/worklet.js").has(path))).toEqual([]);
});

it("nothing makes elements out of text", () => {
  const makers = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|setHTML|\beval\b|new Function/;
  expect(paths.filter((path) => makers.test(readFileSync(join(HOME, path), "utf8")))).toEqual([]);
});
