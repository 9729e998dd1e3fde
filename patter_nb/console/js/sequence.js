// @ts-check
/**
 * Which batch is to be applied. They are numbered because a front end may lose messages silently: the server drops what comes too fast.
 * After a gap they are useless until the whole picture has come, and since that may be lost too, it is asked for again.
 */

const ASK_AGAIN_MS = 2000;

export class BatchSequence {
  /** The last batch that the picture contains, -1 for none. */
  last = -1;
  /** Whether batches are useless until the whole picture came. */
  awaiting = true;
  /** Whether it ever came. */
  known = false;
  #asked = -Infinity;

  /**
   * What to do about a batch: apply it, leave it, or ask for the whole picture.
   * @param {number} seq
   * @param {number} now ms
   * @returns {"apply" | "leave" | "ask"}
   */
  take(seq, now) {
    if (this.awaiting) return now - this.#asked < ASK_AGAIN_MS ? "leave" : "ask";
    if (seq <= this.last) return "leave";
    if (seq !== this.last + 1) return "ask";
    this.last = seq;
    return "apply";
  }

  /** @param {number} now ms; the whole picture is asked for */
  asked(now) {
    this.awaiting = true;
    this.#asked = now;
  }

  /** @param {number} seq of the last batch that the picture that came contains */
  came(seq) {
    this.awaiting = false;
    this.known = true;
    this.last = seq;
  }
}
