// @ts-check
/**
 * A moment of the session, heard again: a few seconds of both voices, by the page's one audio context.
 *
 * A browser lets sound begin only while a click or a key is handled, so the audio is woken before the kernel is asked for the sound.
 */
export const HEARD_MS = 8000;

export class TimelineHearing {
  #engine;
  #id;
  #ask;
  #report;
  #changed;
  /** The number of the newest wish; what comes for an older one is too late. */
  #wish = 0;
  /** @type {import("../audio/speaker.js").Loudspeaker | null} */
  #player = null;
  /** The end of what was ever given to the player, on its axis. */
  #given = 0;
  /** @type {{from: number, start: number, stop: number, rate: number} | null} */
  #playing = null;

  /**
   * @param {import("../audio/engine.js").AudioEngine} engine
   * @param {string} id its name among the sessions that sound in this page
   * @param {{ask: (from: number, to: number, number: number) => void, report: (error: unknown) => void, changed: () => void}} told
   */
  constructor(engine, id, { ask, report, changed }) {
    this.#engine = engine;
    this.#id = id;
    this.#ask = ask;
    this.#report = report;
    this.#changed = changed;
  }

  /** Whether something is heard, or about to be. */
  get busy() {
    return this.#playing !== null || this.waiting;
  }

  /** Whether the sound has been asked for and has not come. */
  waiting = false;

  /** Which moment is heard now, null when none is. */
  get at() {
    if (this.#playing === null || this.#player === null) return null;
    const { from, start, rate } = this.#playing;
    const gone = this.#player.position - start - (this.#player.outputLatencyMs * rate) / 1000;
    return from + (Math.max(0, gone) / rate) * 1000;
  }

  /** Hear it from a moment on; to be called while a click or a key is handled. @param {number} from @param {number} end of the session */
  async hear(from, end) {
    this.stop();
    const number = this.#wish;
    this.waiting = true;
    this.#changed();
    try {
      this.#player = this.#engine.player(this.#id);
      this.#player.onPlayed = ({ position }) => this.#played(position);
      await this.#engine.wake();
      if (number === this.#wish) this.#ask(from, Math.min(end, from + HEARD_MS), number);
    } catch (error) {
      this.waiting = false;
      this.#report(error);
      this.#changed();
    }
  }

  /** The sound that was asked for. @param {number} from @param {Int16Array} pcm @param {number} rate @param {number} number */
  take(from, pcm, rate, number) {
    if (number !== this.#wish || this.#player === null) return;
    this.waiting = false;
    const start = Math.max(this.#given, this.#player.position);
    this.#given = start + pcm.length;
    this.#playing = pcm.length > 0 ? { from, start, stop: this.#given, rate } : null;
    if (pcm.length > 0) this.#player.enqueue(start, pcm, rate);
    this.#changed();
  }

  stop() {
    this.#wish += 1;
    if (!this.busy) return;
    this.waiting = false;
    this.#playing = null;
    this.#player?.flush();
    this.#changed();
  }

  dispose() {
    this.#wish += 1;
    this.#playing = null;
    if (this.#player === null) return;
    this.#player.onPlayed = null;
    void this.#engine.release(this.#id);
  }

  /** @param {number} position */
  #played(position) {
    if (this.#playing === null || position < this.#playing.stop) return;
    this.#playing = null;
    this.#changed();
  }
}
