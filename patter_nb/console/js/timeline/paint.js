// @ts-check
/**
 * One picture of a stretch of a session on a canvas.
 *
 * Only what is within the window is drawn, and of what would lie in the same pixel only one thing; so an hour costs no more than a minute.
 *
 * @typedef {{shown: import("./scale.js").TimeWindow, width: number, end: number, live: boolean, tiles: import("./tiles.js").PeakTiles,
 *   items: import("./items.js").LaneItems, colours: import("./palette.js").TimelineColours}} TimelineScene
 *   `width` in CSS pixels, with the gutter
 * @typedef {CanvasRenderingContext2D} Brush
 */
import { writtenOut } from "../dom.js";
import { GUTTER, ROWS_HEIGHT, TIMELINE_ROWS, rowNamed } from "./rows.js";
import { asClock, placeOf, tickStep } from "./scale.js";
import { BUCKET_BYTES } from "./tiles.js";

const FONT = "11px system-ui, sans-serif";
const LETTER = 5.9;
/** Below this width a span has no text. */
const TEXT_FROM = 22;
const TICKS_APART = 74;
/** Fainter sound is left out, on the companded scale of 255: a room, a fan. */
const QUIET = 13;
/** Of more milliseconds a pixel these would say nothing: the voice curve, single judgements. */
const VOICE_UP_TO = 200;
const JUDGED_UP_TO = 400;
/** Words as near to each other as this are read in one. */
const SAID_TOGETHER_MS = 700;
/** @type {Record<string, keyof import("./palette.js").TimelineColours>} */
const STATE_COLOURS = { listening: "you", thinking: "dim", calling: "tool", speaking: "agent", paused: "warn" };
/** @type {Record<string, keyof import("./palette.js").TimelineColours>} */
const KIND_COLOURS = {
  ...{ running: "dim", completed: "agent", interrupted: "warn", failed: "bad", offered: "warn", cancelled: "warn", dropped: "ghost" },
  ...{ filler: "dim", apology: "bad", answer: "agent", llm: "agent", engine: "agent", final: "you", word: "you" },
};

/** @param {Brush} brush @param {TimelineScene} scene */
export function paintTimeline(brush, scene) {
  const { width, colours } = scene;
  brush.fillStyle = colours.ground;
  brush.fillRect(0, 0, width, ROWS_HEIGHT);
  brush.font = FONT;
  brush.textBaseline = "middle";
  paintRuler(brush, scene);
  brush.save();
  brush.beginPath();
  brush.rect(GUTTER, 0, width - GUTTER, ROWS_HEIGHT);
  brush.clip();
  paintStandstills(brush, scene);
  paintStates(brush, scene);
  paintSpans(brush, scene, "turns", "turns", ({ turn, text }) => (turn === null ? text : `${turn}  ${text}`));
  paintSounds(brush, scene);
  paintJudged(brush, scene);
  paintSpans(brush, scene, "words", "words");
  paintPartials(brush, scene);
  paintSpans(brush, scene, "thinks", "requests");
  paintChunks(brush, scene);
  paintSpans(brush, scene, "tools", "tools", undefined, "tool");
  paintPlayback(brush, scene);
  paintSpans(brush, scene, "said", "pieces");
  paintMarks(brush, scene);
  brush.restore();
  paintLabels(brush, scene);
}

/** @param {TimelineScene} scene @param {number} t */
function xOf({ shown, width }, t) {
  return GUTTER + placeOf(t, shown, width - GUTTER);
}

/** @param {TimelineScene} scene */
function msPerPixel({ shown, width }) {
  return (shown.to - shown.from) / Math.max(1, width - GUTTER);
}

/** @param {Brush} brush @param {TimelineScene} scene */
function paintRuler(brush, scene) {
  const { shown, width, colours } = scene;
  const step = tickStep(msPerPixel(scene), TICKS_APART);
  const { top, height } = rowNamed("ruler");
  for (let t = Math.ceil(shown.from / step) * step; t <= shown.to; t += step) {
    const x = Math.round(xOf(scene, t)) + 0.5;
    brush.strokeStyle = colours.line;
    line(brush, x, top + height, x, ROWS_HEIGHT);
    brush.fillStyle = colours.dim;
    if (x < width - 26) brush.fillText(asClock(t, step), x + 3, top + height / 2);
  }
}

/** @param {Brush} brush @param {TimelineScene} scene */
function paintLabels(brush, { colours }) {
  for (const { name, label, top, height } of TIMELINE_ROWS) {
    brush.fillStyle = name === "you" ? colours.you : name === "agent" ? colours.agent : colours.dim;
    brush.fillText(label, 8, top + height / 2);
  }
}

/** When it stood still: at a breakpoint, or because the kernel was busy. @param {Brush} brush @param {TimelineScene} scene */
function paintStandstills(brush, scene) {
  for (const [lane, colour] of /** @type {const} */ ([["breakpoints", "warn"], ["busy", "ghost"]])) {
    brush.globalAlpha = 0.14;
    brush.fillStyle = scene.colours[colour];
    for (const { at, to } of scene.items.within(lane, scene.shown)) {
      const left = xOf(scene, at);
      brush.fillRect(left, rowNamed("turns").top, Math.max(1, xOf(scene, to ?? scene.end) - left), ROWS_HEIGHT);
    }
    brush.globalAlpha = 1;
  }
}

/** @param {Brush} brush @param {TimelineScene} scene */
function paintStates(brush, scene) {
  const { top, height } = rowNamed("ruler");
  for (const { at, to, text } of scene.items.within("states", scene.shown)) {
    const colour = STATE_COLOURS[text];
    if (colour === undefined) continue;
    const left = xOf(scene, at);
    brush.fillStyle = scene.colours[colour];
    brush.fillRect(left, top + height - 2, Math.max(1, xOf(scene, to ?? scene.end) - left), 3);
  }
}

/**
 * @param {Brush} brush @param {TimelineScene} scene @param {string} rowName @param {string} lane
 * @param {(item: import("./items.js").LaneItem) => string} [textOf]
 * @param {keyof import("./palette.js").TimelineColours} [fixed] the colour of those that have gone well
 */
function paintSpans(brush, scene, rowName, lane, textOf = ({ text }) => text, fixed) {
  const { colours, end } = scene;
  const { top, height } = rowNamed(rowName);
  let filled = -1;
  const found = scene.items.within(lane, scene.shown);
  const items = lane === "words" ? readInOne(scene, found) : found;
  for (const [place, item] of items.entries()) {
    const left = xOf(scene, item.at);
    const right = Math.max(left + 1, xOf(scene, item.to ?? end));
    if (right <= filled) continue;
    filled = Math.ceil(right);
    const named = KIND_COLOURS[item.kind] ?? "dim";
    brush.fillStyle = colours[fixed !== undefined && (named === "agent" || named === "dim") ? fixed : named];
    brush.globalAlpha = item.kind === "dropped" ? 0.1 : right - left > 4 ? 0.2 : 0.45;
    brush.fillRect(left, top + 1, right - left, height - 2);
    brush.globalAlpha = 1;
    if (right - left > 4) brush.fillRect(left, top + 1, 2, height - 2);
    const next = place + 1 < items.length ? xOf(scene, items[place + 1].at) : Infinity;
    paintText(brush, colours.ink, textOf(item), left, Math.min(right, next), top + height / 2);
  }
}

/**
 * Words that have no room one by one, as the phrases that they make.
 * @param {TimelineScene} scene @param {import("./items.js").LaneItem[]} words
 */
function readInOne(scene, words) {
  const perPixel = msPerPixel(scene);
  /** @type {import("./items.js").LaneItem[]} */
  const phrases = [];
  for (const word of words) {
    const before = phrases[phrases.length - 1];
    const room = ((word.to ?? word.at) - word.at) / perPixel;
    const together = before !== undefined && before.kind === "word" && word.kind === "word" && before.to !== null;
    if (together && room < word.text.length * LETTER + 8 && word.at - Number(before.to) < SAID_TOGETHER_MS) {
      phrases[phrases.length - 1] = { ...before, to: word.to, text: `${before.text} ${word.text}` };
    } else {
      phrases.push(word);
    }
  }
  return phrases;
}

/**
 * Text in a span, as far as it fits.
 * @param {Brush} brush @param {string} colour @param {string} text @param {number} left @param {number} right @param {number} y
 */
function paintText(brush, colour, text, left, right, y) {
  const from = Math.max(left, GUTTER) + 5;
  const room = Math.floor((right - from - 2) / LETTER);
  if (right - from < TEXT_FROM || text === "" || room < 3) return;
  const line = writtenOut(text.slice(0, 400)).replaceAll(/\s+/g, " ").trim();
  brush.fillStyle = colour;
  brush.fillText(line.length > room ? `${line.slice(0, room - 1)}…` : line, from, y, right - from);
}

/** Both waveforms, and the voice probability over the person's. @param {Brush} brush @param {TimelineScene} scene */
function paintSounds(brush, scene) {
  const { colours, width, tiles, shown } = scene;
  const across = Math.max(1, Math.round(width - GUTTER));
  const columns = tiles.columns(shown, across);
  paintWave(brush, columns, 0, rowNamed("you"), colours.you, colours.line);
  paintWave(brush, columns, 2, rowNamed("agent"), colours.agent, colours.line);
  if (msPerPixel(scene) > VOICE_UP_TO) return;
  const { top, height } = rowNamed("you");
  brush.beginPath();
  let drawn = false;
  for (let x = 0; x < across; x++) {
    const voice = columns[x * BUCKET_BYTES + 4];
    const y = top + height - 1 - (Math.max(0, voice) / 127) * (height - 2);
    if (voice >= 0) brush[drawn ? "lineTo" : "moveTo"](GUTTER + x + 0.5, y);
    drawn = voice >= 0;
  }
  brush.strokeStyle = colours.warn;
  brush.lineWidth = 1;
  brush.globalAlpha = 0.75;
  brush.stroke();
  brush.globalAlpha = 1;
}

/**
 * @param {Brush} brush @param {Int8Array} columns @param {number} column @param {import("./rows.js").TimelineRow} row
 * @param {string} colour @param {string} baseline
 */
function paintWave(brush, columns, column, { top, height }, colour, baseline) {
  const middle = top + height / 2;
  const half = (height - 4) / 2 / 127;
  const across = columns.length / BUCKET_BYTES;
  brush.fillStyle = baseline;
  brush.fillRect(GUTTER, Math.round(middle), across, 1);
  brush.fillStyle = colour;
  brush.beginPath();
  for (let x = 0; x < across; x++) {
    const low = columns[x * BUCKET_BYTES + column];
    const high = columns[x * BUCKET_BYTES + column + 1];
    if (high - low < QUIET) continue;
    brush.rect(GUTTER + x, middle - high * half, 1, Math.max(1, (high - low) * half));
  }
  brush.fill();
}

/** The detector's judgements: how far up is how sure it was that the person had finished. @param {Brush} brush @param {TimelineScene} scene */
function paintJudged(brush, scene) {
  if (msPerPixel(scene) > JUDGED_UP_TO) return;
  const { top, height } = rowNamed("you");
  brush.fillStyle = brush.strokeStyle = scene.colours.ink;
  for (const { at, value } of scene.items.within("judged", scene.shown)) {
    const [x, y] = [xOf(scene, at), top + (1 - (value ?? 0)) * (height - 6) + 3];
    line(brush, x, top + height - 1, x, y);
    brush.beginPath();
    brush.arc(x, y, 2.5, 0, 2 * Math.PI);
    brush.fill();
  }
}

/** What was understood while the person still spoke; each stands until the next. @param {Brush} brush @param {TimelineScene} scene */
function paintPartials(brush, scene) {
  const { colours, end } = scene;
  const { top, height } = rowNamed("hears");
  let filled = -1;
  brush.font = `italic ${FONT}`;
  for (const { at, to, text } of scene.items.within("partials", scene.shown)) {
    const left = xOf(scene, at);
    if (left <= filled) continue;
    filled = Math.floor(left);
    brush.fillStyle = colours.you;
    brush.fillRect(left, top + 3, 1, height - 6);
    paintText(brush, colours.dim, text, left - 2, xOf(scene, to ?? end), top + height / 2);
  }
  brush.font = FONT;
  brush.fillStyle = colours.warn;
  for (const { at } of scene.items.within("dropped", scene.shown)) brush.fillRect(xOf(scene, at) - 1, top + 2, 2, height - 4);
}

/** A tick for each chunk. @param {Brush} brush @param {TimelineScene} scene */
function paintChunks(brush, scene) {
  const { top, height } = rowNamed("thinks");
  let filled = -1;
  brush.fillStyle = scene.colours.agent;
  for (const t of scene.items.chunks(scene.shown)) {
    const x = Math.round(xOf(scene, t));
    if (x === filled) continue;
    filled = x;
    brush.fillRect(x, top + height - 5, 1, 4);
  }
}

/** Under the agent's sound whether it was playing, or held. @param {Brush} brush @param {TimelineScene} scene */
function paintPlayback(brush, scene) {
  const { top, height } = rowNamed("agent");
  for (const { at, to, kind } of scene.items.within("playback", scene.shown)) {
    const left = xOf(scene, at);
    brush.fillStyle = kind === "paused" ? scene.colours.warn : scene.colours.agent;
    brush.fillRect(left, top + height - 2, Math.max(1, xOf(scene, to ?? scene.end) - left), 2);
  }
}

/** What goes through several rows: interruptions, changes, failures, and where it is now. @param {Brush} brush @param {TimelineScene} scene */
function paintMarks(brush, scene) {
  const { colours, items, shown } = scene;
  const you = rowNamed("you");
  const agent = rowNamed("agent");
  brush.strokeStyle = colours.warn;
  brush.setLineDash([3, 2]);
  for (const { at } of items.within("interruptions", shown)) line(brush, xOf(scene, at), you.top, xOf(scene, at), agent.top + agent.height);
  brush.setLineDash([]);
  for (const [lane, colour] of /** @type {const} */ ([["changes", "tool"], ["failures", "bad"]])) {
    brush.fillStyle = brush.strokeStyle = colours[colour];
    for (const { at } of items.within(lane, shown)) {
      const x = xOf(scene, at);
      line(brush, x, rowNamed("turns").top, x, ROWS_HEIGHT);
      brush.beginPath();
      brush.moveTo(x - 4, 4);
      brush.lineTo(x + 4, 4);
      brush.lineTo(x, 13);
      brush.fill();
    }
  }
  if (scene.live) {
    brush.strokeStyle = colours.dim;
    line(brush, xOf(scene, scene.end), rowNamed("turns").top, xOf(scene, scene.end), ROWS_HEIGHT);
  }
}

/** @param {Brush} brush @param {number} x @param {number} y @param {number} toX @param {number} toY */
function line(brush, x, y, toX, toY) {
  brush.lineWidth = 1;
  brush.beginPath();
  brush.moveTo(x, y);
  brush.lineTo(toX, toY);
  brush.stroke();
}
