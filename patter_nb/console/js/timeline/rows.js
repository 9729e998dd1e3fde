// @ts-check
/**
 * The rows of the timeline from top to bottom, and what lies in each: what is drawn where, and what the pointer finds there.
 *
 * @typedef {{name: string, label: string, top: number, height: number, lanes: string[]}} TimelineRow
 */

const GAP = 3;
/**
 * Label, height in CSS pixels, and the lanes in which something may be found, the smallest things first.
 * @type {[string, string, number, string[]][]}
 */
const ROWS = [
  ["ruler", "", 18, ["failures", "changes", "breakpoints", "busy", "states"]],
  ["turns", "turns", 17, ["failures", "changes", "breakpoints", "turns"]],
  ["you", "you", 46, ["interruptions", "judged", "muted", "speech"]],
  ["words", "words", 16, ["words"]],
  ["hears", "partials", 15, ["dropped", "partials"]],
  ["thinks", "thinks", 15, ["failures", "requests"]],
  ["tools", "tools", 15, ["tools"]],
  ["agent", "agent", 46, ["interruptions", "playback", "pieces"]],
  ["said", "heard", 16, ["pieces"]],
];

/** Room for the labels at the left, in CSS pixels. */
export const GUTTER = 52;

/** @type {TimelineRow[]} */
export const TIMELINE_ROWS = [];
let top = 0;
for (const [name, label, height, lanes] of ROWS) {
  TIMELINE_ROWS.push({ name, label, top, height, lanes });
  top += height + GAP;
}

/** The height of all of them. */
export const ROWS_HEIGHT = top;

/** The row at `y`, or the next above it; the first above all. @param {number} y */
export function rowAt(y) {
  return TIMELINE_ROWS.findLast((row) => row.top <= y) ?? TIMELINE_ROWS[0];
}

/** @param {string} name */
export function rowNamed(name) {
  const row = TIMELINE_ROWS.find((each) => each.name === name);
  if (row === undefined) throw new RangeError(`there is no row ${name}`);
  return row;
}

/**
 * What the pointer is on: of the row's lanes the first that has something within `near` ms.
 * @param {import("./items.js").LaneItems} items @param {number} t @param {number} y @param {number} near @param {number} end
 * @returns {{lane: string, item: import("./items.js").LaneItem} | null}
 */
export function itemAt(items, t, y, near, end) {
  for (const lane of rowAt(y).lanes) {
    const item = items.hit(lane, t, near, end);
    if (item !== null) return { lane, item };
  }
  return null;
}
