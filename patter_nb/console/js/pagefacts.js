// @ts-check
/**
 * What the page knows of its browser, told to the kernel so that `session.doctor()` can say why somebody is not heard; and signs that go
 * to and fro, by which the kernel knows how the page's clock stands against its own.
 */
import { isNumber } from "./checks.js";
import { pageClock } from "./pageclock.js";

/** Clocks drift apart by less than a millisecond in this time. */
const SIGN_EVERY_MS = 10_000;
/** At first several in a row: the quickest of them is the one that tells. */
const SIGNS_AT_FIRST = 4;

export class PageFacts {
  #store;
  #told = false;
  /** When the kernel was asked for a sign, by the page's clock; the answer goes to every page. */
  #asked = -1;
  #answers = 0;
  #asking;

  /** @param {import("./store.js").ConsoleStore} store */
  constructor(store) {
    this.#store = store;
    this.#asking = setInterval(() => store.live && this.#ask(), SIGN_EVERY_MS);
    this.follow();
  }

  dispose() {
    clearInterval(this.#asking);
  }

  /** Introduce the page to a kernel that does not know it yet. */
  follow() {
    const { live } = this.#store;
    if (live && !this.#told) {
      this.tell({ secure: globalThis.isSecureContext === true, agent: navigator.userAgent });
      this.#answers = 0;
      this.#ask();
    }
    this.#told = live;
  }

  /** @param {Record<string, unknown>} facts */
  tell(facts) {
    this.#store.tell({ kind: "facts", facts });
  }

  /**
   * Whether it was a sign.
   * @param {Record<string, any>} content `t1` is when it was given, by the kernel's clock
   */
  take({ kind, t0, t1 }) {
    if (kind !== "pong") return false;
    if (t0 !== this.#asked || !isNumber(t1)) return true;
    this.#store.signs.heard(t1);
    this.#store.tell({ kind: "clock", ...this.#store.signs.take(), sent: pageClock() });
    if (this.#answers === 0) this.tell({ roundTripMs: pageClock() - t0 });
    this.#answers += 1;
    this.#asked = -1;
    if (this.#answers < SIGNS_AT_FIRST) this.#ask();
    return true;
  }

  #ask() {
    this.#asked = pageClock();
    this.#store.tell({ kind: "ping", t0: this.#asked });
  }
}
