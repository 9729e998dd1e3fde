// @ts-check
/**
 * The timeline of a session: a picture of it on one axis of time, to be zoomed, moved, read and heard.
 *
 * It is painted only when something has changed that is in it: at most ten times a second for what the kernel tells, with each frame of
 * the screen for what a hand does, and not at all while nobody can see it.
 *
 * @typedef {"whole" | "newest" | "free"} Following what the window does while the session goes on
 */
import { audioEngine } from "../audio/engine.js";
import { button, foreign, make, setAttribute, setText } from "../dom.js";
import { listenToHand } from "./gestures.js";
import { TimelineHearing } from "./hearing.js";
import { paintTimeline } from "./paint.js";
import { TimelinePalette } from "./palette.js";
import { GUTTER, ROWS_HEIGHT, itemAt } from "./rows.js";
import { asClock, clampedWindow, pannedWindow, placeOf, timeAt, wholeWindow, zoomedWindow } from "./scale.js";
import { TimelineSource } from "./source.js";
import { itemInWords, turnsInWords, windowInWords } from "./told.js";

const ZOOM_STEP = 1.6;
const NEAR_PIXELS = 5;
const REST_MS = 140;
const WORDS_AFTER_MS = 400;
const LEARN_EVERY_MS = 100;
const KEYS = "Arrow keys move, plus and minus zoom, 0 shows all, Space plays from the line and stops, Home and End go to the ends.";

/**
 * @param {import("../pages.js").Link} link
 * @returns {import("../bar.js").Part}
 */
export function timelinePanel({ store }) {
  const canvas = make("canvas", { class: "patter-time-picture", tabindex: "0", role: "img", "aria-label": "Timeline" });
  const cross = make("div", { class: "patter-time-cross", hidden: true, "aria-hidden": "true" });
  const head = make("div", { class: "patter-time-head", hidden: true, "aria-hidden": "true" });
  const tip = make("div", { class: "patter-time-tip", hidden: true, "aria-hidden": "true" });
  const quiet = make("p", { class: "patter-quiet patter-time-quiet" }, "The timeline appears here with the first sound, or the first word.");
  const stage = make("div", { class: "patter-time-stage" }, canvas, cross, head, tip, quiet);
  const small = (/** @type {string} */ label, /** @type {() => unknown} */ act, /** @type {string} */ name) =>
    button(label, act, { class: "patter-button patter-small", "aria-label": name, title: name });
  const playButton = small("▶", () => toggleSound(), "Play");
  const newestButton = small("Newest", () => follow("newest"), "Follow the newest");
  const tools = make(
    "div",
    { class: "patter-time-tools", role: "group", "aria-label": "Timeline controls" },
    playButton,
    small("−", () => zoomAround(1 / ZOOM_STEP), "Zoom out"),
    small("+", () => zoomAround(ZOOM_STEP), "Zoom in"),
    small("Fit", () => follow("whole"), "Show all"),
    newestButton,
  );
  const range = make("span", { class: "patter-time-range" });
  const bar = make("div", { class: "patter-time-bar" }, make("span", { class: "patter-head", "aria-hidden": "true" }, "Timeline"), range, tools);
  const words = make("ol", { class: "patter-unheard" });
  const keys = make("p", { class: "patter-unheard" }, KEYS);
  const brush = canvas.getContext("2d");
  const palette = new TimelinePalette(() => recolour());
  const element = make("section", { class: "patter-panel patter-timeline", "aria-label": "Timeline" }, bar, stage, words, keys, palette.element);
  const source = new TimelineSource(store, () => learned());
  const hearing = new TimelineHearing(audioEngine(), `timeline ${store.page} ${Math.random()}`, {
    ask: (from, to, number) => source.wantSound(from, to, number),
    report: (error) => store.reportError(error, "The timeline cannot be heard."),
    changed: () => soundChanged(),
  });
  source.onSound = (from, pcm, rate, number) => hearing.take(from, pcm, rate, number);
  source.onMoment = (t, lines) => showMoment(t, lines);

  let shown = wholeWindow(0);
  /** @type {Following} */
  let following = "whole";
  /** The moment under the pointer, or where the keys have put the line. @type {number | null} */
  let pointed = null;
  let pointedY = 0;
  /** @type {string[]} */
  let tipLines = [];
  /** @type {import("./palette.js").TimelineColours | null} */
  let colours = null;
  let width = 0;
  let visible = true;
  let dirty = false;
  let frame = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let resting;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let wording;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let learning;
  let learnedAt = -Infinity;

  const resized = new ResizeObserver((sizes) => {
    width = Math.round(sizes[sizes.length - 1].contentRect.width);
    repaint();
  });
  const seen = new IntersectionObserver((sights) => {
    visible = sights[sights.length - 1].isIntersecting; // a cell that JupyterLab puts away and back is told of twice at once
    if (visible && dirty) repaint();
  });
  resized.observe(stage);
  seen.observe(stage);
  const letGo = listenToHand(canvas, {
    zoom: (factor, x) => zoom(factor, timeOf(x)),
    pan: (pixels) => pan((pixels * (shown.to - shown.from)) / plotWidth()),
    hover: (x, y) => point(x < GUTTER ? null : timeOf(x), y),
    leave: () => point(null, 0),
    click: (x) => x >= GUTTER && void hearing.hear(timeOf(x), source.end),
    key: (name, shift) => act(name, shift),
  });

  // --- where it is

  function plotWidth() {
    return Math.max(1, width - GUTTER);
  }

  /** @param {number} x */
  function timeOf(x) {
    return timeAt(x - GUTTER, shown, plotWidth());
  }

  /** @param {number} t */
  function xOfTime(t) {
    return GUTTER + placeOf(t, shown, plotWidth());
  }

  /** @param {import("./scale.js").TimeWindow} next @returns {boolean} whether it is another */
  function show(next) {
    if (next.from === shown.from && next.to === shown.to) return false;
    shown = next;
    repaint();
    return true;
  }

  /** @param {number} factor @param {number} at */
  function zoom(factor, at) {
    const moved = show(zoomedWindow(shown, factor, at, source.end));
    if (moved) {
      settleFollowing();
      point(pointed, pointedY);
    }
    return moved;
  }

  /** @param {number} factor */
  function zoomAround(factor) {
    zoom(factor, pointed !== null && pointed >= shown.from && pointed <= shown.to ? pointed : (shown.from + shown.to) / 2);
  }

  /** @param {number} ms */
  function pan(ms) {
    if (show(pannedWindow(shown, ms, source.end))) settleFollowing();
  }

  /** Who has gone to the newest stays there, and who shows all shows all. */
  function settleFollowing() {
    const whole = wholeWindow(source.end);
    const all = shown.from <= whole.from && shown.to >= whole.to;
    following = all ? "whole" : source.live && shown.to >= whole.to - 1 ? "newest" : "free";
  }

  /** @param {Following} what */
  function follow(what) {
    following = what;
    followOn();
    repaint();
  }

  function followOn() {
    const whole = wholeWindow(source.end);
    if (following === "whole") shown = whole;
    else if (following === "newest") shown = clampedWindow({ from: whole.to - (shown.to - shown.from), to: whole.to }, source.end);
  }

  // --- what is new

  /** Ten pictures a second are enough of what the kernel tells, however much it tells at once. */
  function learned() {
    learning ??= setTimeout(
      () => {
        learning = undefined;
        learnedAt = performance.now();
        followOn();
        repaint();
      },
      Math.max(0, learnedAt + LEARN_EVERY_MS - performance.now()),
    );
  }

  function recolour() {
    colours = null;
    repaint();
  }

  function repaint() {
    dirty = true;
    wording ??= setTimeout(putInWords, WORDS_AFTER_MS);
    if (visible && frame === 0) frame = requestAnimationFrame(paint);
  }

  function paint() {
    frame = 0;
    if (!dirty || width === 0 || brush === null) return;
    dirty = false;
    quiet.hidden = source.end > 0;
    const ratio = globalThis.devicePixelRatio || 1;
    const [across, down] = [Math.round(width * ratio), Math.round(ROWS_HEIGHT * ratio)];
    if (canvas.width !== across || canvas.height !== down) Object.assign(canvas, { width: across, height: down });
    brush.setTransform(ratio, 0, 0, ratio, 0, 0);
    colours ??= palette.read();
    const { end, live, items, tiles } = source;
    paintTimeline(brush, { shown, width, end, live, items, tiles, colours });
    source.want(shown, plotWidth());
    setText(range, `${asClock(shown.from, 100)} – ${asClock(shown.to, 100)}`);
    setAttribute(newestButton, "aria-pressed", String(following === "newest"));
    newestButton.disabled = !live;
    placeLines();
  }

  function putInWords() {
    wording = undefined;
    setAttribute(canvas, "aria-label", `Timeline: ${windowInWords(source.items, shown, source.end)}`);
    const lines = turnsInWords(source.items, shown);
    if (lines.join("\n") === [...words.children].map(({ textContent }) => textContent).join("\n")) return;
    words.replaceChildren(...lines.map((line) => make("li", {}, foreign(line))));
  }

  // --- the pointer

  /** @param {number | null} t @param {number} y */
  function point(t, y) {
    pointed = t === null ? null : Math.min(Math.max(t, 0), source.end);
    pointedY = y;
    clearTimeout(resting);
    if (pointed === null) tipLines = [];
    else {
      const near = (NEAR_PIXELS * (shown.to - shown.from)) / plotWidth();
      const found = itemAt(source.items, pointed, y, near, source.end);
      tipLines = [asClock(pointed), ...(found === null ? [] : [itemInWords(found.lane, found.item)])];
      const t = pointed;
      resting = setTimeout(() => source.wantMoment(t), REST_MS);
    }
    tip.replaceChildren(...tipLines.map((line) => make("p", {}, foreign(line))));
    placeLines();
  }

  /** @param {number} t @param {[string, string][]} lines */
  function showMoment(t, lines) {
    if (pointed === null || Math.abs(t - pointed) > 0.5) return;
    const told = lines.map(([name, value]) => make("p", {}, make("small", {}, `${name} `), foreign(value)));
    tip.replaceChildren(...tipLines.map((line) => make("p", {}, foreign(line))), ...told);
    placeLines();
  }

  /** The line under the pointer, its tooltip, and the line of what is heard. */
  function placeLines() {
    const inside = pointed !== null && pointed >= shown.from && pointed <= shown.to;
    cross.hidden = tip.hidden = !inside;
    if (pointed !== null && inside) {
      const x = xOfTime(pointed);
      cross.style.transform = `translateX(${x}px)`;
      const left = x + tip.offsetWidth + 12 > width ? Math.max(0, x - tip.offsetWidth - 10) : x + 10;
      tip.style.transform = `translate(${left}px, ${Math.max(20, Math.min(pointedY + 14, ROWS_HEIGHT - tip.offsetHeight))}px)`;
    }
    placeHead();
  }

  /** @param {string} name of a key @param {boolean} shift */
  function act(name, shift) {
    const span = shown.to - shown.from;
    const step = span * (shift ? 0.5 : 0.1);
    /** @type {Record<string, () => unknown>} */
    const acts = {
      ArrowLeft: () => movePointer(-step / 5, -step),
      ArrowRight: () => movePointer(step / 5, step),
      "+": () => zoomAround(ZOOM_STEP),
      "=": () => zoomAround(ZOOM_STEP),
      "-": () => zoomAround(1 / ZOOM_STEP),
      0: () => follow("whole"),
      Home: () => pan(-source.end),
      End: () => pan(source.end),
      " ": toggleSound,
      Enter: () => void hearing.hear(pointed ?? shown.from, source.end),
      Escape: () => hearing.stop(),
    };
    acts[name]?.();
    return name in acts;
  }

  /** The line goes on; without one, or at the edge, the window does. @param {number} by @param {number} past */
  function movePointer(by, past) {
    const next = (pointed ?? (shown.from + shown.to) / 2) + by;
    if (next < shown.from || next > shown.to) pan(past);
    point(Math.min(Math.max(next, shown.from), shown.to), 30);
  }

  // --- what is heard

  function toggleSound() {
    if (hearing.busy) hearing.stop();
    else void hearing.hear(pointed ?? shown.from, source.end);
  }

  function soundChanged() {
    const { busy } = hearing;
    setText(playButton, busy ? "■" : "▶");
    setAttribute(playButton, "aria-label", busy ? "Stop playing" : "Play");
    setAttribute(playButton, "title", busy ? "Stop playing" : "Play");
    placeHead();
    if (busy) requestAnimationFrame(runHead);
  }

  function runHead() {
    placeHead();
    if (hearing.busy) requestAnimationFrame(runHead);
  }

  function placeHead() {
    const { at } = hearing;
    const inside = at !== null && at >= shown.from && at <= shown.to;
    head.hidden = !inside;
    if (at !== null && inside) head.style.transform = `translateX(${xOfTime(at)}px)`;
  }

  return {
    element,
    update() {
      if (!source.known) source.open();
    },
    dispose() {
      letGo();
      resized.disconnect();
      seen.disconnect();
      palette.dispose();
      cancelAnimationFrame(frame);
      clearTimeout(resting);
      clearTimeout(wording);
      clearTimeout(learning);
      hearing.dispose();
      source.dispose();
    },
  };
}
