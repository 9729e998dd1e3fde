// @ts-check
/**
 * From one sample rate to another, in the audio thread.
 *
 * A page cannot choose the rate of its AudioContext everywhere (Firefox refuses a microphone of another rate), while a session hears
 * at 16 kHz and speaks at whatever rate its voice has. Dropping or averaging samples lets sound above the new Nyquist frequency
 * through as false tones in the band of speech, which a recogniser hears as noise; so this is a real low-pass filter, a windowed
 * sinc evaluated only where an output sample lies. Nothing is allocated once it is made, because the audio thread must not wait for
 * the garbage collector.
 */

/** Zero crossings of the sinc on each side, at the lower of the two rates: 2 ms at 16 kHz, and a transition band of 1.35 kHz there. */
const SINC_CROSSINGS = 32;
/** Kaiser window for 85 dB of stop band: 0.1102 (A - 8.7). */
const KAISER_BETA = 8.41;
/** Middle of the transition band as a share of the lower Nyquist frequency, so that the stop band begins just at Nyquist. */
const SINC_CUTOFF = 0.915;

/** One stream of mono samples from one rate to another, in blocks of any size. Output sample n lies at the time of input n * from / to. */
export class StreamResampler {
  /** Output samples come `#up` for every `#down` input samples. */
  #up;
  #down;
  #half;
  #coefficients;
  /** The newest `taps` samples, written twice so that they always lie in one piece, the oldest at `#at`. */
  #line;
  #at = 0;
  /** Where the next output sample lies, in steps of 1/#up of an input sample after the middle of the line. */
  #phase;

  /**
   * @param {number} fromRate Hz, a whole number
   * @param {number} toRate Hz, a whole number
   */
  constructor(fromRate, toRate) {
    if (!(Number.isInteger(fromRate) && Number.isInteger(toRate) && fromRate > 0 && toRate > 0)) {
      throw new RangeError(`cannot resample from ${fromRate} Hz to ${toRate} Hz`);
    }
    const shared = greatestDivisor(fromRate, toRate);
    this.#up = toRate / shared;
    this.#down = fromRate / shared;
    const reach = this.#up === this.#down ? 0 : SINC_CROSSINGS * Math.max(1, fromRate / toRate);
    this.#half = Math.ceil(reach);
    /** Input samples that one output sample is made of. */
    this.taps = Math.max(1, 2 * this.#half);
    const cutoff = (SINC_CUTOFF * Math.min(fromRate, toRate)) / 2 / fromRate;
    this.#coefficients = polyphaseSinc(this.#up, this.taps, this.#half, reach, cutoff);
    this.#line = new Float32Array(2 * this.taps);
    this.#phase = (this.#half + 1) * this.#up;
  }

  /** How many input samples must still go in before `count` output samples can come out. @param {number} count */
  inputFor(count) {
    return count < 1 ? 0 : Math.max(0, Math.floor((this.#phase + (count - 1) * this.#down) / this.#up));
  }

  /** How many output samples come out when `count` input samples go in. @param {number} count */
  outputFor(count) {
    return Math.max(0, Math.floor((count * this.#up + this.#up - 1 - this.#phase) / this.#down) + 1);
  }

  /**
   * Takes the first `length` samples of `input` and writes what they complete to the beginning of `output`. When exactly
   * `inputFor(output.length)` samples go in, the output is filled exactly.
   * @param {Float32Array} input
   * @param {Float32Array} output
   * @param {number} [length]
   * @returns {number} how many samples were written
   * @throws {RangeError} when `output` is too short to take all the input
   */
  process(input, output, length = input.length) {
    let written = this.#emit(output, 0);
    for (let i = 0; i < length; i++) {
      if (this.#phase < this.#up) throw new RangeError(`an output of ${output.length} samples is too short for ${length} of input`);
      this.#line[this.#at] = this.#line[this.#at + this.taps] = input[i];
      this.#at = this.#at + 1 === this.taps ? 0 : this.#at + 1;
      this.#phase -= this.#up;
      written = this.#emit(output, written);
    }
    return written;
  }

  /** @param {Float32Array} output @param {number} written */
  #emit(output, written) {
    const { taps } = this;
    const line = this.#line;
    const coefficients = this.#coefficients;
    const oldest = this.#at;
    while (this.#phase < this.#up && written < output.length) {
      const row = this.#phase * taps;
      let sum = 0;
      for (let k = 0; k < taps; k++) sum += coefficients[row + k] * line[oldest + k];
      output[written++] = sum;
      this.#phase += this.#down;
    }
    return written;
  }
}

/**
 * One row of filter coefficients for each place an output sample can have between two input samples; a row sums to 1, so that a
 * constant stays one.
 * @param {number} phases @param {number} taps @param {number} half @param {number} reach @param {number} cutoff cycles per input sample
 */
function polyphaseSinc(phases, taps, half, reach, cutoff) {
  const rows = new Float32Array(phases * taps);
  const peak = besselI0(KAISER_BETA);
  for (let phase = 0; phase < phases; phase++) {
    const row = rows.subarray(phase * taps, (phase + 1) * taps);
    let sum = 0;
    for (let k = 0; k < taps; k++) {
      const distance = taps === 1 ? 0 : taps - 1 - k - half + phase / phases;
      const inside = taps === 1 ? 1 : 1 - (distance / reach) ** 2;
      const angle = 2 * Math.PI * cutoff * distance;
      const sinc = angle === 0 ? 1 : Math.sin(angle) / angle;
      row[k] = inside > 0 ? (sinc * besselI0(KAISER_BETA * Math.sqrt(inside))) / peak : 0;
      sum += row[k];
    }
    for (let k = 0; k < taps; k++) row[k] /= sum;
  }
  return rows;
}

/** The modified Bessel function of the first kind, order 0, by its power series. @param {number} x */
function besselI0(x) {
  const quarter = (x * x) / 4;
  let sum = 1;
  for (let term = 1, k = 1; term > 1e-10 * sum; k++) {
    term *= quarter / (k * k);
    sum += term;
  }
  return sum;
}

/** @param {number} a @param {number} b @returns {number} */
function greatestDivisor(a, b) {
  return b === 0 ? a : greatestDivisor(b, a % b);
}
