// @ts-check
/**
 * What the page knows of its browser, told to the kernel so that `session.doctor()` can say why somebody is not heard.
 */

export class PageFacts {
  #store;
  #told = false;
  /** When the kernel was asked for a sign, to know how long it takes; the answer goes to every page. */
  #asked = -1;

  /** @param {import("./store.js").ConsoleStore} store */
  constructor(store) {
    this.#store = store;
    this.follow();
  }

  /** Introduce the page to a kernel that does not know it yet. */
  follow() {
    const { live } = this.#store;
    if (live && !this.#told) {
      this.tell({ secure: globalThis.isSecureContext === true, agent: navigator.userAgent });
      this.#asked = performance.now();
      this.#store.tell({ kind: "ping", t0: this.#asked });
    }
    this.#told = live;
  }

  /** @param {Record<string, unknown>} facts */
  tell(facts) {
    this.#store.tell({ kind: "facts", facts });
  }

  /**
   * Whether it was an answer to a ping.
   * @param {Record<string, any>} content
   */
  take({ kind, t0 }) {
    if (kind !== "pong") return false;
    if (t0 === this.#asked) this.tell({ roundTripMs: performance.now() - this.#asked });
    return true;
  }
}
