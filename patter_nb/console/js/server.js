// @ts-check
/**
 * Whether the server behind the page answers. A page hears as little from a kernel that is blocked as through a server that is gone, and
 * what the person should do is not the same; so the server is asked as long as nothing is heard.
 */

const EVERY_MS = 2000;
const PATIENCE_MS = 1500;

/** Whether the server of this page answers, whatever it says. A page that no server gave (in VS Code, say) cannot tell: true. */
export async function serverAnswers() {
  if (!/^https?:$/.test(location.protocol)) return true;
  try {
    await fetch(location.href, { method: "HEAD", cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    return true;
  } catch {
    return false;
  }
}

export class ServerWatch {
  #answers;
  #changed;
  #asking = false;
  #asked = -Infinity;
  #gone = false;
  #silent = false;

  /** @param {() => Promise<boolean>} answers asks the server @param {() => void} changed is called when `gone` has changed */
  constructor(answers, changed) {
    this.#answers = answers;
    this.#changed = changed;
  }

  /** Whether it gave no answer when it was asked last; false as soon as the kernel is heard again. */
  get gone() {
    return this.#silent && this.#gone;
  }

  /** To be called a few times a second. @param {boolean} silent whether nothing is heard from the kernel @param {number} now ms */
  look(silent, now) {
    if (!silent) this.#gone = false;
    this.#silent = silent;
    if (!silent || this.#asking || now - this.#asked < EVERY_MS) return;
    this.#asked = now;
    this.#ask();
  }

  async #ask() {
    this.#asking = true;
    const gone = !(await this.#answers());
    this.#asking = false;
    if (gone === this.#gone) return;
    this.#gone = gone;
    this.#changed();
  }
}
