// @ts-check
/**
 * Who wants to be told. One that fails does not keep the others from hearing, and is reported once rather than sixty times a second.
 *
 * @template {unknown[]} Given
 */
export class Listeners {
  /** @type {Set<(...given: Given) => void>} */
  #all = new Set();
  /** @type {WeakSet<(...given: Given) => void>} */
  #broken = new WeakSet();
  #report;

  /** @param {(error: unknown) => void} report */
  constructor(report) {
    this.#report = report;
  }

  /**
   * @param {(...given: Given) => void} listener
   * @returns {() => void} what takes it off again
   */
  add(listener) {
    this.#all.add(listener);
    return () => void this.#all.delete(listener);
  }

  /** @param {Given} given */
  tell(...given) {
    for (const listener of [...this.#all]) {
      try {
        listener(...given);
      } catch (error) {
        if (!this.#broken.has(listener)) this.#report(error);
        this.#broken.add(listener);
      }
    }
  }

  clear() {
    this.#all.clear();
  }
}
