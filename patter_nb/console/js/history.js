// @ts-check
/**
 * How much of a long conversation a page keeps: the kernel's picture holds the last turns, older ones come when they are asked for, and
 * what nobody looks at any more is let go, so that an evening of talk does not fill the browser.
 *
 * @typedef {import("./picture.js").SessionPicture} SessionPicture
 * @typedef {import("./picture.js").TurnPicture} TurnPicture
 */

const TURNS_KEPT = 200;
const TURNS_AT_MOST = 300;
/** Turns whose chunks are kept; the views show those of the newest. */
const CHUNKS_KEPT = 3;

/**
 * The whole picture that came, with those of its older turns that are here already.
 * @param {SessionPicture} here
 * @param {SessionPicture} next
 * @returns {SessionPicture}
 */
export function mergedPicture(here, next) {
  const first = next.turns[0]?.id ?? -Infinity;
  const before = here.turns.filter((turn) => turn.id < first);
  const kept = before.slice(Math.max(0, before.length - next.older));
  const revisions = new Map(here.turns.map((turn) => [turn.id, turn.revision]));
  for (const turn of next.turns) turn.revision = 1 + (revisions.get(turn.id) ?? 0);
  return { ...next, turns: [...kept, ...next.turns], older: next.older - kept.length };
}

/**
 * Put turns that came on request before those that are here.
 * @param {SessionPicture} picture
 * @param {TurnPicture[]} turns
 * @param {number} older how many are before them
 */
export function prependTurns(picture, turns, older) {
  const first = picture.turns[0]?.id ?? Infinity;
  const before = turns.filter((turn) => turn.id < first);
  if (before.length === 0 && turns.length > 0) return; // another page asked for them
  picture.turns.unshift(...before);
  picture.older = older;
}

/**
 * Let go what is old enough.
 * @param {SessionPicture} picture
 */
export function trimTurns(picture) {
  const { turns } = picture;
  for (const turn of turns.slice(0, -CHUNKS_KEPT)) if (turn.status !== "running") turn.chunks = [];
  if (turns.length > TURNS_AT_MOST) picture.older += turns.splice(0, turns.length - TURNS_KEPT).length;
}

/**
 * The turn whose chunks are looked at: the newest that has any.
 * @param {SessionPicture} picture
 */
export function newestWithChunks({ turns }) {
  const streamed = turns.filter((turn) => turn.chunks.length > 0);
  return streamed.findLast((turn) => turn.status === "running") ?? streamed.at(-1) ?? null;
}
