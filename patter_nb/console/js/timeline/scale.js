// @ts-check
/**
 * Which stretch of a session's time is seen, and where a moment of it lies on the screen. Times are milliseconds of the session.
 *
 * @typedef {{from: number, to: number}} TimeWindow
 */

/** No shorter stretch is shown: a bucket of sound is 10 ms long, and becomes a block. */
export const SHORTEST_MS = 400;
/** A session that has only begun is not blown up. */
const LEAST_WHOLE_MS = 5000;
const TICKS_MS = [
  ...[10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000],
  ...[60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 86_400_000],
];

/** All of it. @param {number} end of the session @returns {TimeWindow} */
export function wholeWindow(end) {
  return { from: 0, to: Math.max(end, LEAST_WHOLE_MS) };
}

/** The nearest window that shows nothing but the session. @param {TimeWindow} wished @param {number} end @returns {TimeWindow} */
export function clampedWindow(wished, end) {
  const whole = wholeWindow(end).to;
  const span = Math.min(Math.max(wished.to - wished.from, SHORTEST_MS), whole);
  const from = Math.min(Math.max(wished.from, 0), whole - span);
  return { from, to: from + span };
}

/**
 * Nearer by `factor` (below 1: farther), so that the moment `at` stays where it is on the screen.
 * @param {TimeWindow} shown @param {number} factor @param {number} at @param {number} end @returns {TimeWindow}
 */
export function zoomedWindow({ from, to }, factor, at, end) {
  const whole = wholeWindow(end).to;
  const span = Math.min(Math.max((to - from) / factor, SHORTEST_MS), whole);
  const left = at - ((at - from) / (to - from)) * span;
  return clampedWindow({ from: left, to: left + span }, end);
}

/** @param {TimeWindow} shown @param {number} ms later (below 0: earlier) @param {number} end @returns {TimeWindow} */
export function pannedWindow({ from, to }, ms, end) {
  return clampedWindow({ from: from + ms, to: to + ms }, end);
}

/** @param {number} x pixels from the left @param {TimeWindow} shown @param {number} width in pixels */
export function timeAt(x, { from, to }, width) {
  return from + (x / Math.max(1, width)) * (to - from);
}

/** @param {number} t @param {TimeWindow} shown @param {number} width in pixels */
export function placeOf(t, { from, to }, width) {
  return ((t - from) / (to - from)) * width;
}

/**
 * The coarsest level of detail that still has a bucket for each pixel.
 * @param {number} msPerPixel @param {number[]} levels milliseconds of a bucket, the finest first
 */
export function levelFor(msPerPixel, levels) {
  return Math.max(0, levels.findLastIndex((bucket) => bucket <= msPerPixel));
}

/** The step of the ruler's ticks, so that they are `apart` pixels from each other at least. @param {number} msPerPixel @param {number} apart */
export function tickStep(msPerPixel, apart) {
  return TICKS_MS.find((step) => step / msPerPixel >= apart) ?? TICKS_MS[TICKS_MS.length - 1];
}

/** A moment as a clock shows it, with as many places as `step` needs: 4:05, 1:02:03, 0:04.25. @param {number} t @param {number} [step] */
export function asClock(t, step = 1) {
  const places = step >= 1000 ? 0 : step >= 100 ? 1 : step >= 10 ? 2 : 3;
  const whole = Math.max(0, Math.round(t / 10 ** (3 - places)) / 10 ** places);
  const [hours, minutes, seconds] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const told = seconds.toFixed(places).padStart(places === 0 ? 2 : places + 3, "0");
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${told}` : `${minutes}:${told}`;
}
