// @ts-check
/**
 * The agent's voice in this page: what the kernel sends goes to the page's audio, and how far it was heard goes back.
 *
 * Some agents have no sound but the browser's own voice; then the kernel sends the text, and sound and speech are heard in their order.
 * Sound for another page is that page's business. Where the browser wants a click before anything may sound the blocks wait, and the store
 * says so.
 */
import { WireFault, isCount, isNumber } from "./checks.js";
import { samplesIn } from "./recording.js";
import { SpokenAloud } from "./spokenaloud.js";

/** So long after its own speech a page's microphone may still hear it. */
const ECHO_MS = 250;

export class SessionVoice {
  #store;
  #engine;
  #player;
  /** Whether this page has been given any sound. */
  #plays = false;
  #moving = false;
  /** The end of the sound that was given to the player. */
  #given = 0;
  /** Sound that comes behind speech which is still spoken. @type {{start: number, pcm: Int16Array, rate: number}[]} */
  #behind = [];
  #aloud = new SpokenAloud(() => this.#player.position >= this.#given);
  #spokeLately = false;
  /** The browser began to speak by itself, or was silent for long enough. @type {(() => void) | null} */
  onSpeech = null;
  /** That the browser cannot speak is said once. */
  #lostSpeech = false;
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
    this.#aloud.onPlayed = (position) => void store.tell({ kind: "played", position });
    this.#aloud.onChange = () => this.#readSpeech();
    this.#aloud.onFault = (reason) => this.#losesSpeech(reason);
    this.#unhook = engine.onState(() => this.#readState());
    store.cursor = () => this.#cursor();
  }

  dispose() {
    this.#unhook();
    this.#aloud.onPlayed = this.#aloud.onChange = this.#aloud.onFault = null;
    this.#aloud.flush();
    this.#player.onPlayed = this.#player.onPaused = this.#player.onFault = null;
  }

  /**
   * Let sound begin; to be called while a click or a key is handled. Where the browser does not let it yet the kernel sends it all the
   * same, and it waits here. Throws the engine's AudioFault.
   * @param {boolean} answering whether it is for an answer to what the person is just saying, so that they need no greeting
   */
  async wake(answering) {
    this.#aloud.wake();
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

  /** Whether the browser speaks by itself, or did just now. */
  get speaksAloud() {
    return this.#spokeLately;
  }

  /** Forget what has not sounded yet. */
  flush() {
    this.#behind = [];
    this.#given = 0;
    this.#player.flush();
    this.#aloud.flush();
  }

  /**
   * Whether it was a message about sound, which is now done.
   * @param {Record<string, any>} content
   * @param {unknown[]} buffers
   */
  take(content, buffers) {
    const acts = {
      sound: () => this.#play(content, buffers[0]),
      speech: () => this.#speak(content),
      pause: () => this.#both("pause"),
      resume: () => this.#both("resume"),
      flush: () => this.flush(),
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
    this.#behind.push({ start, pcm: samplesIn(buffer), rate });
    this.#passOn();
    this.#readState();
  }

  /** Sound goes to the player, unless speech has to be heard before it. */
  #passOn() {
    if (this.#aloud.busy) return;
    for (const { start, pcm, rate } of this.#behind.splice(0)) {
      this.#given = start + pcm.length;
      this.#player.enqueue(start, pcm, rate);
    }
  }

  /** @param {Record<string, any>} content */
  #speak(content) {
    const { start, length, text, voice, language, speed, pitch } = content;
    const isWhole = isCount(start) && isCount(length) && typeof text === "string" && isNumber(speed) && isNumber(pitch);
    if (!isWhole) throw new WireFault("speech without a place", content);
    this.#aloud.enqueue({ start, length, text, voice: voice ?? null, language: language ?? null, speed, pitch });
  }

  /** @param {"pause" | "resume"} what */
  #both(what) {
    this.#player[what]();
    this.#aloud[what]();
  }

  /** The browser began to speak by itself, or ended. */
  #readSpeech() {
    this.#passOn();
    if (this.#aloud.speaking) this.#spokeLately = true;
    else setTimeout(() => this.#forgetSpeech(), ECHO_MS);
    this.onSpeech?.();
    this.#readState();
    this.#store.changed();
  }

  #forgetSpeech() {
    if (this.#aloud.speaking || !this.#spokeLately) return;
    this.#spokeLately = false;
    this.onSpeech?.();
  }

  /** @param {string} reason */
  #losesSpeech(reason) {
    if (this.#lostSpeech) return;
    this.#lostSpeech = true;
    const cause = `This browser cannot speak by itself. ${reason}`;
    const remedy = "Install a voice in the system, use another browser, or give the agent another voice: session.tts = ...";
    this.#store.report({ stage: "tts", type: "No voice", message: cause, hint: remedy });
    this.#store.tell({ kind: "trouble", name: "no-voice", cause, remedy });
  }

  /** @param {{position: number, at: number, moving: boolean}} message */
  #played({ position, at, moving }) {
    this.#store.tell({ kind: "played", position, at: this.#player.soundsAt(at) });
    if (moving !== this.#moving) this.#store.changed();
    this.#moving = moving;
    this.#aloud.next();
  }

  /** Sound waits for a click when this page has some and may not play it. */
  #readState() {
    const blocked = this.#aloud.blocked || (this.#plays && this.#engine.state !== "running");
    if (blocked === this.#store.soundBlocked) return;
    this.#store.soundBlocked = blocked;
    this.#store.changed();
  }

  /** How far the person has heard; what was given to the sound device sounds a little later. */
  #cursor() {
    if (!this.#plays) return this.#aloud.position > 0 || this.#aloud.busy ? this.#aloud.position : null;
    const played = this.#player.position - (this.#player.outputLatencyMs * this.#store.picture.rate) / 1000;
    return Math.max(0, played, this.#aloud.position);
  }
}
