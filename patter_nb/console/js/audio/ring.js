// @ts-check
/**
 * The sound that waits to be heard, on the session's output axis.
 *
 * What a session knows of playback is one number: how far the person has heard. An interruption is exact only if that number is, so
 * the ring counts every sample it gives out, stops on a known one, and goes on with the one after it. Blocks are kept as they came
 * (minutes of them, two bytes a sample), because an answer is made much faster than it is heard.
 */

/** Long enough not to click, short enough that the person does not hear it as the agent still talking. */
const FADE_MS = 5;
/** Sound that comes again this soon after the ring ran dry was late; after a longer silence it is another answer. */
const UNDERRUN_WITHIN_MS = 1000;

/**
 * A block that waits, and the one behind it.
 * @typedef {{start: number, pcm: Int16Array, next: WaitingBlock | null}} WaitingBlock
 */

/** Plays blocks of PCM16 one after the other; a gap between two blocks on the axis takes no time. */
export class PlaybackRing {
  /** @type {WaitingBlock | null} */
  #head = null;
  /** @type {WaitingBlock | null} */
  #last = null;
  /** Samples of the head block that are gone. */
  #offset = 0;
  #end = 0;
  /** Whether the sample given out last was sound. */
  #sounding = false;
  /** How far a fade in has come, from 0 to `#fade`. */
  #level;
  #fade;
  /** What still sounds of something cut off. */
  #tail;
  #tailAt = 0;
  #tailEnd = 0;
  /** Samples since the ring ran dry; infinite when that was no lack of sound. */
  #dry = Infinity;
  #underrunWithin;

  /** @param {number} rate Hz of the output axis */
  constructor(rate) {
    this.rate = rate;
    this.#fade = Math.max(1, Math.round((rate * FADE_MS) / 1000));
    this.#level = this.#fade;
    this.#tail = new Float32Array(this.#fade);
    this.#underrunWithin = (rate * UNDERRUN_WITHIN_MS) / 1000;
    /** The end of what was heard, so the position of the next sample on the axis (after a gap: of a later one). */
    this.position = 0;
    /** Samples that wait. */
    this.queued = 0;
    this.paused = false;
    /** How often sound came too late to go on without a silence. */
    this.underruns = 0;
  }

  /** Whether the next sample given out is sound of the queue. */
  get playing() {
    return this.#head !== null && !this.paused;
  }

  /** Whether nothing at all would be given out now, not even the rest of a fade. */
  get silent() {
    return !this.playing && this.#tailAt === this.#tailEnd;
  }

  /**
   * Adds a block behind all others. The ring keeps `pcm`.
   * @param {number} start position of its first sample
   * @param {Int16Array} pcm
   * @throws {RangeError} when it begins before the end of the block before it
   */
  enqueue(start, pcm) {
    if (start < this.#end) throw new RangeError(`a block starts at ${start}, before the end of the one before it at ${this.#end}`);
    this.#end = start + pcm.length;
    if (pcm.length === 0) return;
    if (this.#head === null && this.#dry > 0 && this.#dry <= this.#underrunWithin) this.underruns++;
    const block = { start, pcm, next: null };
    if (this.#last === null) this.#head = block;
    else this.#last.next = block;
    this.#last = block;
    this.queued += pcm.length;
    this.#dry = Infinity;
  }

  /** Falls silent within 5 ms, which count as heard, and keeps the place. @returns {number} the position it will go on from */
  pause() {
    if (!this.paused) {
      this.#cut();
      this.paused = true;
    }
    return this.position;
  }

  /** Ends a pause: fades in with the sample after the last one heard. @returns {number} its position */
  resume() {
    if (this.paused) {
      this.paused = false;
      this.#level = 0;
    }
    return this.position;
  }

  /** Forgets all that waits, within 5 ms, and ends a pause. The fade does not count as heard. @returns {number} the position, unmoved */
  flush() {
    const { position } = this;
    this.#cut();
    this.#head = this.#last = null;
    this.#end = position;
    this.#offset = this.queued = 0;
    this.#level = this.#fade;
    this.paused = false;
    return (this.position = position);
  }

  /**
   * Gives out the next `count` samples, silence where there is no sound.
   * @param {Float32Array} output
   * @param {number} count
   * @returns {number} how many samples of the queue are among them
   */
  pull(output, count) {
    let given = 0;
    for (let i = 0; i < count; i++) {
      let sample = this.#tailAt < this.#tailEnd ? this.#tail[this.#tailAt++] : 0;
      if (!this.paused && this.#head !== null) {
        const gain = this.#level === this.#fade ? 1 : (this.#level++ + 0.5) / this.#fade;
        sample += gain * this.#read(this.#head);
        given++;
      } else if (!this.paused) {
        if (this.#sounding) this.#dry = 0;
        this.#sounding = false;
        this.#dry++;
      }
      output[i] = sample;
    }
    return given;
  }

  /** The next sample, which is in `head`. @param {WaitingBlock} head */
  #read(head) {
    const sample = head.pcm[this.#offset++] / 32768;
    this.position = head.start + this.#offset;
    this.queued--;
    this.#sounding = true;
    if (this.#offset === head.pcm.length) {
      this.#offset = 0;
      this.#head = head.next;
      if (this.#head === null) this.#last = null;
    }
    return sample;
  }

  /** Takes the samples that a fade out needs from the queue, and lets them sound over whatever comes. */
  #cut() {
    this.#tail.copyWithin(0, this.#tailAt, this.#tailEnd);
    this.#tail.fill(0, this.#tailEnd - this.#tailAt);
    this.#tailEnd -= this.#tailAt;
    this.#tailAt = 0;
    const length = this.#sounding ? this.#level : 0;
    for (let i = 0; i < length && this.#head !== null; i++) {
      this.#tail[i] += ((length - i - 0.5) / this.#fade) * this.#read(this.#head);
      this.#tailEnd = Math.max(this.#tailEnd, i + 1);
    }
    this.#sounding = false;
    this.#dry = Infinity;
  }
}
