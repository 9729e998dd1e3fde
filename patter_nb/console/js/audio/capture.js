// @ts-check
/**
 * The microphone as the session hears it: numbered frames of 20 ms at 16 kHz, without a gap from the moment it was opened.
 *
 * The numbering is the session's clock of speech, so it goes on whatever happens: while the person has muted themselves, while a
 * half-duplex session must not hear its own voice, while no device is there. Then the frames are silence. A recording takes the place
 * of the device sample by sample, so that somebody without a microphone can be heard, and its samples arrive exactly as they are.
 */
import { LOUDNESS_WINDOWS_PER_S, powerToDbfs } from "./loudness.js";
import { StreamResampler } from "./resampler.js";

export const CAPTURE_RATE = 16000;
export const FRAME_SAMPLES = 320;
/** A comm message costs more than what it carries, so frames travel in pairs. */
const FRAMES_PER_MESSAGE = 2;
const MESSAGE_SAMPLES = FRAME_SAMPLES * FRAMES_PER_MESSAGE;
const WINDOW_SAMPLES = CAPTURE_RATE / LOUDNESS_WINDOWS_PER_S;
/** The meter is told 20 times a second. */
const WINDOWS_PER_LEVEL = LOUDNESS_WINDOWS_PER_S / 20;

/**
 * Two frames; `seq` numbers the first, `opening` the opening of the microphone. `captureMs` says for each when its first sample was
 * captured, on the audio clock, from the opening of the microphone: `seq * 20`, unless the audio thread has missed sound; `at` is that of
 * the first in seconds of the context's time. `echo` says for each whether the agent's voice may be in it and no louder one is.
 * @typedef {{kind: "frames", session: string, opening: number, seq: number, captureMs: number[], at: number, echo: boolean[],
 *   pcm: Int16Array<ArrayBuffer>}} FramesMessage
 * What the microphone hears, in dBFS; `silenced` when silence is sent instead.
 * @typedef {{kind: "level", session: string, opening: number, peak: number, rms: number, silenced: boolean}} LevelMessage
 * The recording has been sent to its last sample.
 * @typedef {{kind: "recorded", session: string, opening: number}} RecordedMessage
 */

/** From render quanta to frames, for one session, from one opening to the next closing. */
export class MicrophoneCapture {
  #resampler;
  #samples;
  #rate;
  #post;
  #onWindow;
  #pcm = new Int16Array(MESSAGE_SAMPLES);
  #filled = 0;
  #seq = 0;
  /** @type {number[]} */
  #captureMs = [];
  /** @type {boolean[]} */
  #echo = [];
  /** The render quantum that should come next, and how many sample frames never came. */
  #nextFrame = -1;
  #missed = 0;
  #firstFrame = 0;
  /** @type {Int16Array | null} */
  #recording = null;
  #recordingAt = 0;
  #recordingOver = false;
  #windowFilled = 0;
  #windowPower = 0;
  #levelWindows = 0;
  #levelPower = 0;
  #peak = 0;

  /**
   * @param {string} session
   * @param {number} opening tells the messages of this opening of the microphone from those of an earlier one
   * @param {number} rate of the render quanta, Hz
   * @param {(message: FramesMessage | LevelMessage | RecordedMessage, transfer?: Transferable[]) => void} post
   * @param {(dbfs: number) => void} onWindow is told the level of every 10 ms
   */
  constructor(session, opening, rate, post, onWindow) {
    this.session = session;
    this.opening = opening;
    this.muted = false;
    this.halfDuplex = false;
    this.#rate = rate;
    this.#post = post;
    this.#onWindow = onWindow;
    this.#resampler = new StreamResampler(rate, CAPTURE_RATE);
    this.#samples = new Float32Array(0);
  }

  /** Gives out `pcm` (mono PCM16 at 16 kHz) from now on, in real time, in place of the device. @param {Int16Array} pcm */
  playRecording(pcm) {
    this.#recording = pcm;
    this.#recordingAt = 0;
  }

  /**
   * @param {Float32Array} input one render quantum
   * @param {number} frame its `currentFrame`
   * @param {boolean} silenced whether silence is sent
   * @param {boolean} [echo] whether the agent's voice may come back in it, and nobody talks over it
   */
  process(input, frame, silenced, echo = false) {
    if (this.#nextFrame < 0) this.#firstFrame = frame;
    if (this.#nextFrame >= 0 && frame > this.#nextFrame) this.#missed += frame - this.#nextFrame;
    this.#nextFrame = frame + input.length;
    const room = this.#resampler.outputFor(input.length);
    if (this.#samples.length < room) this.#samples = new Float32Array(room + 1);
    const count = this.#resampler.process(input, this.#samples);
    for (let i = 0; i < count; i++) {
      const sample = this.#recording === null ? this.#samples[i] : this.#recorded(this.#recording);
      this.#measure(sample, silenced);
      if (this.#filled % FRAME_SAMPLES === 0) this.#stamp(echo);
      this.#pcm[this.#filled++] = silenced ? 0 : toPcm16(sample);
      if (this.#filled === MESSAGE_SAMPLES) this.#send();
    }
  }

  /** @param {Int16Array} recording */
  #recorded(recording) {
    const sample = this.#recordingAt < recording.length ? recording[this.#recordingAt++] / 32768 : 0;
    if (this.#recordingAt >= recording.length) {
      this.#recording = null;
      this.#recordingOver = true;
    }
    return sample;
  }

  /** @param {boolean} echo */
  #stamp(echo) {
    this.#echo.push(echo);
    const samples = this.#seq * FRAME_SAMPLES + this.#filled;
    this.#captureMs.push((1000 * samples) / CAPTURE_RATE + (1000 * this.#missed) / this.#rate);
  }

  #send() {
    const { session, opening } = this;
    const pcm = this.#pcm;
    const captureMs = this.#captureMs;
    const at = this.#firstFrame / this.#rate + captureMs[0] / 1000;
    this.#post({ kind: "frames", session, opening, seq: this.#seq, captureMs, at, echo: this.#echo, pcm }, [pcm.buffer]);
    this.#pcm = new Int16Array(MESSAGE_SAMPLES);
    this.#filled = 0;
    this.#captureMs = [];
    this.#echo = [];
    this.#seq += FRAMES_PER_MESSAGE;
    if (this.#recordingOver) this.#post({ kind: "recorded", session, opening });
    this.#recordingOver = false;
  }

  /** @param {number} sample @param {boolean} silenced */
  #measure(sample, silenced) {
    this.#peak = Math.max(this.#peak, Math.abs(sample));
    this.#windowPower += sample * sample;
    if (++this.#windowFilled < WINDOW_SAMPLES) return;
    const power = this.#windowPower / WINDOW_SAMPLES;
    this.#windowFilled = this.#windowPower = 0;
    this.#levelPower += power / WINDOWS_PER_LEVEL;
    if (++this.#levelWindows === WINDOWS_PER_LEVEL) {
      const { session, opening } = this;
      const peak = powerToDbfs(this.#peak ** 2);
      this.#post({ kind: "level", session, opening, peak, rms: powerToDbfs(this.#levelPower), silenced });
      this.#levelWindows = this.#levelPower = this.#peak = 0;
    }
    this.#onWindow(powerToDbfs(power));
  }
}

/** @param {number} sample from -1.0 to 1.0 */
function toPcm16(sample) {
  return Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
}
