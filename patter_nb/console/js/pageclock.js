// @ts-check
/** The page's clock: milliseconds since 1970 that run evenly, whatever is done to the computer's clock meanwhile. */

export function pageClock() {
  return performance.timeOrigin + performance.now();
}

/**
 * What comes from the kernel says when it was sent, by the kernel's clock. Nothing arrives before that, so the quickest of many tells most
 * of how the two clocks stand.
 */
export class ClockSigns {
  /** @type {{told: number, received: number} | null} */
  #quickest = null;

  /** @param {number} told by the kernel's clock, when it was sent */
  heard(told) {
    const received = pageClock();
    if (this.#quickest === null || told - received > this.#quickest.told - this.#quickest.received) this.#quickest = { told, received };
  }

  /** The quickest since the last time. @returns {{told: number, received: number} | null} */
  take() {
    const quickest = this.#quickest;
    this.#quickest = null;
    return quickest;
  }
}
