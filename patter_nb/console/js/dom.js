// @ts-check
/**
 * How the console makes elements: by name and text, never by markup.
 *
 * Whatever a person, a model or a tool wrote is foreign. It may hold tags, control characters and overrides of the reading direction;
 * here it can become nothing but characters, and a direction of its own keeps it from turning its neighbours around.
 */

/** Control characters except tab and newline, what overrides the reading direction, and halves of characters. */
const UNSAFE = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\p{Surrogate}]/gu;

/** @param {string} character */
function writeOut(character) {
  const code = character.charCodeAt(0);
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
}

/**
 * Text with control characters and direction overrides written out (`\x1b`, `\u202e`), so that they act nowhere.
 * @param {string} text
 */
export function writtenOut(text) {
  return text.replaceAll("\r\n", "\n").replace(UNSAFE, writeOut);
}

/**
 * An element with attributes and children; a string among them is text. `undefined` and `false` leave an attribute out.
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, string | boolean | undefined>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/**
 * Foreign text in an isolated direction of its own.
 * @param {string} text
 * @param {string} [cls]
 */
export function foreign(text, cls) {
  return make("bdi", { class: cls }, writtenOut(text));
}

const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]/;

/**
 * The direction in which a text is read, by its first letter; null while it has none. What `dir="auto"` finds out too, but again for
 * every piece that is added.
 * @param {string} text
 */
export function directionOf(text) {
  const letter = text.match(/\p{L}/u);
  return letter === null ? null : RIGHT_TO_LEFT.test(letter[0]) ? "rtl" : "ltr";
}

/**
 * A button that does `act`. JupyterLab's shortcuts leave Enter and Space to it.
 * @param {string} label its accessible name
 * @param {() => unknown} act
 * @param {Record<string, string | boolean | undefined>} [attributes]
 */
export function button(label, act, attributes = {}) {
  const element = make("button", { type: "button", class: "patter-button", "data-lm-suppress-shortcuts": "true", ...attributes }, label);
  element.addEventListener("click", () => act());
  return element;
}

/**
 * Set the text of an element or text node, touching it only when it differs.
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Set or, with null, remove an attribute, touching it only when it differs.
 * @param {Element} element
 * @param {string} name
 * @param {string | null} value
 */
export function setAttribute(element, name, value) {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

/**
 * Keep what is typed into `element` from the notebook's shortcuts.
 * @param {HTMLElement} element
 */
export function keepKeys(element) {
  element.classList.add("lm-suppress-shortcuts");
  element.dataset.lmSuppressShortcuts = "true";
  for (const type of ["keydown", "keypress", "keyup"]) element.addEventListener(type, (event) => event.stopPropagation());
}
