// @ts-check
/**
 * The loudness of both sounds, as far as the page has it: tiles of some levels of detail, each a grid of buckets.
 *
 * A bucket is five signed bytes: low and high of the person's sound, of the agent's, and the voice probability, -1 where none was measured.
 * What is not there yet at the level that the zoom wants is shown by a coarser one.
 */
import { levelFor } from "./scale.js";

export const BUCKET_BYTES = 5;
const EMPTY_BUCKET = [0, 0, 0, 0, -1];

export class PeakTiles {
  /** @type {Map<number, Int8Array>[]} */
  #tiles;

  /** @param {number[]} levels milliseconds of a bucket, the finest first @param {number} size buckets of a tile */
  constructor(levels, size) {
    this.levels = levels;
    this.size = size;
    this.#tiles = levels.map(() => new Map());
  }

  /** @param {number} level @param {number} tile its number @param {Int8Array} grid */
  put(level, tile, grid) {
    if (grid.length !== this.size * BUCKET_BYTES) throw new RangeError(`a tile of ${grid.length} bytes`);
    this.#tiles[level].set(tile, grid);
  }

  /** Take in what has changed, where its tile is here. @param {number} level @param {number} first bucket @param {Int8Array} grid */
  patch(level, first, grid) {
    const count = grid.length / BUCKET_BYTES;
    for (let at = 0; at < count; ) {
      const tile = Math.floor((first + at) / this.size);
      const place = (first + at) % this.size;
      const length = Math.min(this.size - place, count - at);
      this.#tiles[level].get(tile)?.set(grid.subarray(at * BUCKET_BYTES, (at + length) * BUCKET_BYTES), place * BUCKET_BYTES);
      at += length;
    }
  }

  /** Much of it has changed. @param {number} level @param {number} tile */
  drop(level, tile) {
    this.#tiles[level].delete(tile);
  }

  /** @param {number} level @param {number} tile */
  has(level, tile) {
    return this.#tiles[level].has(tile);
  }

  /**
   * The tiles that this window would need and that are not here: [level, tile].
   * @param {import("./scale.js").TimeWindow} shown @param {number} width @param {number} end of the session
   * @returns {[number, number][]}
   */
  missing({ from, to }, width, end) {
    const level = levelFor((to - from) / width, this.levels);
    const span = this.levels[level] * this.size;
    const last = Math.ceil(Math.min(to, end) / span) - 1;
    /** @type {[number, number][]} */
    const wanted = [];
    for (let tile = Math.floor(Math.max(0, from) / span); tile <= last; tile++) if (!this.has(level, tile)) wanted.push([level, tile]);
    return wanted;
  }

  /**
   * The extremes for each pixel: `width` buckets. @param {import("./scale.js").TimeWindow} shown @param {number} width
   */
  columns({ from, to }, width) {
    const columns = new Int8Array(width * BUCKET_BYTES);
    const perPixel = (to - from) / width;
    const level = levelFor(perPixel, this.levels);
    const bucket = this.levels[level];
    for (let x = 0; x < width; x++) {
      const first = Math.floor((from + x * perPixel) / bucket);
      const stop = Math.max(first + 1, Math.floor((from + (x + 1) * perPixel) / bucket));
      this.#join(columns, x * BUCKET_BYTES, level, Math.max(0, first), stop);
    }
    return columns;
  }

  /** @param {Int8Array} columns @param {number} place @param {number} level @param {number} first @param {number} stop */
  #join(columns, place, level, first, stop) {
    columns.set(EMPTY_BUCKET, place);
    for (let bucket = first; bucket < stop; bucket++) {
      let at = bucket;
      let grid;
      for (let coarser = level; coarser < this.levels.length; coarser++) {
        at = Math.floor((bucket * this.levels[level]) / this.levels[coarser]);
        grid = this.#tiles[coarser].get(Math.floor(at / this.size));
        if (grid !== undefined) break;
      }
      if (grid === undefined) continue;
      const from = (at % this.size) * BUCKET_BYTES;
      for (let column = 0; column < BUCKET_BYTES; column++) {
        const value = grid[from + column];
        const known = columns[place + column];
        const low = column === 0 || column === 2;
        if (low ? value < known : value > known) columns[place + column] = value;
      }
    }
  }
}
