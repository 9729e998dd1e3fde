// @ts-check
/**
 * Speech that the browser makes by itself, with a cursor on the output axis like sound has: the kernel gives each text a place and a length
 * there, and a word of it has its place in proportion.
 *
 * `speechSynthesis` is one for the whole page, and its own pause does not work everywhere. So a pause ends the utterance, and the rest is
 * spoken from the word on that stood there; whoever else ends it, another session on the page, say, only delays it.
 *
 * @typedef {{start: number, length: number, text: string, voice: string | null, language: string | null, speed: number, pitch: number}} Speech
 * @typedef {{speech: Speech, reached: number, utterance: any}} Spoken what is being spoken, and which character the voice has reached
 */

/** The kernel takes sound whose cursor stands still for heard; between two words it has to move a little. */
const TICK_MS = 500;
/** A browser that has not begun by then has no voice, whatever it says. */
const BEGIN_WITHIN_MS = 5000;
const ENDED_BY_OTHERS = ["canceled", "interrupted"];

export class SpokenAloud {
  /** The cursor moved. @type {((position: number) => void) | null} */
  onPlayed = null;
  /** It began or ended to speak, or to wait for a click. @type {(() => void) | null} */
  onChange = null;
  /** A text will not be heard, for this reason. @type {((reason: string) => void) | null} */
  onFault = null;
  position = 0;
  /** Whether the browser wants a click first. */
  blocked = false;
  /** @type {Speech[]} */
  #queue = [];
  /** @type {Spoken | null} */
  #current = null;
  /** What goes on first. @type {{speech: Speech, from: number} | null} */
  #held = null;
  #paused = false;
  #ready;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #ticking;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #beginning;

  /** @param {() => boolean} ready whether what has to be heard before was heard */
  constructor(ready) {
    this.#ready = ready;
    globalThis.speechSynthesis?.getVoices(); // some browsers begin to look for them only when they are asked
  }

  /** Whether anything is spoken, or waits. */
  get busy() {
    return this.#current !== null || this.#held !== null || this.#queue.length > 0;
  }

  get speaking() {
    return this.#current !== null;
  }

  /** @param {Speech} speech behind all that waits */
  enqueue(speech) {
    this.#queue.push(speech);
    this.next();
  }

  /** Go on, if there is something and nothing stands in the way. */
  next() {
    if (this.#current !== null || this.#paused || this.blocked || !this.#ready()) return;
    const { speech, from } = this.#held ?? { speech: this.#queue.shift(), from: 0 };
    this.#held = null;
    if (speech !== undefined) this.#begin(speech, from);
  }

  /** Fall silent and keep the place, until `resume` or `flush`. */
  pause() {
    this.#paused = true;
    this.#hold();
  }

  /** Go on with the word that was not heard whole. */
  resume() {
    this.#paused = false;
    this.next();
  }

  /** Forget what has not been heard, and end a pause. */
  flush() {
    this.#queue = [];
    this.#paused = false;
    this.#hold();
    this.#held = null;
    this.onChange?.();
  }

  /** The person has clicked: try again. */
  wake() {
    this.blocked = false;
    this.next();
  }

  /** @param {Speech} speech @param {number} from */
  #begin(speech, from) {
    const { speechSynthesis: synthesis, SpeechSynthesisUtterance: Utterance } = globalThis;
    if (synthesis === undefined || Utterance === undefined) return this.#lose(speech, "It has no speech synthesis.");
    const utterance = new Utterance(speech.text.slice(from));
    utterance.voice = synthesis.getVoices().find(({ name }) => name === speech.voice) ?? null;
    if (speech.language !== null) utterance.lang = speech.language;
    utterance.rate = speech.speed;
    utterance.pitch = speech.pitch;
    const current = (this.#current = { speech, reached: from, utterance });
    const ours = () => this.#current === current;
    utterance.onstart = () => ours() && this.#started();
    utterance.onboundary = ({ charIndex }) => ours() && this.#reach(from + charIndex);
    utterance.onend = () => ours() && this.#ended();
    utterance.onerror = ({ error }) => ours() && this.#failed(error);
    this.#beginning = setTimeout(() => ours() && this.#failed("it has no voice for this"), BEGIN_WITHIN_MS);
    synthesis.speak(utterance);
    this.onChange?.();
  }

  #started() {
    clearTimeout(this.#beginning);
    this.#move(this.#place() + 1);
    this.#ticking = setInterval(() => this.#move(this.position + 1), TICK_MS);
  }

  /** @param {number} character */
  #reach(character) {
    const current = this.#current;
    if (current === null) return;
    current.reached = Math.max(current.reached, Math.min(character, current.speech.text.length));
    this.#move(this.#place() + 1);
  }

  /** Where the word that is spoken stands on the output axis. */
  #place() {
    if (this.#current === null) return this.position;
    const { speech, reached } = this.#current;
    return speech.start + Math.floor((speech.length * reached) / Math.max(1, speech.text.length));
  }

  /** @param {number} position never back, and not to the end before it is over */
  #move(position) {
    const { start, length } = /** @type {Spoken} */ (this.#current).speech;
    const here = Math.min(position, start + length - 1);
    if (here <= this.position) return;
    this.position = here;
    this.onPlayed?.(here);
  }

  #ended() {
    const { speech } = /** @type {Spoken} */ (this.#current);
    this.#settle();
    this.#heard(speech);
  }

  /** @param {Speech} speech */
  #heard(speech) {
    this.position = Math.max(this.position, speech.start + speech.length);
    this.onPlayed?.(this.position);
    this.next();
    this.onChange?.();
  }

  /** @param {string} error */
  #failed(error) {
    const { speech, reached } = /** @type {Spoken} */ (this.#current);
    this.#settle();
    if (error === "not-allowed" || ENDED_BY_OTHERS.includes(error)) {
      this.#held = { speech, from: reached };
      this.blocked = error === "not-allowed";
      this.onChange?.();
      this.next();
    } else {
      globalThis.speechSynthesis.cancel();
      this.#lose(speech, `It said: ${error}.`);
    }
  }

  /** The conversation goes on without it. @param {Speech} speech @param {string} reason */
  #lose(speech, reason) {
    this.onFault?.(reason);
    this.#heard(speech);
  }

  #hold() {
    if (this.#current === null) return;
    const { speech, reached } = this.#current;
    this.#settle();
    this.#held = { speech, from: reached };
    globalThis.speechSynthesis.cancel();
    this.onChange?.();
  }

  #settle() {
    clearTimeout(this.#beginning);
    clearInterval(this.#ticking);
    this.#current = null;
  }
}
