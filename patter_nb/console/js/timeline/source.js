// @ts-check
/**
 * What a view of the timeline knows of its session: it asks the kernel for all of it once, is told what changes, and asks for more detail
 * where somebody looks. Messages are numbered; where one is missing all is asked for again.
 */
import { WireFault, check, isBoolean, isCount, isList, isNumber, isRecord, isText, listOf } from "../checks.js";
import { samplesIn } from "../recording.js";
import { LaneItems } from "./items.js";
import { BUCKET_BYTES, PeakTiles } from "./tiles.js";

const ASK_ALL_AGAIN_MS = 2000;
let opened = 0;

export class TimelineSource {
  #store;
  #changed;
  #unhook;
  #id;
  #seq = -1;
  #asked = -Infinity;
  /** Tiles that were asked for. @type {Set<string>} */
  #coming = new Set();
  /** @type {(from: number, pcm: Int16Array, rate: number, ask: number) => void} */
  onSound = () => {};
  /** @type {(t: number, lines: [string, string][]) => void} */
  onMoment = () => {};

  /** @param {import("../store.js").ConsoleStore} store @param {() => void} changed is called when anything is new */
  constructor(store, changed) {
    this.#store = store;
    this.#changed = changed;
    this.#id = `${store.page}/${++opened}`;
    /** Whether the session has been told of. */
    this.known = false;
    /** Where it ends, in ms, and whether it goes on. */
    this.end = 0;
    this.live = false;
    this.items = new LaneItems();
    this.tiles = new PeakTiles([10], 1);
    this.#unhook = store.hear((content, buffers) => this.#take(content, buffers));
    this.open();
  }

  /** Ask for all of it, unless that was just done. */
  open() {
    const now = performance.now();
    if (now - this.#asked < ASK_ALL_AGAIN_MS || !this.#tell("timeline_open")) return;
    this.#asked = now;
    this.#seq = -1;
  }

  /** Ask for what a window needs and is not here. @param {import("./scale.js").TimeWindow} shown @param {number} width */
  want(shown, width) {
    const missing = this.tiles.missing(shown, width, this.end).filter((place) => !this.#coming.has(String(place)));
    if (!this.known || missing.length === 0) return;
    for (const place of missing) this.#coming.add(String(place));
    this.#tell("timeline_tiles", { wanted: missing });
  }

  /** Ask for the sound between two moments. @param {number} from @param {number} to @param {number} ask its number */
  wantSound(from, to, ask) {
    this.#tell("timeline_hear", { from, until: to, ask });
  }

  /** Ask what was known at a moment. @param {number} t */
  wantMoment(t) {
    this.#tell("timeline_at", { t });
  }

  dispose() {
    this.#tell("timeline_close");
    this.#unhook();
  }

  /** @param {string} kind @param {object} [more] */
  #tell(kind, more) {
    return this.#store.tell({ kind, view: this.#id, ...more });
  }

  /** @param {Record<string, any>} content @param {unknown[]} buffers */
  #take(content, buffers) {
    if (!String(content.kind).startsWith("timeline_") || (content.to !== undefined && content.to !== this.#id)) return;
    if (content.kind === "timeline_whole") this.#takeWhole(content, buffers);
    else if (content.kind === "timeline_more") this.#takeMore(content, buffers);
    else if (content.kind === "timeline_tiles") this.#takeTiles(content, buffers);
    else if (content.kind === "timeline_sound") this.#takeSound(content, buffers);
    else if (content.kind === "timeline_moment") this.#takeMoment(content);
    else throw new WireFault("something of the timeline that is unknown", content);
  }

  /** @param {Record<string, any>} content @param {unknown[]} buffers */
  #takeWhole({ seq, end, live, lanes, levels, tile, tiles }, buffers) {
    const whole = Number.isSafeInteger(seq) && isNumber(end) && isBoolean(live) && isRecord(lanes) && isCount(tile) && isList(tiles);
    check(whole && listOf(isNumber)(levels), "a timeline of another form", { seq, end, live, levels, tile });
    this.items = new LaneItems();
    for (const [lane, rows] of Object.entries(lanes)) for (const [place, row] of rows.entries()) this.items.set(lane, place, row);
    this.items.addChunks(timesIn(buffers[0]));
    this.tiles = new PeakTiles(levels, tile);
    this.#coming.clear();
    this.#putTiles(tiles, buffers.slice(1));
    Object.assign(this, { end, live, known: true });
    this.#seq = seq;
    this.#changed();
  }

  /** @param {Record<string, any>} content @param {unknown[]} buffers */
  #takeMore({ seq, end, live, items, ranges, stale }, buffers) {
    if (!this.known || seq <= this.#seq) return;
    if (seq !== this.#seq + 1) return this.open();
    const whole = isNumber(end) && isBoolean(live) && isList(items) && isList(ranges) && isList(stale);
    check(whole, "news of the timeline of another form", { end, live });
    this.#seq = seq;
    for (const [lane, place, row] of items) this.items.set(lane, place, row);
    this.items.addChunks(timesIn(buffers[0]));
    for (const [place, [level, first]] of ranges.entries()) this.tiles.patch(level, first, bytesIn(buffers[place + 1]));
    for (const [level, tile] of stale) this.tiles.drop(level, tile);
    Object.assign(this, { end, live });
    this.#changed();
  }

  /** @param {Record<string, any>} content @param {unknown[]} buffers */
  #takeTiles({ tiles }, buffers) {
    this.#putTiles(tiles, buffers);
    this.#changed();
  }

  /** @param {unknown} tiles @param {unknown[]} buffers */
  #putTiles(tiles, buffers) {
    check(listOf(listOf(isCount))(tiles), "tiles of another form", tiles);
    /** @type {[number, number][]} */ (tiles).forEach(([level, tile], place) => {
      this.tiles.put(level, tile, bytesIn(buffers[place]));
      this.#coming.delete(String([level, tile]));
    });
  }

  /** @param {Record<string, any>} content @param {unknown[]} buffers */
  #takeSound({ from, rate, ask }, buffers) {
    check(isNumber(from) && isNumber(rate) && rate > 0 && isCount(ask), "a sound without a place", { from, rate, ask });
    this.onSound(from, samplesIn(buffers[0]), rate, ask);
  }

  /** @param {Record<string, any>} content */
  #takeMoment({ t, lines }) {
    check(isNumber(t) && listOf(listOf(isText))(lines), "a moment of another form", { t, lines });
    this.onMoment(t, lines);
  }
}

/** Whole grids of buckets. @param {unknown} buffer */
function bytesIn(buffer) {
  if (!(buffer instanceof DataView) || buffer.byteLength % BUCKET_BYTES !== 0) throw new WireFault("a grid of another form", buffer);
  return new Int8Array(buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength));
}

/** Little-endian whole milliseconds. @param {unknown} buffer */
function timesIn(buffer) {
  if (!(buffer instanceof DataView) || buffer.byteLength % 4 !== 0) throw new WireFault("times of another form", buffer);
  return Uint32Array.from({ length: buffer.byteLength / 4 }, (_, place) => buffer.getUint32(4 * place, true));
}
