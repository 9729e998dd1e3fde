// @ts-check
/**
 * What went wrong, the kernel's faults and the page's own, as long as the person has not put it away.
 *
 * The page's are put as the kernel puts its own: cause, remedy, and a detail to copy. The same fault again is a number on its card, and
 * what the page told the kernel, which logs it, is not shown as two.
 *
 * @typedef {import("./picture.js").Fault} Fault
 * @typedef {Fault & {ids: Fault["id"][], times: number}} ShownFault one for all that say the same
 */
import { WireFault } from "./checks.js";

const DETAIL_LENGTH = 2000;

export class Trouble {
  /** @type {Fault[]} */
  #own = [];
  #count = 0;
  /** @type {Set<Fault["id"]>} */
  #away = new Set();

  /** @param {{stage: string, type: string, message: string, hint?: string, detail?: string}} fault of the page */
  report({ hint, detail, ...fault }) {
    this.#count += 1;
    this.#own.push({ ...fault, id: `page-${this.#count}`, hint: hint ?? null, turn: null, detail: detail ?? null });
  }

  /**
   * @param {unknown} error
   * @param {string} what could not be done because of it, as a sentence
   */
  reportError(error, what) {
    const understood = !(error instanceof WireFault);
    const given = error instanceof WireFault ? JSON.stringify(error.given) : error instanceof Error ? error.stack : "";
    this.report({
      stage: "console",
      type: understood ? "Console error" : "Not understood",
      message: understood ? what : `${what} ${error.message}`,
      hint: "The conversation goes on. Reload the page to see all of it; if this comes again, report it with the detail.",
      detail: `${error}\n${given}`.slice(0, DETAIL_LENGTH),
    });
  }

  /** @param {Fault["id"][]} ids that the person has read */
  putAway(ids) {
    for (const id of ids) this.#away.add(id);
    this.#own = this.#own.filter(({ id }) => !this.#away.has(id));
  }

  /**
   * Those that are to be seen, the oldest first.
   * @param {Fault[]} kernels the kernel's
   * @returns {ShownFault[]}
   */
  shown(kernels) {
    /** @type {Map<string, ShownFault>} */
    const cards = new Map();
    for (const faults of [kernels, this.#own]) {
      /** @type {Map<string, number>} */
      const times = new Map();
      for (const fault of faults) {
        if (this.#away.has(fault.id)) continue;
        const { message } = fault;
        const before = cards.get(message) ?? { ids: [], times: 0 };
        const count = (times.get(message) ?? 0) + 1;
        times.set(message, count);
        cards.set(message, { ...fault, ids: [...before.ids, fault.id], times: Math.max(before.times, count) });
      }
    }
    return [...cards.values()];
  }
}
