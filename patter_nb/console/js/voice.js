// @ts-check
/**
 * The agent's voice in this page: what the kernel sends goes to the page's audio, and how far it was heard goes back.
 *
 * Sound for another page is that page's business. Where the browser wants a click before anything may sound the blocks wait, and the store
 * says so.
 */
import { WireFault, isCount, isNumber } from "./checks.js";
import { samplesIn } from "./recording.js";

export class SessionVoice {
  #store;
  #engine;
  #player;
  /** Whether this page has been given any sound. */
  #plays = false;
  #moving = false;
  #unhook;

  /**
   * @param {import("./store.js").ConsoleStore} store
   * @param {import("./talk.js").Engine} engine
   * @param {string} id of the session in this page
   */
  constructor(store, engine, id) {
    this.#store = store;
    this.#engine = engine;
    this.#player = engine.player(id);
    this.#player.onPlayed = (message) => this.#played(message);
    this.#player.onPaused = ({ position, by }) => void (by === "itself" && store.tell({ kind: "paused", position }));
    this.#player.onFault = ({ message }) => store.reportError(new Error(message), "Some sound of the agent cannot be played.");
    this.#unhook = engine.onState(() => this.#readState());
    store.cursor = () => this.#cursor();
  }

  dispose() {
    this.#unhook();
    this.#player.onPlayed = this.#player.onPaused = this.#player.onFault = null;
  }

  /**
   * Let sound begin; to be called while a click or a key is handled. Where the browser does not let it yet the kernel sends it all the
   * same, and it waits here. Throws the engine's AudioFault.
   * @param {boolean} answering whether it is for an answer to what the person is just saying, so that they need no greeting
   */
  async wake(answering) {
    await this.#engine.wake();
    this.#readState();
    this.#store.tell({ kind: "sound_on", answering });
    this.isOn();
  }

  /** The kernel knows that this page sounds. */
  isOn() {
    this.#store.soundOn = true;
    this.#store.changed();
  }

  /** Forget what has not sounded yet. */
  flush() {
    this.#player.flush();
  }

  /**
   * Whether it was a message about sound, which is now done.
   * @param {Record<string, any>} content
   * @param {unknown[]} buffers
   */
  take(content, buffers) {
    const acts = {
      sound: () => this.#play(content, buffers[0]),
      pause: () => this.#player.pause(),
      resume: () => this.#player.resume(),
      flush: () => this.#player.flush(),
    };
    if (!Object.hasOwn(acts, content.kind)) return false;
    if (content.to === this.#store.page) acts[/** @type {keyof typeof acts} */ (content.kind)]();
    return true;
  }

  /**
   * @param {Record<string, any>} content
   * @param {unknown} buffer
   */
  #play({ start, rate }, buffer) {
    if (!isCount(start) || !isNumber(rate) || rate <= 0) throw new WireFault("sound without a place", { start, rate });
    this.#plays = true;
    this.#player.enqueue(start, samplesIn(buffer), rate);
    this.#readState();
  }

  /** @param {{position: number, moving: boolean}} message */
  #played({ position, moving }) {
    this.#store.tell({ kind: "played", position });
    if (moving !== this.#moving) this.#store.changed();
    this.#moving = moving;
  }

  /** Sound waits for a click when this page has some and may not play it. */
  #readState() {
    const blocked = this.#plays && this.#engine.state !== "running";
    if (blocked === this.#store.soundBlocked) return;
    this.#store.soundBlocked = blocked;
    this.#store.changed();
  }

  /** How far the person has heard; what was given to the sound device sounds a little later. */
  #cursor() {
    if (!this.#plays) return null;
    return Math.max(0, this.#player.position - (this.#player.outputLatencyMs * this.#store.picture.rate) / 1000);
  }
}
