// @ts-check
/**
 * Many changes, one painting.
 *
 * The kernel may send a batch every few milliseconds, a screen shows sixty pictures a second, and a tab that is not in front may get
 * one animation frame a second while its timers still run. So a painting waits for an animation frame or 100 ms, whichever is first.
 */

const AT_LATEST_MS = 100;

export class Coalescer {
  #paint;
  /** @type {ReturnType<typeof setTimeout> | null} */
  #timer = null;
  #frame = 0;

  /** @param {() => void} paint */
  constructor(paint) {
    this.#paint = paint;
  }

  /** Paint soon, once for however many requests. */
  request() {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => this.flush(), AT_LATEST_MS);
    this.#frame = requestAnimationFrame(() => this.flush());
  }

  /** Paint now what was requested, if anything was. */
  flush() {
    if (this.#timer === null) return;
    this.cancel();
    this.#paint();
  }

  cancel() {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    cancelAnimationFrame(this.#frame);
    this.#timer = null;
  }
}
