// @ts-check
/**
 * How much of an answer the person has heard.
 *
 * The session keeps the truth, by the same rule: whole pieces, of the piece that sounds whole words (in scripts without spaces,
 * characters), nothing after it. The page follows its own playback cursor meanwhile, so that ink runs along with the voice.
 *
 * @typedef {import("./picture.js").TurnPicture} TurnPicture
 * @typedef {{text: string, start: number, stop: number, length: number, done: boolean, sounds: boolean, filler: boolean,
 *   by: string | null}} SaidPiece a piece with its text as it is shown; `length` is a guess at its samples while its end still moves
 */
import { writtenOut } from "./dom.js";

const LETTERS_A_SECOND = 15;
const BREAK_BEHIND = /(?:[\s\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe6f\uff00-\uffef]|[\u{20000}-\u{3fffd}])$/u;

/**
 * The pieces of an answer, so that their texts one after the other are what is shown.
 * @param {TurnPicture} turn
 * @param {number} rate Hz of the output axis
 * @returns {SaidPiece[]}
 */
export function saidOf(turn, rate) {
  /** @type {import("./picture.js").SpokenPiece | null} */
  let last = null;
  return turn.pieces.map((piece) => {
    const { text, kind, start, stop, done, by = null } = piece;
    const apart = last !== null && last.kind !== kind && !/\s$/.test(last.text) && !/^\s/.test(text);
    const shown = writtenOut(last === null ? text.trimStart() : apart ? ` ${text}` : text);
    last = piece;
    const sounds = start !== null && stop !== null;
    const samples = sounds ? stop - start : 0;
    const length = done ? samples : Math.max(samples, Math.floor((text.length * rate) / LETTERS_A_SECOND));
    return { text: shown, start: start ?? 0, stop: stop ?? 0, length, done, sounds, filler: kind === "filler", by };
  });
}

/**
 * Where in the whole another provider took over: before the first word of its first piece.
 * @param {SaidPiece[]} pieces
 * @returns {import("./heardtext.js").Seam[]}
 */
export function seamsOf(pieces) {
  const seams = [];
  let at = 0;
  /** @type {string | null} */
  let last = null;
  for (const { text, by } of pieces) {
    const blank = text.length - text.trimStart().length;
    if (by !== null && last !== null && by !== last && at > 0) seams.push({ at: at + blank, by: writtenOut(by) });
    if (blank < text.length) last = by ?? last;
    at += text.length;
  }
  return seams;
}

/**
 * How many characters of a piece are heard when the cursor stands at `cursor`; null where this page plays nothing.
 * @param {SaidPiece} piece
 * @param {number | null} cursor
 */
function heardOfPiece({ text, start, stop, length, done, sounds }, cursor) {
  if (!sounds) return done ? text.length : 0;
  if (cursor === null || cursor <= start) return 0;
  if (cursor >= stop && done) return text.length;
  let cut = Math.min(Math.floor((text.length * (cursor - start)) / Math.max(1, length)) + 1, text.length);
  while (cut > 0 && !BREAK_BEHIND.test(text.slice(Math.max(0, cut - 2), cut))) cut -= 1;
  return cut;
}

/**
 * How many characters of the whole are heard, by the cursor.
 * @param {SaidPiece[]} pieces
 * @param {number | null} cursor
 */
export function heardLength(pieces, cursor) {
  let heard = 0;
  for (const piece of pieces) {
    const here = heardOfPiece(piece, cursor);
    heard += here;
    if (!piece.done || here < piece.text.length) break;
  }
  return heard;
}

/**
 * How many characters of the whole are heard, by what the session settled; null when the pieces do not begin with that.
 * Fillers are no part of the settled text; they count with what comes before them.
 * @param {SaidPiece[]} pieces
 * @param {string} settled
 */
export function settledLength(pieces, settled) {
  const heard = writtenOut(settled).replace(/\s+/g, "");
  let shown = 0;
  let place = 0;
  for (const { text, filler, sounds } of pieces) {
    if (filler) {
      if (place === heard.length && !sounds) break;
      shown += text.length;
      continue;
    }
    for (const character of text) {
      const blank = /\s/.test(character);
      if (!blank && place === heard.length) return shown;
      if (!blank && !heard.startsWith(character, place)) return null;
      if (!blank) place += character.length;
      shown += character.length;
    }
  }
  return place === heard.length ? shown : null;
}
