// @ts-check
/**
 * The sound of a page: one microphone and one loudspeaker for all the sessions shown in it.
 *
 * Every widget on a page is a module instance of its own, perhaps of another version, and the person has one microphone. So the engine
 * is kept where all of them find it, is reached only by the methods below, and hands out and takes only plain values.
 */
import { closeDevice, factsOf, inputLatencyMs, microphones, onMicrophones, openDevice } from "./device.js";
import { AudioFault } from "./fault.js";
import { PageAudio } from "./pageaudio.js";
import { Loudspeaker } from "./speaker.js";

/**
 * Two frames of 20 ms (640 samples of mono PCM16 at 16 kHz). `seq` numbers the first since the microphone was opened; `t` is when its
 * first sample was captured, in ms since then on the audio clock, `captureMs` that of both frames, `captured` that of the first in ms of
 * the page's clock. `opening` numbers the openings; it grows, also from one page load to the next.
 * @typedef {{opening: number, seq: number, t: number, captureMs: number[], captured: number, echo: boolean[],
 *   pcm: Int16Array<ArrayBuffer>}} Frames
 * Level of the microphone in dBFS, from -96, 20 times a second; `silenced` when silence is sent instead of it.
 * @typedef {{peak: number, rms: number, silenced: boolean}} Level
 * Why the microphone is no longer the session's: another session has it, the device is gone, or the audio processor broke.
 * @typedef {"taken" | "unplugged" | "failed"} EndReason
 * @typedef {{onFrames?: (frames: Frames) => void, onLevel?: (level: Level) => void, onEnded?: (reason: EndReason) => void}} Ears
 * The session that has the microphone. `whenRecorded` is told whether the recording came to its end.
 * @typedef {{session: string, opening: number, ears: Ears, stream: MediaStream | null, unplug: () => void,
 *   whenRecorded: ((whole: boolean) => void) | null}} OpenLine
 */

/** Changes only when a method does, so that modules of two versions never share an engine that one of them cannot use. */
const ENGINE_KEY = Symbol.for("patter_nb.audio.2");

/** The one engine of this page. @returns {AudioEngine} */
export function audioEngine() {
  const page = /** @type {Record<symbol, AudioEngine | undefined>} */ (/** @type {unknown} */ (globalThis));
  return (page[ENGINE_KEY] ??= new AudioEngine());
}

export class AudioEngine {
  #audio = new PageAudio(
    (message) => this.#take(message),
    (state) => this.#stateListeners.forEach((listener) => listener(state)),
    (fault) => this.#break(fault),
  );
  /** @type {Set<(state: import("./pageaudio.js").AudioState) => void>} */
  #stateListeners = new Set();
  /** Who uses the engine. @type {Set<string>} */
  #sessions = new Set();
  /** @type {Map<string, Loudspeaker>} */
  #players = new Map();
  /** @type {Map<string, {muted: boolean, halfDuplex: boolean}>} */
  #settings = new Map();
  /** @type {OpenLine | null} */
  #line = null;
  /** The newest wish to have the microphone, while the browser asks the person. @type {{session: string} | null} */
  #wish = null;
  #opening = 0;

  get state() {
    return this.#audio.state;
  }

  /**
   * Have `listener` told of each change of `state`. Returns what takes it off again.
   * @param {(state: import("./pageaudio.js").AudioState) => void} listener
   */
  onState(listener) {
    this.#stateListeners.add(listener);
    return () => void this.#stateListeners.delete(listener);
  }

  /**
   * Lets sound run; to be called while a click or a key is handled. Resolves to the state reached within a second.
   * @throws {AudioFault} "insecure-origin", "unsupported"
   */
  async wake() {
    return this.#audio.wake();
  }

  /**
   * Gives the microphone to this session, and takes it from any other. To be called while a click or a key is handled.
   * @param {string} session
   * @param {Ears & {deviceId?: string}} given
   * @returns {Promise<import("./device.js").MicrophoneFacts | null>} null when it was closed, or wanted by another, before it was open
   * @throws {AudioFault}
   */
  async openMicrophone(session, { deviceId, ...ears }) {
    const wish = this.#begin(session);
    await this.#audio.wake();
    const stream = await openDevice(deviceId);
    try {
      // A page that has the microphone may run without a click, so this is asked only now.
      if (wish === this.#wish && (await this.#audio.wake()) !== "running") throw new AudioFault("suspended");
      if (wish === this.#wish) {
        this.#open(session, ears, stream);
        return factsOf(stream, this.#audio.rate);
      }
    } catch (error) {
      closeDevice(stream);
      throw error;
    }
    closeDevice(stream);
    return null;
  }

  /** Closes this session's microphone, and ends its recording; nothing happens when another has it. @param {string} session */
  closeMicrophone(session) {
    if (this.#wish?.session === session) this.#wish = null;
    if (this.#line?.session === session) this.#hangUp();
  }

  /**
   * Sends `pcm` (mono PCM16 at 16 kHz) as if it were spoken now: the same frames at the same pace. Where this session's microphone is
   * open, it takes the microphone's place for so long and the numbering goes on; else the numbering begins, and ends with it.
   * @param {string} session
   * @param {Int16Array} pcm
   * @param {Ears} ears
   * @returns {Promise<boolean>} when it is over: whether it was sent to its end
   * @throws {AudioFault} "suspended" and those of `wake`
   */
  async playRecording(session, pcm, ears) {
    const wish = this.#begin(session);
    if ((await this.#audio.wake()) !== "running") throw new AudioFault("suspended");
    if (wish !== this.#wish) return false;
    if (pcm.length === 0) return true;
    this.#line?.whenRecorded?.(false);
    const line = this.#line?.session === session ? this.#line : this.#open(session, ears, null);
    Object.assign(line.ears, ears);
    const copy = pcm.slice();
    this.#audio.post({ kind: "recording", session, pcm: copy }, [copy.buffer]);
    const whole = await new Promise((resolve) => (line.whenRecorded = resolve));
    if (line === this.#line && line.stream === null && whole) this.#hangUp();
    return whole;
  }

  /** Silence is sent in place of what the person says; numbering and clock go on. @param {string} session @param {boolean} muted */
  setMuted(session, muted) {
    this.#set(session, { muted });
  }

  /** The same while anything sounds and 250 ms longer; loud speech pauses nothing. @param {string} session @param {boolean} halfDuplex */
  setHalfDuplex(session, halfDuplex) {
    this.#set(session, { halfDuplex });
  }

  /** The microphones there are; without labels until one was allowed. @throws {AudioFault} "insecure-origin", "unsupported" */
  async devices() {
    return microphones();
  }

  /** Have `listener` called when microphones come and go. Returns what takes it off again. @param {() => void} listener */
  onDevices(listener) {
    return onMicrophones(listener);
  }

  /** The loudspeaker of this session, the same one each time. @param {string} session @returns {Loudspeaker} */
  player(session) {
    this.#sessions.add(session);
    const player = this.#players.get(session) ?? new Loudspeaker(this.#audio, session);
    this.#players.set(session, player);
    return player;
  }

  /** Lets go of all that this session has; with the last one, of the page's sound. @param {string} session */
  async release(session) {
    this.closeMicrophone(session);
    this.#audio.post({ kind: "release", session });
    this.#players.delete(session);
    this.#settings.delete(session);
    this.#sessions.delete(session);
    if (this.#sessions.size === 0) await this.#audio.close();
  }

  /** @param {string} session */
  #begin(session) {
    this.#sessions.add(session);
    return (this.#wish = { session });
  }

  /** @param {string} session @param {Ears} ears @param {MediaStream | null} stream @returns {OpenLine} */
  #open(session, ears, stream) {
    const unplug = stream === null ? () => {} : this.#audio.listenTo(stream);
    this.#hangUp(this.#line?.session === session ? undefined : "taken");
    this.#opening = Math.max(this.#opening + 1, Date.now());
    const line = { session, opening: this.#opening, ears: { ...ears }, stream, unplug, whenRecorded: null };
    this.#line = line;
    this.#audio.post({ kind: "open", session, opening: line.opening, ...this.#settingsOf(session) });
    const track = stream?.getAudioTracks()[0];
    track?.addEventListener("ended", () => line === this.#line && this.#hangUp("unplugged"));
    return line;
  }

  /** @param {EndReason} [reason] told to the session, where it did not ask for it */
  #hangUp(reason) {
    const line = this.#line;
    if (line === null) return;
    this.#line = null;
    line.unplug();
    if (line.stream !== null) closeDevice(line.stream);
    this.#audio.post({ kind: "close", session: line.session });
    line.whenRecorded?.(false);
    if (reason !== undefined) line.ears.onEnded?.(reason);
  }

  /** @param {string} session @param {Partial<{muted: boolean, halfDuplex: boolean}>} change */
  #set(session, change) {
    const settings = { ...this.#settingsOf(session), ...change };
    this.#settings.set(session, settings);
    if (this.#line?.session === session) this.#audio.post({ kind: "settings", session, ...settings });
  }

  /** @param {string} session */
  #settingsOf(session) {
    return this.#settings.get(session) ?? { muted: false, halfDuplex: false };
  }

  /** @param {import("./worklet.js").WorkletMessage} message */
  #take(message) {
    switch (message.kind) {
      case "frames":
      case "level":
      case "recorded":
        if (this.#line?.opening === message.opening) this.#hear(this.#line, message);
        break;
      case "played":
      case "paused":
      case "resumed":
      case "flushed":
      case "fault":
        this.#players.get(message.session)?.told(message);
    }
  }

  /** @param {OpenLine} line @param {import("./worklet.js").Captured} message */
  #hear({ ears, stream, whenRecorded }, message) {
    if (message.kind === "frames") {
      const { opening, seq, captureMs, at, echo, pcm } = message;
      const captured = this.#audio.rendersAt(at) - inputLatencyMs(stream);
      ears.onFrames?.({ opening, seq, t: captureMs[0], captureMs, captured, echo, pcm });
    } else if (message.kind === "level") {
      ears.onLevel?.({ peak: message.peak, rms: message.rms, silenced: message.silenced });
    } else {
      whenRecorded?.(true);
    }
  }

  /** @param {AudioFault} fault */
  #break(fault) {
    this.#hangUp("failed");
    reportError(fault);
  }
}
