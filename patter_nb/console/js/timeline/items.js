// @ts-check
/**
 * The spans and marks of each lane, in the order in which they began, as the kernel tells of them.
 *
 * @typedef {{at: number, to: number | null, text: string, kind: string, turn: number | null, value: number | null}} LaneItem
 *   `to` is null while it lasts, and equals `at` for a mark
 */
import { check, isCount, isList, isNumber, isText } from "../checks.js";

export class LaneItems {
  /** @type {Map<string, {items: LaneItem[], longest: number}>} */
  #lanes = new Map();
  /** When each chunk came. @type {Uint32Array} */
  #chunks = new Uint32Array(0);
  #chunkCount = 0;

  /** @param {string} lane @param {number} place @param {unknown} row */
  set(lane, place, row) {
    const known = this.#lanes.get(lane) ?? { items: [], longest: 0 };
    check(place <= known.items.length, "an item out of its order", [lane, place]);
    this.#lanes.set(lane, known);
    const item = readItem(row);
    known.items[place] = item;
    known.longest = Math.max(known.longest, item.to === null ? Infinity : item.to - item.at);
    if (item.to !== null && known.longest === Infinity) {
      known.longest = known.items.reduce((longest, { at, to }) => Math.max(longest, to === null ? Infinity : to - at), 0);
    }
  }

  /** @param {Uint32Array} times of chunks that came after those that are here */
  addChunks(times) {
    const count = this.#chunkCount + times.length;
    if (count > this.#chunks.length) {
      const room = new Uint32Array(Math.max(count, 2 * this.#chunks.length));
      room.set(this.#chunks.subarray(0, this.#chunkCount));
      this.#chunks = room;
    }
    this.#chunks.set(times, this.#chunkCount);
    this.#chunkCount = count;
  }

  /** When chunks came within a window. @param {import("./scale.js").TimeWindow} shown */
  chunks({ from, to }) {
    const all = this.#chunks.subarray(0, this.#chunkCount);
    return all.subarray(firstNotBefore(all, from, Number), firstNotBefore(all, to, Number));
  }

  /** All items of a lane. @param {string} lane @returns {readonly LaneItem[]} */
  all(lane) {
    return this.#lanes.get(lane)?.items ?? [];
  }

  /** Those of which anything lies within a window. @param {string} lane @param {import("./scale.js").TimeWindow} shown @returns {LaneItem[]} */
  within(lane, { from, to }) {
    const { items, longest } = this.#lanes.get(lane) ?? { items: [], longest: 0 };
    const first = firstNotBefore(items, from - longest, atOf);
    const found = [];
    for (let place = first; place < items.length && items[place].at <= to; place++) {
      const item = items[place];
      if (item.to === null || item.to >= from) found.push(item);
    }
    return found;
  }

  /**
   * What of a lane is at `t`, or as near as `near` ms to it; of several the nearest, of those the newest.
   * @param {string} lane @param {number} t @param {number} near @param {number} end where what still lasts ends
   * @returns {LaneItem | null}
   */
  hit(lane, t, near, end) {
    let best = null;
    let distance = near;
    for (const item of this.within(lane, { from: t - near, to: t + near })) {
      const away = Math.max(0, item.at - t, t - (item.to ?? end));
      if (away <= distance) {
        best = item;
        distance = away;
      }
    }
    return best;
  }
}

/** @param {LaneItem} item */
function atOf({ at }) {
  return at;
}

/**
 * @template Each
 * @param {ArrayLike<Each>} sorted @param {number} t @param {(each: Each) => number} timeOf
 */
function firstNotBefore(sorted, t, timeOf) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (timeOf(sorted[middle]) < t) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** @param {unknown} row [at, to, text, kind, turn, value], of which the last may be left out @returns {LaneItem} */
function readItem(row) {
  check(isList(row), "an item of another form", row);
  const [at, to = null, text = "", kind = "", turn = null, value = null] = /** @type {any[]} */ (row);
  const whole = isNumber(at) && (to === null || isNumber(to)) && isText(text) && isText(kind);
  check(whole && (turn === null || isCount(turn)) && (value === null || isNumber(value)), "an item of another form", row);
  return { at, to, text, kind, turn, value };
}
