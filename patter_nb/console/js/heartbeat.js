// @ts-check
/**
 * Whether the kernel is busy with something else.
 *
 * The session's own loop sends a beat every 500 ms. A cell that blocks the loop stops the beats and with them every answer, which looks
 * like a broken microphone unless somebody says so. A page that was itself held up has heard no beats either: that is not counted.
 */

const LATE_MS = 900;
/** A look that comes this much after the one before says that the page was held up. */
const HELD_UP_MS = 700;

export class Heartbeat {
  /** @type {number | null} */
  #last = null;
  /** @type {number | null} */
  #looked = null;

  /** @param {number} now ms, of any clock that runs evenly */
  beat(now) {
    this.#last = now;
  }

  /** No beats are awaited until the next one. */
  forget() {
    this.#last = null;
  }

  /**
   * How long the kernel has been busy, in ms; 0 when it is not. To be asked a few times a second.
   * @param {number} now
   */
  look(now) {
    const since = this.#looked === null ? 0 : now - this.#looked;
    this.#looked = now;
    if (this.#last === null) return 0;
    if (since > HELD_UP_MS) this.#last += since;
    const missing = now - this.#last;
    return missing > LATE_MS ? missing : 0;
  }
}
