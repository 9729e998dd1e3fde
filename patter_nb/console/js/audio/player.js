// @ts-check
/**
 * One session's voice in the audio thread: its ring, brought to the rate of the context, and what the session is told about it.
 *
 * The page pauses on loud speech without asking, so it must also be able to go on without being told: a kernel that is busy, or gone,
 * would otherwise leave the agent silent in the middle of a word. The session has 600 ms to answer; they are counted in samples of
 * sound, since timers of a page in the background run late.
 */
import { StreamResampler } from "./resampler.js";
import { PlaybackRing } from "./ring.js";

/** No answer to a local pause within this time means: go on. */
const ANSWER_WITHIN_MS = 600;
/** How often the cursor is told while it moves. */
const PLAYED_EVERY_MS = 60;

/**
 * The cursor: the end of what was heard on the output axis, at `at` seconds of the context's time. While `moving` it goes on from there
 * at `rate` samples a second, through the `queued` samples that wait.
 * @typedef {{kind: "played", session: string, position: number, underruns: number, at: number, moving: boolean, queued: number,
 *   rate: number}} PlayedMessage
 * Playback fell silent at `position`: by `"itself"` because of loud speech, by `"session"` because it was told to.
 * @typedef {{kind: "paused", session: string, position: number, by: "itself" | "session"}} PausedMessage
 * Playback goes on from `position`: by `"itself"` when the session gave no answer in 600 ms.
 * @typedef {{kind: "resumed", session: string, position: number, by: "itself" | "session"}} ResumedMessage
 * What waited has been forgotten; `position` is the end of what was heard.
 * @typedef {{kind: "flushed", session: string, position: number}} FlushedMessage
 */

/** Renders the queued sound of one session into quanta of the context. */
export class SessionPlayer {
  /** @type {PlaybackRing | null} made with the first sound, which says the rate */
  #ring = null;
  /** @type {StreamResampler | null} */
  #resampler = null;
  #samples = new Float32Array(0);
  #quantum = new Float32Array(0);
  #contextRate;
  #post;
  /** Whether the session asked for silence before there was any sound. */
  #held = false;
  /** The sample frame at which a local pause ends by itself; infinite when none is to. */
  #answerBy = Infinity;
  /** Input samples of silence until the resampler's filter has run empty. */
  #ringing = 0;
  #reported = 0;
  #reportedFrame = -Infinity;
  #moving = false;

  /**
   * @param {string} session
   * @param {number} contextRate Hz
   * @param {(message: PlayedMessage | PausedMessage | ResumedMessage | FlushedMessage) => void} post
   */
  constructor(session, contextRate, post) {
    this.session = session;
    this.#contextRate = contextRate;
    this.#post = post;
  }

  /** Whether there is sound to interrupt. */
  get playing() {
    return this.#ring !== null && this.#ring.playing;
  }

  /** Whether the loudspeaker gets anything of it, be it the end of a fade. */
  get sounding() {
    return this.#ring !== null && !(this.#ring.silent && this.#ringing <= 0);
  }

  /** Whether a local pause waits for the session's answer. */
  get waiting() {
    return this.#answerBy !== Infinity;
  }

  /**
   * @param {number} start @param {Int16Array} pcm @param {number} rate
   * @throws {RangeError} for a block out of order, or when the rate is not that of the sound before
   */
  enqueue(start, pcm, rate) {
    if (this.#ring === null) {
      this.#resampler = new StreamResampler(rate, this.#contextRate);
      this.#ring = new PlaybackRing(rate);
      if (this.#held) this.#ring.pause();
    } else if (this.#ring.rate !== rate) {
      throw new RangeError(`sound at ${rate} Hz behind sound at ${this.#ring.rate} Hz, which is the output axis of this session`);
    }
    this.#ring.enqueue(start, pcm);
  }

  /** Falls silent because of loud speech; goes on by itself when nobody answers. @param {number} frame the `currentFrame` */
  pauseLocally(frame) {
    this.#answerBy = frame + Math.round((this.#contextRate * ANSWER_WITHIN_MS) / 1000);
    this.#pause("itself");
  }

  /** Falls silent until the session says otherwise. */
  pause() {
    this.#answerBy = Infinity;
    this.#pause("session");
  }

  /** @param {"itself" | "session"} by */
  resume(by) {
    this.#answerBy = Infinity;
    this.#held = false;
    const position = this.#ring === null ? 0 : this.#ring.resume();
    this.#post({ kind: "resumed", session: this.session, position, by });
  }

  flush() {
    this.#answerBy = Infinity;
    this.#held = false;
    const position = this.#ring === null ? 0 : this.#ring.flush();
    this.#post({ kind: "flushed", session: this.session, position });
  }

  /** Whether the session has let the time for an answer pass. @param {number} frame the `currentFrame` */
  unanswered(frame) {
    return frame >= this.#answerBy;
  }

  /**
   * Adds the next quantum to what is in `output`.
   * @param {Float32Array} output
   * @param {number} frame the `currentFrame`
   */
  render(output, frame) {
    const ring = this.#ring;
    const resampler = this.#resampler;
    if (ring === null || resampler === null) return;
    const silent = ring.silent;
    if (!silent || this.#ringing > 0) {
      const needed = resampler.inputFor(output.length);
      if (this.#samples.length < needed) this.#samples = new Float32Array(needed + 1);
      if (this.#quantum.length !== output.length) this.#quantum = new Float32Array(output.length);
      ring.pull(this.#samples, needed);
      this.#ringing = silent ? this.#ringing - needed : resampler.taps;
      resampler.process(this.#samples, this.#quantum, needed);
      for (let i = 0; i < output.length; i++) output[i] += this.#quantum[i];
    }
    this.#report(ring, frame, frame + output.length + (resampler.taps / 2) * (this.#contextRate / ring.rate));
  }

  /** @param {"itself" | "session"} by */
  #pause(by) {
    this.#held = true;
    const position = this.#ring === null ? 0 : this.#ring.pause();
    this.#post({ kind: "paused", session: this.session, position, by });
  }

  /** @param {PlaybackRing} ring @param {number} frame @param {number} heardFrame where the sample at the cursor will be heard */
  #report(ring, frame, heardFrame) {
    const moving = ring.playing;
    const moved = ring.position !== this.#reported;
    const due = frame - this.#reportedFrame >= (this.#contextRate * PLAYED_EVERY_MS) / 1000;
    if (!(moved && due) && !(this.#moving && !moving)) return;
    const { position, underruns, queued, rate } = ring;
    const at = heardFrame / this.#contextRate;
    this.#post({ kind: "played", session: this.session, position, underruns, at, moving, queued, rate });
    this.#reported = position;
    this.#reportedFrame = frame;
    this.#moving = moving;
  }
}
