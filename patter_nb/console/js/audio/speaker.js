// @ts-check
/**
 * One session's loudspeaker, seen from the page's main thread.
 *
 * The cursor is told about 16 times a second, which is enough to know what was heard and too little to follow a text with the eye; so
 * between two messages it is worked out from the audio clock, which runs on at a known rate while there is sound.
 */

/**
 * @typedef {import("./player.js").PlayedMessage} PlayedMessage
 * @typedef {import("./player.js").PausedMessage} PausedMessage
 * @typedef {import("./player.js").ResumedMessage} ResumedMessage
 * @typedef {import("./player.js").FlushedMessage} FlushedMessage
 * @typedef {import("./worklet.js").FaultMessage} FaultMessage
 */

/** Made by `AudioEngine.player`. Set `onPlayed` and the others to be told. */
export class Loudspeaker {
  /** @type {((message: PlayedMessage) => void) | null} */
  onPlayed = null;
  /** @type {((message: PausedMessage) => void) | null} */
  onPaused = null;
  /** @type {((message: ResumedMessage) => void) | null} */
  onResumed = null;
  /** @type {((message: FlushedMessage) => void) | null} */
  onFlushed = null;
  /** A block could not be taken and will not be heard. @type {((message: FaultMessage) => void) | null} */
  onFault = null;
  #audio;
  #session;
  #cursor = { position: 0, at: 0, moving: false, queued: 0, rate: 0 };

  /**
   * @param {import("./pageaudio.js").PageAudio} audio
   * @param {string} session
   */
  constructor(audio, session) {
    this.#audio = audio;
    this.#session = session;
  }

  /**
   * Queues sound behind all that waits. It waits for `wake` too, where the browser has not let sound begin.
   * @param {number} start position of its first sample on the output axis, not before the end of the block before it
   * @param {Int16Array} pcm mono; it is copied
   * @param {number} rate Hz, the same for all blocks
   */
  enqueue(start, pcm, rate) {
    const copy = pcm.slice();
    this.#audio.post({ kind: "enqueue", session: this.#session, start, pcm: copy, rate }, [copy.buffer]);
  }

  /** Falls silent within 5 ms and keeps the place, until `resume` or `flush`. */
  pause() {
    this.#audio.post({ kind: "pause", session: this.#session });
  }

  /** Goes on with the sample after the last one heard. */
  resume() {
    this.#audio.post({ kind: "resume", session: this.#session });
  }

  /** Forgets all that waits, within 5 ms, and ends a pause. */
  flush() {
    this.#audio.post({ kind: "flush", session: this.#session });
  }

  /** The end of what has been given to the sound device, on the output axis; it is heard `outputLatencyMs` later. */
  get position() {
    const { position, at, moving, queued, rate } = this.#cursor;
    if (!moving) return position;
    const since = (this.#audio.currentTime - at) * rate;
    return position + Math.round(Math.max(0, Math.min(queued, since)));
  }

  /** Between a sample's leaving the page and its sounding, as the browser reports it. */
  get outputLatencyMs() {
    return this.#audio.outputLatencyMs;
  }

  /** When what leaves the page at `time` of the context sounds, in ms of the page's clock. @param {number} time seconds */
  soundsAt(time) {
    return this.#audio.soundsAt(time);
  }

  /** For the engine. @param {PlayedMessage | PausedMessage | ResumedMessage | FlushedMessage | FaultMessage} message */
  told(message) {
    if (message.kind === "played") this.#cursor = message;
    else if (message.kind !== "fault") this.#cursor = { ...this.#cursor, position: message.position, moving: false };
    switch (message.kind) {
      case "played":
        return this.onPlayed?.(message);
      case "paused":
        return this.onPaused?.(message);
      case "resumed":
        return this.onResumed?.(message);
      case "flushed":
        return this.onFlushed?.(message);
      case "fault":
        if (this.onFault === null) reportError(new Error(`session ${message.session}: ${message.message}`));
        return this.onFault?.(message);
    }
  }
}
