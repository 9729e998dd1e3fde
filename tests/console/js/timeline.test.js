// @ts-check
/** The timeline's page half: which stretch is seen, in what detail, what the pointer finds, what the kernel is asked, and how it is read. */
import { describe, expect, it } from "vitest";
import { GUTTER, ROWS_HEIGHT, TIMELINE_ROWS, itemAt, rowAt, rowNamed } from "../../../patter_nb/console/js/timeline/rows.js";
import { LaneItems } from "../../../patter_nb/console/js/timeline/items.js";
import {
  SHORTEST_MS,
  asClock,
  clampedWindow,
  levelFor,
  pannedWindow,
  placeOf,
  tickStep,
  timeAt,
  wholeWindow,
  zoomedWindow,
} from "../../../patter_nb/console/js/timeline/scale.js";
import { BUCKET_BYTES, PeakTiles } from "../../../patter_nb/console/js/timeline/tiles.js";
import { itemInWords, turnsInWords, windowInWords } from "../../../patter_nb/console/js/timeline/told.js";

const LEVELS = [10, 40, 160, 640, 2560, 10_240];
const HOUR = 3_600_000;

describe("the window", () => {
  it("shows all of a session, and of one that has only begun some seconds", () => {
    expect(wholeWindow(HOUR)).toEqual({ from: 0, to: HOUR });
    expect(wholeWindow(100)).toEqual({ from: 0, to: 5000 });
  });

  it("zooms so that the moment under the pointer stays where it is", () => {
    let shown = wholeWindow(HOUR);
    for (let step = 0; step < 40; step++) {
      const before = placeOf(1_234_567, shown, 1000);
      shown = zoomedWindow(shown, 1.2, 1_234_567, HOUR);
      expect(placeOf(1_234_567, shown, 1000)).toBeCloseTo(before, 6);
    }
    expect(shown.to - shown.from).toBeCloseTo(HOUR / 1.2 ** 40);
    expect(timeAt(placeOf(1_234_567, shown, 1000), shown, 1000)).toBeCloseTo(1_234_567);
  });

  it("goes no nearer than the shortest stretch, no farther than all, and never beyond the ends", () => {
    const near = zoomedWindow(wholeWindow(HOUR), 1e9, 500, HOUR);
    expect(near.to - near.from).toBe(SHORTEST_MS);
    expect(near.from).toBeGreaterThanOrEqual(0);
    expect(zoomedWindow(near, 1e-9, 500, HOUR)).toEqual(wholeWindow(HOUR));
    expect(pannedWindow({ from: 1000, to: 3000 }, -5000, HOUR)).toEqual({ from: 0, to: 2000 });
    expect(pannedWindow({ from: 1000, to: 3000 }, 1e9, HOUR)).toEqual({ from: HOUR - 2000, to: HOUR });
    expect(clampedWindow({ from: -100, to: 2 * HOUR }, HOUR)).toEqual(wholeWindow(HOUR));
  });

  it("comes back to where it was, zoomed in and out", () => {
    const shown = { from: 100_000, to: 160_000 };
    const back = zoomedWindow(zoomedWindow(shown, 3, 120_000, HOUR), 1 / 3, 120_000, HOUR);
    expect(back.from).toBeCloseTo(shown.from);
    expect(back.to).toBeCloseTo(shown.to);
  });
});

describe("the level of detail", () => {
  it.each([[1, 0], [9, 0], [10, 0], [39, 0], [40, 1], [159, 1], [3600, 4], [1e6, 5]])("at %d ms a pixel is %d", (perPixel, level) => {
    expect(levelFor(perPixel, LEVELS)).toBe(level);
  });

  it("has ticks that are far enough apart, and no farther than needed", () => {
    for (const perPixel of [0.5, 3, 60, 3600]) {
      const step = tickStep(perPixel, 74);
      expect(step / perPixel).toBeGreaterThanOrEqual(74);
      expect(step / perPixel).toBeLessThan(74 * 5);
    }
  });

  it.each([
    ...[[0, 1000, "0:00"], [65_000, 1000, "1:05"], [3_725_000, 1000, "1:02:05"]],
    ...[[4250, 10, "0:04.25"], [59_960, 100, "1:00.0"], [412, 1, "0:00.412"]],
  ])("tells %d ms by steps of %d as %s",
    (t, step, told) => expect(asClock(Number(t), Number(step))).toBe(told),
  );
});

describe("tiles", () => {
  const SIZE = 8;
  /** @param {(bucket: number) => number[]} bucketOf */
  const tileOf = (bucketOf) => Int8Array.from(Array.from({ length: SIZE }, (_, place) => bucketOf(place)).flat());
  /** @param {Int8Array} columns @param {number} x */
  const at = (columns, x) => [...columns.subarray(x * BUCKET_BYTES, (x + 1) * BUCKET_BYTES)];

  it("gives each pixel the extremes of its buckets", () => {
    const tiles = new PeakTiles(LEVELS, SIZE);
    tiles.put(0, 0, tileOf((place) => [-place, place, -2 * place, 2 * place, place % 2 === 0 ? -1 : place]));
    const columns = tiles.columns({ from: 0, to: 80 }, 4);
    expect(at(columns, 0)).toEqual([-1, 1, -2, 2, 1]);
    expect(at(columns, 3)).toEqual([-7, 7, -14, 14, 7]);
  });

  it("stretches a bucket over several pixels when nearer", () => {
    const tiles = new PeakTiles(LEVELS, SIZE);
    tiles.put(0, 0, tileOf((place) => [0, place, 0, 0, -1]));
    const columns = tiles.columns({ from: 20, to: 40 }, 10);
    expect([0, 4, 5, 9].map((x) => at(columns, x)[1])).toEqual([2, 2, 3, 3]);
  });

  it("shows what is not here by a coarser level, and nothing where there is none", () => {
    const tiles = new PeakTiles(LEVELS, SIZE);
    tiles.put(1, 0, tileOf((place) => [-10 * place, 10 * place, 0, 0, 3]));
    const columns = tiles.columns({ from: 0, to: 800 }, 80);
    expect(at(columns, 0)).toEqual([0, 0, 0, 0, 3]);
    expect(at(columns, 8)).toEqual([-20, 20, 0, 0, 3]);
    expect(at(columns, 79)).toEqual([0, 0, 0, 0, -1]);
  });

  it("asks for what a window needs and has not, never for what lies behind the end", () => {
    const tiles = new PeakTiles(LEVELS, SIZE);
    expect(tiles.missing({ from: 0, to: 800 }, 80, 250)).toEqual([[0, 0], [0, 1], [0, 2], [0, 3]]);
    tiles.put(0, 1, tileOf(() => [0, 0, 0, 0, 0]));
    expect(tiles.missing({ from: 85, to: 165 }, 8, 250)).toEqual([[0, 2]]);
    expect(tiles.missing({ from: 0, to: 8000 }, 80, 8000)[0][0]).toBe(1);
  });

  it("takes changes into the tiles that are here, over their borders too", () => {
    const tiles = new PeakTiles(LEVELS, SIZE);
    tiles.put(0, 0, tileOf(() => [0, 0, 0, 0, -1]));
    tiles.put(0, 1, tileOf(() => [0, 0, 0, 0, -1]));
    tiles.patch(0, 6, Int8Array.from([1, 2, 3, 4, 5, 6, 7].flatMap((value) => [-value, value, 0, 0, value])).subarray(0, 4 * BUCKET_BYTES));
    const columns = tiles.columns({ from: 0, to: 160 }, 16);
    expect([5, 6, 7, 8, 9, 10].map((x) => at(columns, x)[1])).toEqual([0, 1, 2, 3, 4, 0]);
    tiles.patch(0, 16, new Int8Array(BUCKET_BYTES));
    expect(tiles.has(0, 2)).toBe(false);
    tiles.drop(0, 1);
    expect(tiles.has(0, 1)).toBe(false);
  });

  it("refuses a tile of another size", () => {
    expect(() => new PeakTiles(LEVELS, SIZE).put(0, 0, new Int8Array(7))).toThrow(RangeError);
  });
});

/** @param {unknown[][]} rows */
function laneOf(...rows) {
  const items = new LaneItems();
  rows.forEach((row, place) => items.set("turns", place, row));
  return items;
}

describe("items", () => {
  const items = laneOf([0, 5000, "long"], [1000, 1200, "a"], [2000, 2000, "mark"], [3000, null, "goes on"]);
  /** @param {number} from @param {number} to */
  const texts = (from, to) => items.within("turns", { from, to }).map(({ text }) => text);

  it("are found by any part of them that is within", () => {
    expect(texts(1100, 1150)).toEqual(["long", "a"]);
    expect(texts(1900, 2100)).toEqual(["long", "mark"]);
    expect(texts(9000, 9100)).toEqual(["goes on"]);
    expect(texts(-100, -1)).toEqual([]);
    expect(items.within("none", { from: 0, to: 1 })).toEqual([]);
  });

  it("are found also after one has ended that went on", () => {
    const some = laneOf([0, null, "first"], [100, 200, "second"]);
    some.set("turns", 0, [0, 300, "first"]);
    expect(some.within("turns", { from: 250, to: 260 }).map(({ text }) => text)).toEqual(["first"]);
    expect(some.within("turns", { from: 400, to: 410 })).toEqual([]);
  });

  it("are hit by the pointer where they are, or near; the newest of those that lie there", () => {
    expect(items.hit("turns", 1100, 5, 9000)?.text).toBe("a");
    expect(items.hit("turns", 1990, 20, 9000)?.text).toBe("long");
    expect(laneOf([2000, 2000, "mark"]).hit("turns", 1990, 20, 9000)?.text).toBe("mark");
    expect(laneOf([2000, 2000, "mark"]).hit("turns", 1900, 20, 9000)).toBe(null);
    expect(laneOf([2000, null, "goes on"]).hit("turns", 9100, 20, 9000)).toBe(null);
  });

  it("of another form are refused", () => {
    for (const row of [["x"], [0, "y"], [0, 1, 2], "row", [NaN]]) expect(() => laneOf(/** @type {any} */ (row))).toThrow("another form");
    expect(() => laneOf([0]).set("turns", 5, [0])).toThrow("out of its order");
  });

  it("keep when chunks came, however many", () => {
    const some = new LaneItems();
    for (let chunk = 0; chunk < 1000; chunk += 10) some.addChunks(Uint32Array.from({ length: 10 }, (_, place) => 20 * (chunk + place)));
    expect([...some.chunks({ from: 95, to: 161 })]).toEqual([100, 120, 140, 160]);
    expect(some.chunks({ from: 0, to: 1e9 }).length).toBe(1000);
  });
});

describe("rows", () => {
  it("lie one below the other, and each is found by its place", () => {
    for (const row of TIMELINE_ROWS) {
      expect(rowAt(row.top)).toBe(row);
      expect(rowAt(row.top + row.height)).toBe(row);
    }
    expect(rowAt(-5).name).toBe("ruler");
    expect(rowAt(1e6).name).toBe("said");
    const last = TIMELINE_ROWS[TIMELINE_ROWS.length - 1];
    expect(ROWS_HEIGHT).toBeGreaterThanOrEqual(last.top + last.height);
    expect(GUTTER).toBeGreaterThan(0);
    expect(() => rowNamed("none")).toThrow(RangeError);
  });

  it("give the smallest thing under the pointer first", () => {
    const items = new LaneItems();
    items.set("turns", 0, [0, 5000, "turn"]);
    items.set("failures", 0, [1000, 1000, "failed"]);
    const y = rowNamed("turns").top + 2;
    expect(itemAt(items, 1003, y, 5, 9000)?.item.text).toBe("failed");
    expect(itemAt(items, 1100, y, 5, 9000)?.item.text).toBe("turn");
    expect(itemAt(items, 1100, rowNamed("tools").top, 5, 9000)).toBe(null);
  });
});

describe("in words", () => {
  it("an item is told by what it is, how it went, how long it took, and its text", () => {
    const item = { at: 0, to: 1500, text: "Hi", kind: "completed", turn: 3, value: null };
    expect(itemInWords("turns", item)).toBe("turn 3 · completed, 1.5 s · Hi");
    expect(itemInWords("judged", { ...item, to: 0, text: "", kind: "", value: 0.8 })).toBe("end of turn · 80 % sure");
    expect(itemInWords("tools", { ...item, to: null, kind: "running" })).toBe("tool · running, goes on · Hi");
  });

  it("a window is told, and each turn in it", () => {
    const items = laneOf([0, 1000, "one", "completed", 1], [2000, 3000, "two", "failed", 2]);
    expect(windowInWords(items, { from: 0, to: 5000 }, 5000)).toBe("2 turns in 0:05; shown is 0:00.0 to 0:05.0.");
    expect(turnsInWords(items, { from: 1500, to: 4000 })).toEqual(["0:02.0: turn 2 · failed, 1.0 s · two"]);
    const many = laneOf(...Array.from({ length: 30 }, (_, turn) => [turn, turn + 1, "", "completed", turn]));
    expect(turnsInWords(many, { from: 0, to: 100 }).at(-1)).toBe("and 18 more turns");
  });
});
