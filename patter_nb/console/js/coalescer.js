// @ts-check
/**
 * Many changes, one painting.
 *
 * The kernel may send a batch every few milliseconds, a screen shows sixty pictures a second, and a tab that is not in front may get
 * one animation frame a second while its timers still run. So a painting waits for an animation frame or 100 ms, whichever is first,
 * and while changes stream in there is one each 100 ms: nobody reads faster, and several consoles share the page.
 */

const AT_LATEST_MS = 100;
const APART_MS = 100;

export class Coalescer {
  #paint;
  /** @type {ReturnType<typeof setTimeout> | null} */
  #timer = null;
  #frame = 0;
  #painted = -Infinity;

  /** @param {() => void} paint */
  constructor(paint) {
    this.#paint = paint;
  }

  /** Paint soon, once for however many requests. */
  request() {
    if (this.#timer !== null) return;
    const early = this.#painted + APART_MS - performance.now();
    this.#timer = setTimeout(() => this.flush(), early > 0 ? early : AT_LATEST_MS);
    if (early <= 0) this.#frame = requestAnimationFrame(() => this.flush());
  }

  /** Paint now what was requested, if anything was. */
  flush() {
    if (this.#timer === null) return;
    this.cancel();
    this.#painted = performance.now();
    this.#paint();
  }

  cancel() {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    cancelAnimationFrame(this.#frame);
    this.#timer = null;
  }
}
