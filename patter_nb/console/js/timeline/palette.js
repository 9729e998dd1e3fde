// @ts-check
/**
 * The colours of the style sheet as a canvas can use them: read off elements that have them, anew whenever the theme changes.
 *
 * @typedef {Record<typeof NAMES[number], string>} TimelineColours
 */
import { make } from "../dom.js";

const NAMES = /** @type {const} */ (["ink", "dim", "ghost", "line", "ground", "you", "agent", "ok", "warn", "bad", "tool"]);

export class TimelinePalette {
  #probes;
  #watch;
  #scheme = matchMedia("(prefers-color-scheme: dark)");
  #changed;
  /** Hidden, and to be a part of the view. */
  element;

  /** @param {() => void} changed is called when the colours may be others */
  constructor(changed) {
    this.#changed = changed;
    this.#probes = NAMES.map((name) => make("span", { style: `color: var(--patter-${name})` }));
    this.element = make("span", { hidden: true, "aria-hidden": "true" }, ...this.#probes);
    this.#watch = new MutationObserver(changed);
    const attributes = ["data-jp-theme-light", "data-jp-theme-name", "class", "theme"];
    for (const root of [document.documentElement, document.body]) this.#watch.observe(root, { attributes: true, attributeFilter: attributes });
    this.#scheme.addEventListener("change", changed);
  }

  /** @returns {TimelineColours} */
  read() {
    const colours = NAMES.map((name, place) => [name, getComputedStyle(this.#probes[place]).color]);
    return Object.fromEntries(colours);
  }

  dispose() {
    this.#watch.disconnect();
    this.#scheme.removeEventListener("change", this.#changed);
  }
}
