// @ts-check
import { describe, expect, test } from "vitest";
import { PlaybackRing } from "../../../patter_nb/console/js/audio/ring.js";
import { seeded } from "./audio_scope.js";

const RATE = 16000;
const FADE = 80;

/** @param {number} from @param {number} length */
function ramp(from, length) {
  return Int16Array.from({ length }, (_, i) => ((from + i) % 30000) + 1);
}

/** @param {PlaybackRing} ring @param {number} count */
function pulled(ring, count) {
  const output = new Float32Array(count);
  const given = ring.pull(output, count);
  return { samples: [...output].map((sample) => sample * 32768), given };
}

/** @param {number[]} samples @param {number[]} expected */
function farthest(samples, expected) {
  return samples.reduce((most, sample, i) => Math.max(most, Math.abs(sample - expected[i])), 0);
}

/** The gains of a fade in. */
const RISE = Array.from({ length: FADE }, (_, i) => (i + 0.5) / FADE);
const FALL = [...RISE].reverse();

/** What the ring promises, said in the plainest way: every sample an entry of a list. */
class NaiveRing {
  /** @type {{position: number, value: number}[]} */
  queue = [];
  /** @type {number[][]} fades that still sound */
  tails = [];
  position = 0;
  paused = false;
  underruns = 0;
  rise = FADE;
  lastWasSound = false;
  dry = Infinity;

  /** @param {number} start @param {Int16Array} pcm */
  enqueue(start, pcm) {
    if (pcm.length === 0) return;
    if (this.queue.length === 0 && this.dry > 0 && this.dry <= RATE) this.underruns++;
    pcm.forEach((value, i) => this.queue.push({ position: start + i, value }));
    this.dry = Infinity;
  }

  fadeOut() {
    const cut = this.lastWasSound ? this.queue.splice(0, this.rise) : [];
    this.tails.push(cut.map(({ value }, i) => (value * (this.rise - i - 0.5)) / FADE));
    this.lastWasSound = false;
    this.dry = Infinity;
    return cut.at(-1);
  }

  pause() {
    if (this.paused) return;
    const last = this.fadeOut();
    if (last) this.position = last.position + 1;
    this.paused = true;
  }

  resume() {
    if (this.paused) this.rise = 0;
    this.paused = false;
  }

  flush() {
    this.fadeOut();
    this.queue = [];
    this.paused = false;
    this.rise = FADE;
  }

  /** @param {number} count */
  pull(count) {
    return Array.from({ length: count }, () => {
      let sample = this.tails.reduce((sum, tail) => sum + (tail.shift() ?? 0), 0);
      if (this.paused) return sample;
      const next = this.queue.shift();
      if (next === undefined) {
        if (this.lastWasSound) this.dry = 0;
        this.lastWasSound = false;
        this.dry++;
        return sample;
      }
      sample += next.value * (this.rise < FADE ? (this.rise++ + 0.5) / FADE : 1);
      this.position = next.position + 1;
      this.lastWasSound = true;
      return sample;
    });
  }
}

test.each(Array.from({ length: 40 }, (_, seed) => seed))("any order of commands does what the plain model does (seed %i)", (seed) => {
  const random = seeded(seed);
  const ring = new PlaybackRing(RATE);
  const model = new NaiveRing();
  let end = 0;
  for (let step = 0; step < 150; step++) {
    const choice = random();
    if (choice < 0.3) {
      const start = end + (random() < 0.3 ? Math.floor(random() * 1000) : 0);
      const pcm = ramp(start, Math.floor(random() * 600));
      ring.enqueue(start, pcm);
      model.enqueue(start, pcm);
      end = start + pcm.length;
    } else if (choice < 0.75) {
      const count = Math.floor(random() * (random() < 0.1 ? 20000 : 400));
      const expected = model.pull(count);
      expect(farthest(pulled(ring, count).samples, expected)).toBeLessThan(0.01);
    } else {
      const command = choice < 0.84 ? "pause" : choice < 0.95 ? "resume" : "flush";
      model[command]();
      expect(ring[command]()).toBe(model.position);
    }
    const { position, paused, underruns, queued } = ring;
    expect({ position, paused, underruns, queued }).toEqual({
      position: model.position,
      paused: model.paused,
      underruns: model.underruns,
      queued: model.queue.length,
    });
  }
});

describe("a pause", () => {
  test("fades out over samples that count as heard, and goes on with the next one", () => {
    const ring = new PlaybackRing(RATE);
    ring.enqueue(0, ramp(0, 1000));
    expect(pulled(ring, 300).samples).toEqual([...ramp(0, 300)]);
    expect(ring.pause()).toBe(300 + FADE);
    const fade = pulled(ring, 200).samples;
    expect(farthest(fade.slice(0, FADE), FALL.map((gain, i) => (301 + i) * gain))).toBeLessThan(0.01);
    expect(fade.slice(FADE)).toEqual(Array(200 - FADE).fill(0));
    expect(ring.resume()).toBe(300 + FADE);
    const back = pulled(ring, 200).samples;
    expect(farthest(back.slice(0, FADE), RISE.map((gain, i) => (301 + FADE + i) * gain))).toBeLessThan(0.01);
    expect(back.slice(FADE)).toEqual([...ramp(300 + 2 * FADE, 200 - FADE)]);
  });

  test("before the first sample plays none", () => {
    const ring = new PlaybackRing(RATE);
    ring.enqueue(0, ramp(0, 1000));
    expect(ring.pause()).toBe(0);
    expect(pulled(ring, 100)).toEqual({ samples: Array(100).fill(0), given: 0 });
    expect(ring.silent).toBe(true);
  });
});

describe("a flush", () => {
  test("forgets all that waits and leaves the cursor where it stood", () => {
    const ring = new PlaybackRing(RATE);
    ring.enqueue(0, ramp(0, 1000));
    pulled(ring, 300);
    expect(ring.flush()).toBe(300);
    expect(ring.queued).toBe(0);
    const fade = pulled(ring, 200).samples;
    expect(farthest(fade.slice(0, FADE), FALL.map((gain, i) => (301 + i) * gain))).toBeLessThan(0.01);
    expect(fade.slice(FADE)).toEqual(Array(200 - FADE).fill(0));
    expect(ring.position).toBe(300);
  });

  test("ends a pause, so that what is queued next sounds at once and from its first sample", () => {
    const ring = new PlaybackRing(RATE);
    ring.enqueue(0, ramp(0, 1000));
    pulled(ring, 300);
    ring.pause();
    pulled(ring, 200);
    ring.flush();
    ring.enqueue(1000, ramp(1000, 100));
    expect(pulled(ring, 100).samples).toEqual([...ramp(1000, 100)]);
    expect(ring.position).toBe(1100);
  });
});

test("a gap on the axis takes no time", () => {
  const ring = new PlaybackRing(RATE);
  ring.enqueue(0, ramp(0, 10));
  ring.enqueue(500, ramp(500, 10));
  expect(pulled(ring, 20).samples).toEqual([...ramp(0, 10), ...ramp(500, 10)]);
  expect(ring.position).toBe(510);
});

test("a block out of order is refused and changes nothing", () => {
  const ring = new PlaybackRing(RATE);
  ring.enqueue(0, ramp(0, 100));
  expect(() => ring.enqueue(99, ramp(99, 10))).toThrow(RangeError);
  expect(ring.queued).toBe(100);
  ring.enqueue(100, ramp(100, 10));
  expect(pulled(ring, 110).samples).toEqual([...ramp(0, 110)]);
});

test("sound that comes late is an underrun, and the cursor waits; the next answer is none", () => {
  const ring = new PlaybackRing(RATE);
  ring.enqueue(0, ramp(0, 100));
  pulled(ring, 400);
  expect(ring.position).toBe(100);
  ring.enqueue(100, ramp(100, 100));
  expect(ring.underruns).toBe(1);
  pulled(ring, 100);
  pulled(ring, 2 * RATE);
  ring.enqueue(200, ramp(200, 100));
  expect(ring.underruns).toBe(1);
});

test("minutes of sound wait their turn", () => {
  const ring = new PlaybackRing(24000);
  const seconds = 600;
  for (let i = 0; i < seconds * 25; i++) ring.enqueue(i * 960, ramp(i, 960));
  expect(ring.queued).toBe(seconds * 24000);
  const output = new Float32Array(24000);
  for (let i = 0; i < seconds; i++) expect(ring.pull(output, 24000)).toBe(24000);
  expect(ring.position).toBe(seconds * 24000);
  expect(ring.silent).toBe(true);
});
