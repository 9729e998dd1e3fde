// @ts-check
/**
 * Hears within a tenth of a second that the person talks over the agent, without a model and without asking the kernel.
 *
 * A kernel may be busy for seconds, and an agent that talks on for so long is rude; so the page pauses playback by itself, and leaves
 * it to the session whether it was speech. What makes that hard is the agent's own voice, which comes back through the room 50 to 300 ms
 * later, more or less weakened by the browser's echo canceller, by nobody knows how much. The rule learns that from what it hears: for
 * every delay it keeps how much weaker the microphone was than the playback that long ago. The person can only make the microphone
 * louder, so the low values of that difference are the echo; where they are low for a delay, no echo of that delay exists.
 *
 * Tuned on spoken answers and interruptions mixed with room echo (10 to 44 dB down, delays of 50 to 350 ms, reverberation up to 0.7 s).
 */

/** The level of digital silence: half a quantisation step of PCM16. */
export const SILENCE_DBFS = -96;
/** Windows a second; each is 10 ms. */
export const LOUDNESS_WINDOWS_PER_S = 100;

/** Nothing below this is somebody talking into a microphone with gain control. */
const SPEECH_AT_LEAST_DBFS = -42;
/** Speech stands out of the room by this much, and out of the echo by that much. */
const ABOVE_NOISE_DB = 12;
const ABOVE_ECHO_DB = 9;
/** This many loud windows among the newest so many. Key clicks and knocks are shorter than 50 ms; the gap after "Hold on" is allowed. */
const LOUD_WINDOWS_NEEDED = 5;
const LOUD_WINDOWS_OF = 8;

/** Delays of 0 to 700 ms are told apart, in windows: 300 ms through the devices, and then a room that rings on. */
const ECHO_DELAYS = 71;
/** The loudest echo believed in before anything was heard. */
const ECHO_AT_FIRST_DB = -10;
/** Playback softer than this teaches nothing about its echo. */
const ECHO_LEARNT_ABOVE_DBFS = -45;
/** Of the way down to a weaker echo, an estimate goes this far in a window. */
const ECHO_FALL = 0.2;
/** Slowly forgetting: 6 dB in each second of playback, since people turn up the volume and gain control turns up the microphone. */
const ECHO_RISE_DB = 6 / LOUDNESS_WINDOWS_PER_S;
/** One denied pause teaches at most this much. */
const ECHO_DENIED_DB = 12;

/** The room's noise is followed fast down and slowly up (3 dB a second), up only when no echo can be about any more. */
const NOISE_FALL = 0.3;
const NOISE_RISE_DB = 3 / LOUDNESS_WINDOWS_PER_S;
const PLAYBACK_OFF_DBFS = -60;
/** A microphone may be opened in the middle of a word, so the first window is believed to be the room only as far as this. */
const NOISE_AT_FIRST_DBFS = -35;
const NOISE_AT_LEAST_DBFS = -80;

/** The level of a mean square, in dB below full scale, from `SILENCE_DBFS`. @param {number} power from 0.0 to 1.0 */
export function powerToDbfs(power) {
  return power > 0 ? Math.max(SILENCE_DBFS, 10 * Math.log10(power)) : SILENCE_DBFS;
}

/** Fed one window of 10 ms after the other, says in which the person has begun to talk over the agent. */
export class BargeInRule {
  /** Levels of the newest windows of playback, newest first. */
  #played = new Float64Array(ECHO_DELAYS + 1).fill(SILENCE_DBFS);
  /** For each delay how much louder than that playback its echo is at most. */
  #echo = new Float64Array(ECHO_DELAYS).fill(ECHO_AT_FIRST_DB);
  #noise = NaN;
  #unknown;
  #windowsOff = ECHO_DELAYS;
  /** One bit for each of the newest windows, set where it was loud. */
  #votes = 0;
  #excess = 0;
  /** What the microphone had to exceed in the newest window, in dBFS. */
  threshold = SPEECH_AT_LEAST_DBFS;

  /** @param {boolean} [playing] whether playback of unknown level has been going on already */
  constructor(playing = false) {
    /** So many windows pass before it is known what may come back as echo. */
    this.#unknown = playing ? ECHO_DELAYS : 0;
  }

  /**
   * @param {number} heard level of the microphone, dBFS
   * @param {number} played level of what was given to the loudspeaker meanwhile, dBFS
   * @param {boolean} playing whether there is anything to interrupt
   * @returns {boolean} true in the one window in which speech has begun
   */
  hear(heard, played, playing) {
    this.#played.copyWithin(1, 0);
    this.#played[0] = played;
    this.#followNoise(heard, played);
    const echo = this.#loudestEcho();
    this.threshold = Math.max(SPEECH_AT_LEAST_DBFS, this.#noise + ABOVE_NOISE_DB, echo + ABOVE_ECHO_DB);
    const loud = heard > this.threshold;
    this.#learn(heard, loud);
    if (!playing || this.#unknown > 0) {
      this.#unknown = Math.max(0, this.#unknown - 1);
      this.#votes = 0;
      return false;
    }
    this.#votes = ((this.#votes << 1) | (loud ? 1 : 0)) & ((1 << LOUD_WINDOWS_OF) - 1);
    if (ones(this.#votes) < LOUD_WINDOWS_NEEDED) return false;
    this.#votes = 0;
    this.#excess = heard - echo;
    return true;
  }

  /** What was last taken for speech was none: it may have been an echo louder than known. */
  denied() {
    const raise = Math.min(Math.max(0, this.#excess), ECHO_DENIED_DB);
    for (let delay = 0; delay < ECHO_DELAYS; delay++) this.#echo[delay] += raise;
    this.#excess = 0;
  }

  /** @param {number} heard @param {number} played */
  #followNoise(heard, played) {
    this.#windowsOff = played > PLAYBACK_OFF_DBFS ? 0 : this.#windowsOff + 1;
    let noise = this.#noise;
    if (Number.isNaN(noise)) noise = Math.min(heard, NOISE_AT_FIRST_DBFS);
    else if (heard < noise) noise += NOISE_FALL * (heard - noise);
    else if (this.#windowsOff > ECHO_DELAYS) noise = Math.min(heard, noise + NOISE_RISE_DB);
    this.#noise = Math.max(noise, NOISE_AT_LEAST_DBFS);
  }

  /** How loud the echo of what was played may be now, in dBFS. */
  #loudestEcho() {
    let loudest = SILENCE_DBFS;
    for (let delay = 0; delay < ECHO_DELAYS; delay++) loudest = Math.max(loudest, this.#echo[delay] + this.#played[delay]);
    return loudest;
  }

  /**
   * An echo's delay is no whole number of windows, so the softest neighbour is what it must be measured against.
   * @param {number} heard @param {boolean} loud what is loud may be speech, and does not raise an estimate
   */
  #learn(heard, loud) {
    for (let delay = 0; delay < ECHO_DELAYS; delay++) {
      const after = delay > 0 ? this.#played[delay - 1] : 0;
      const played = Math.min(this.#played[delay + 1], this.#played[delay], after);
      if (played < ECHO_LEARNT_ABOVE_DBFS) continue;
      const echo = heard - played;
      if (echo < this.#echo[delay]) {
        this.#echo[delay] += ECHO_FALL * (echo - this.#echo[delay]);
      } else if (!loud) {
        this.#echo[delay] = Math.min(echo, this.#echo[delay] + ECHO_RISE_DB);
      }
    }
  }
}

/** @param {number} bits */
function ones(bits) {
  let count = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++;
  return count;
}
