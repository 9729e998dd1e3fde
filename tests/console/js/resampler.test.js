// @ts-check
import { describe, expect, test } from "vitest";
import { StreamResampler } from "../../../patter_nb/console/js/audio/resampler.js";
import { amplitude, decibels, rms, seeded, sine } from "./audio_scope.js";

/** @param {number} from @param {number} to @param {Float32Array} input */
function resampled(from, to, input) {
  const resampler = new StreamResampler(from, to);
  const output = new Float32Array(resampler.outputFor(input.length));
  expect(resampler.process(input, output)).toBe(output.length);
  return output;
}

/** Without the first 20 ms, where the sound begins out of silence. @param {Float32Array} output @param {number} rate */
function steady(output, rate) {
  return output.subarray(Math.round(rate * 0.02));
}

describe("down to 16 kHz", () => {
  const cases = [48000, 44100].flatMap((rate) => [8100, 9000, 9500, 10000, 11000, 12000].map((hertz) => ({ rate, hertz })));
  test.each(cases)("$hertz Hz at $rate Hz does not come back as another tone", ({ rate, hertz }) => {
    const output = steady(resampled(rate, 16000, sine(hertz, rate, rate)), 16000);
    expect(decibels(amplitude(output, 16000 - hertz, 16000))).toBeLessThan(-75);
    expect(decibels(rms(output) * Math.SQRT2)).toBeLessThan(-75);
  });

  const passed = [48000, 44100, 96000].flatMap((rate) => [100, 1000, 3000, 5000, 6500].map((hertz) => ({ rate, hertz })));
  test.each(passed)("$hertz Hz at $rate Hz passes within 0.5 dB", ({ rate, hertz }) => {
    const output = steady(resampled(rate, 16000, sine(hertz, rate, rate)), 16000);
    expect(Math.abs(decibels(amplitude(output, hertz, 16000)))).toBeLessThan(0.5);
  });
});

describe("up to the context", () => {
  const cases = [8000, 16000, 22050, 24000].flatMap((from) => [44100, 48000].map((to) => ({ from, to })));
  test.each(cases)("$from to $to Hz keeps a tone and makes no image of it", ({ from, to }) => {
    const hertz = from * 0.35;
    const output = steady(resampled(from, to, sine(hertz, from, from)), to);
    expect(Math.abs(decibels(amplitude(output, hertz, to)))).toBeLessThan(0.1);
    expect(decibels(amplitude(output, from - hertz, to))).toBeLessThan(-75);
  });
});

test("a sample of the output lies where it lies in the input", () => {
  const output = resampled(44100, 16000, sine(440, 44100, 44100));
  const ideal = sine(440, 16000, output.length);
  const off = output.subarray(320).map((sample, i) => sample - ideal[i + 320]);
  expect(decibels(rms(off) * Math.SQRT2)).toBeLessThan(-75);
});

test("equal rates pass sound through untouched", () => {
  const input = sine(440, 48000, 1000);
  expect(resampled(48000, 48000, input)).toEqual(input);
});

test.each([
  [44100, 16000],
  [48000, 16000],
  [22050, 48000],
  [24000, 44100],
  [16000, 16000],
  [47999, 16000],
])("%i to %i Hz in blocks of any size is the same as in one", (from, to) => {
  const random = seeded(from + to);
  const input = Float32Array.from({ length: 9000 }, () => random() * 2 - 1);
  const whole = resampled(from, to, input);
  const resampler = new StreamResampler(from, to);
  const pieces = new Float32Array(whole.length);
  let taken = 0;
  let written = 0;
  while (taken < input.length) {
    const size = Math.min(Math.floor(random() * 700), input.length - taken);
    const room = resampler.outputFor(size);
    expect(resampler.process(input.subarray(taken), pieces.subarray(written, written + room), size)).toBe(room);
    taken += size;
    written += room;
  }
  expect(written).toBe(whole.length);
  expect(pieces).toEqual(whole);
});

test.each([
  [22050, 44100],
  [24000, 48000],
  [24000, 44100],
  [48000, 44100],
  [8000, 48000],
  [44100, 44100],
])("%i to %i Hz can be asked for full quanta", (from, to) => {
  const input = sine(500, from, from);
  const whole = resampled(from, to, input);
  const resampler = new StreamResampler(from, to);
  const quantum = new Float32Array(128);
  let taken = 0;
  for (let at = 0; at + 128 <= whole.length; at += 128) {
    const needed = resampler.inputFor(128);
    expect(resampler.process(input.subarray(taken, taken + needed), quantum)).toBe(128);
    taken += needed;
    expect(quantum).toEqual(whole.subarray(at, at + 128));
  }
});

test("an output that is too short is refused", () => {
  const resampler = new StreamResampler(16000, 48000);
  expect(() => resampler.process(new Float32Array(100), new Float32Array(10))).toThrow(RangeError);
});

test.each([0, -1, 44100.5, NaN])("a rate of %d Hz is refused", (rate) => {
  expect(() => new StreamResampler(rate, 16000)).toThrow(RangeError);
});
