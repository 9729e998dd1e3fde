// @ts-check
/**
 * Where the time of the newest turn goes: one bar whose parts sum to the gap that was heard, from the person's last word to the first
 * sound. Each part has an owner, who could make it shorter. What was not measured is hatched, and says why.
 *
 * @typedef {import("./picture.js").Share} Share
 * @typedef {import("./picture.js").TurnPicture} TurnPicture
 */
import { make, setAttribute, setText, writtenOut } from "./dom.js";
import { asDuration } from "./figures.js";

/** A part shorter than this has no words of its own in the list; the bar still has it. */
const TOLD_FROM_MS = 1;
const TOLD_ANYWAY = ["stt", "first token"];
/** So wide is a part that nobody measured, in hundredths of the bar. */
const UNMEASURED = 3;
/** So many letters need a part of the bar of the first, second, ... size (css/latency.css). */
const SIZES = [7, 11, 17, Infinity];

/**
 * @param {import("./store.js").ConsoleStore} store
 * @returns {import("./bar.js").Part}
 */
export function latencyPanel(store) {
  const told = make("span", { class: "patter-gap" });
  const head = make("summary", { class: "patter-head" }, "Latency ", told);
  const bar = make("ol", { class: "patter-fall", "data-lm-suppress-shortcuts": "true" });
  const list = make("ul", { class: "patter-shares" });
  const quiet = make("p", { class: "patter-quiet" }, "How long an answer takes will stand here, part by part.");
  const element = make("section", { class: "patter-latency", "aria-label": "Latency" }, make("details", { open: true }, head, quiet, bar, list));
  let shown = "";
  /** @type {TurnPicture | null} */
  let newest = null;
  /** Which part is looked at. @type {number | null} */
  let looked = null;
  let reached = 0;

  bar.addEventListener("pointerover", ({ target }) => look(shareAt(bar, target)));
  bar.addEventListener("pointerleave", () => look(shareAt(bar, document.activeElement)));
  bar.addEventListener("focusin", ({ target }) => look(shareAt(bar, target)));
  bar.addEventListener("focusout", () => look(null));
  bar.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    reach(Math.max(0, Math.min(bar.children.length - 1, reached + step)));
    /** @type {HTMLElement | undefined} */ (bar.children[reached])?.focus();
  });

  /** One of the parts is reached by Tab, the others by the arrows. @param {number} place */
  function reach(place) {
    reached = place;
    [...bar.children].forEach((each, at) => setAttribute(each, "tabindex", at === place ? "0" : "-1"));
  }

  /** @param {number | null} place */
  function look(place) {
    looked = place;
    if (place !== null && place !== reached) reach(place);
    tell();
  }

  function tell() {
    if (newest?.waterfall == null) return setText(told, "");
    const share = looked === null ? undefined : newest.waterfall.parts[looked];
    setText(told, share === undefined ? gapOf(newest) : `· ${inWords(share)}`);
  }

  function update() {
    newest = store.picture.turns.at(-1) ?? null;
    const fall = newest?.waterfall ?? null;
    const now = JSON.stringify([newest?.id, newest?.status, fall]);
    if (now === shown) return;
    shown = now;
    const parts = fall?.parts ?? [];
    quiet.hidden = parts.length > 0;
    const whole = parts.reduce((sum, [, ms]) => sum + ms, 0);
    parts.forEach((share, at) => draw(bar, at, share, whole));
    while (bar.children.length > parts.length) bar.lastChild?.remove();
    if (reached >= parts.length) reach(0);
    list.replaceChildren(...parts.filter(isTold).map(entry));
    tell();
  }

  /**
   * A part keeps its element, so that who has reached it does not lose it.
   * @param {HTMLElement} within @param {number} at @param {Share} share @param {number} whole ms of all parts
   */
  function draw(within, at, share, whole) {
    let piece = /** @type {HTMLElement | undefined} */ (within.children[at]);
    if (piece === undefined) {
      piece = make("li", { tabindex: at === reached ? "0" : "-1" }, make("span", { "aria-hidden": "true" }));
      within.append(piece);
    }
    const [name, ms, , , measured] = share;
    setAttribute(piece, "data-part", name);
    setAttribute(piece, "data-measured", String(measured));
    setAttribute(piece, "aria-label", inWords(share));
    setAttribute(piece, "title", inWords(share));
    piece.style.flexGrow = String(ms > 0 && whole > 0 ? (100 * ms) / whole : measured ? 0 : UNMEASURED);
    const words = /** @type {HTMLElement} */ (piece.firstChild);
    setText(words, measured ? `${name} ${ms.toFixed(0)}` : "");
    setAttribute(words, "data-size", String(SIZES.findIndex((letters) => name.length + 4 <= letters) + 1));
  }

  return { element, update };
}

/** @param {HTMLElement} bar @param {EventTarget | null} target */
function shareAt(bar, target) {
  const place = [...bar.children].findIndex((each) => target instanceof Node && each.contains(target));
  return place < 0 ? null : place;
}

/** @param {TurnPicture} turn */
function gapOf({ id, status, waterfall }) {
  if (waterfall === null) return "";
  const { gap, since, why } = waterfall;
  if (gap === null) return status === "running" ? `· turn ${id}, so far` : `· turn ${id}: not measured, ${why}`;
  return `· turn ${id}: ${Math.round(gap).toLocaleString("en-US")} ms from ${since} to the first sound`;
}

/** @param {Share} share */
function isTold([name, ms, , , measured]) {
  return ms >= TOLD_FROM_MS || TOLD_ANYWAY.includes(name) || (!measured && ms === 0);
}

/** @param {Share} share */
function figureOf([, ms, , , measured]) {
  return measured || ms > 0 ? asDuration(ms) : "not measured";
}

/** @param {Share} share */
function inWords(share) {
  const [name, , owner, detail] = share;
  return writtenOut(`${name} ${figureOf(share)} · ${owner}${detail ? `: ${detail}` : ""}`);
}

/** @param {Share} share */
function entry(share) {
  const [name, , owner, , measured] = share;
  const attributes = { "data-part": name, "data-measured": String(measured), title: inWords(share) };
  return make("li", attributes, `${name} `, make("b", {}, figureOf(share)), make("small", {}, ` ${writtenOut(owner)}`));
}
