// @ts-check
import { describe, expect, test } from "vitest";
import { BargeInRule, powerToDbfs } from "../../../patter_nb/console/js/audio/loudness.js";
import { seeded } from "./audio_scope.js";

/** Power, one value a millisecond. @typedef {Float64Array} Powers */

const power = (/** @type {number} */ dbfs) => 10 ** (dbfs / 10);

/**
 * Speech: syllables that swell and fade, gaps between them, now and then a pause.
 * @param {() => number} random @param {number} dbfs of its louder syllables @param {number} ms
 * @returns {Powers}
 */
function speech(random, dbfs, ms) {
  const powers = new Float64Array(ms);
  for (let at = 0; at < ms; ) {
    const length = 120 + Math.floor(random() * 160);
    const loudest = power(dbfs - random() * 10);
    for (let i = 0; i < length && at + i < ms; i++) powers[at + i] = loudest * Math.min(1, 12 * (i / length) * (1 - i / length)) ** 2;
    at += length + (random() < 0.1 ? 300 : 20 + Math.floor(random() * 60));
  }
  return powers;
}

/** @param {Powers} powers @param {number} at ms */
function window10(powers, at) {
  let sum = 0;
  for (let i = at; i < at + 10; i++) sum += powers[i] ?? 0;
  return powerToDbfs(sum / 10);
}

/** @param {() => number} random @param {number} ms @param {number} dbfs @returns {Powers} */
function room(random, ms, dbfs) {
  return Float64Array.from({ length: ms }, () => power(dbfs) * (0.5 + random()));
}

/**
 * What the microphone gets of the playback: later, weaker, unsteady, and ringing on.
 * @param {() => number} random @param {Powers} played @param {number} delay ms @param {number} gain dB @param {number} decay dB a second
 * @param {number} [unrest] dB up and down, every 20 ms anew
 * @returns {Powers}
 */
function echo(random, played, delay, gain, decay, unrest = 2) {
  let ringing = 0;
  let unsteady = 1;
  return played.map((_, at) => {
    if (at % 20 === 0) unsteady = power((random() * 2 - 1) * unrest);
    ringing = Math.max((played[at - delay] ?? 0) * power(gain) * unsteady, ringing * power(-decay / 1000));
    return ringing;
  });
}

/** @param {...Powers} sounds @returns {Powers} */
function mixed(...sounds) {
  return sounds[0].map((_, at) => sounds.reduce((sum, sound) => sum + (sound[at] ?? 0), 0));
}

/** @param {Powers} sound @param {number} at ms @param {number} ms in all @returns {Powers} */
function placed(sound, at, ms) {
  const whole = new Float64Array(ms);
  whole.set(sound.subarray(0, ms - at), at);
  return whole;
}

/**
 * When the rule took something for speech, in ms (the end of the window).
 * @param {BargeInRule} rule @param {Powers} heard @param {Powers} played @param {(at: number) => boolean} playing
 */
function triggers(rule, heard, played, playing) {
  const found = [];
  for (let at = 0; at + 10 <= heard.length; at += 10) {
    if (rule.hear(window10(heard, at), window10(played, at), playing(at))) found.push(at + 10);
  }
  return found;
}

/** @param {number[]} values @param {number} share */
function percentile(values, share) {
  const ordered = [...values].sort((a, b) => a - b);
  return ordered[Math.min(ordered.length - 1, Math.floor(share * ordered.length))];
}

const SEEDS = Array.from({ length: 100 }, (_, seed) => seed);

describe("the agent's own echo", () => {
  test.each([
    { name: "from the first word ever", lead: 0 },
    { name: "after a quiet second", lead: 1000 },
  ])("10 dB down or more, 50 to 300 ms late, is no speech: $name", ({ lead }) => {
    for (const seed of SEEDS) {
      const random = seeded(seed);
      const gain = -10 - random() * 20;
      const delay = 50 + Math.floor(random() * 250);
      const played = placed(speech(random, -12 - random() * 10, 8000), lead, 8000 + lead);
      const heard = mixed(echo(random, played, delay, gain, 150 + random() * 300), room(random, played.length, -65));
      expect({ seed, gain, delay, found: triggers(new BargeInRule(), heard, played, (at) => at >= lead) }).toMatchObject({ found: [] });
    }
  });

  test("of a steady tone is no speech", () => {
    for (const seed of SEEDS) {
      const random = seeded(seed);
      const played = placed(new Float64Array(4000).fill(power(-15)), 500, 5000);
      const heard = mixed(echo(random, played, 50 + Math.floor(random() * 250), -10, 200), room(random, 5000, -65));
      expect(triggers(new BargeInRule(), heard, played, (at) => at >= 500)).toEqual([]);
    }
  });

  test("in a room that rings on after every sound is no speech", () => {
    for (const seed of SEEDS) {
      const random = seeded(seed);
      const played = new Float64Array(8000);
      for (let at = 500; at < 8000; at += 900 + Math.floor(random() * 300)) played.fill(power(-8), at, at + 300);
      const heard = mixed(echo(random, played, 50 + Math.floor(random() * 250), -10, 80), room(random, 8000, -65));
      expect({ seed, found: triggers(new BargeInRule(), heard, played, (at) => at >= 500) }).toEqual({ seed, found: [] });
    }
  });

  test("that an echo canceller lets through by fits and starts is seldom taken for speech", () => {
    const mistaken = SEEDS.filter((seed) => {
      const random = seeded(seed);
      const played = speech(random, -14 - random() * 6, 8000);
      const passed = echo(random, played, 50 + Math.floor(random() * 250), -14 - random() * 16, 150, 6);
      return triggers(new BargeInRule(), mixed(passed, room(random, 8000, -65)), played, () => true).length > 0;
    });
    expect(mistaken.length).toBeLessThan(3);
  });

  test("that is smoother than the voice, whose pitch falls into some windows and not into others, is no speech", () => {
    for (const seed of SEEDS) {
      const random = seeded(seed);
      const smooth = speech(random, -14 - random() * 6, 8000);
      let pitch = 1;
      const played = smooth.map((sound, at) => {
        if (at % 10 === 0) pitch = power((random() * 2 - 1) * 9);
        return sound * pitch;
      });
      const passed = echo(random, smooth, 50 + Math.floor(random() * 250), -10 - random() * 10, 400, 4);
      const found = triggers(new BargeInRule(), mixed(passed, room(random, 8000, -65)), played, () => true);
      expect({ seed, found }).toEqual({ seed, found: [] });
    }
  });

  test("that grows as gain control turns up the microphone is followed", () => {
    for (const seed of SEEDS.slice(0, 30)) {
      const random = seeded(seed);
      const played = speech(random, -16, 14000);
      const weak = echo(random, played, 120, 0, 200);
      const growing = weak.map((sound, at) => sound * power(-40 + Math.max(0, at - 2000) * 0.0025));
      const found = triggers(new BargeInRule(), mixed(growing, room(random, 14000, -65)), played, () => true);
      expect({ seed, found }).toEqual({ seed, found: [] });
    }
  });

  test("that ends, as with headphones put on, is forgotten at once", () => {
    for (const seed of SEEDS.slice(0, 30)) {
      const random = seeded(seed);
      const played = speech(random, -14, 8000);
      const heard = mixed(
        echo(random, played, 120, -10, 200).fill(0, 3000),
        placed(speech(random, -16, 2000), 5000, 8000),
        room(random, 8000, -65),
      );
      const [first = Infinity] = triggers(new BargeInRule(), heard, played, () => true);
      expect(first).toBeGreaterThan(5000);
      expect(first).toBeLessThan(5300);
    }
  });

  test("that is louder than believed is learnt from the session's denials", () => {
    for (const seed of SEEDS.slice(0, 30)) {
      const random = seeded(seed);
      const played = speech(random, -20, 20000);
      const heard = mixed(echo(random, played, 120, 2, 200), room(random, 20000, -65));
      const rule = new BargeInRule();
      const found = [];
      for (let at = 0; at < 20000; at += 10) {
        if (!rule.hear(window10(heard, at), window10(played, at), true)) continue;
        found.push(at);
        rule.denied();
      }
      expect(found.length).toBeGreaterThan(0);
      expect(found.length).toBeLessThan(4);
    }
  });

  test("when the microphone opens in the middle of it is no speech", () => {
    for (const seed of SEEDS) {
      const random = seeded(seed);
      const played = speech(random, -15, 4000);
      const heard = mixed(echo(random, played, 250, -10, 200), room(random, 4000, -65));
      const rule = new BargeInRule(true);
      expect(triggers(rule, heard.subarray(1000), played.subarray(1000), () => true)).toEqual([]);
    }
  });
});

describe("only playback teaches about its echo:", () => {
  const second = 1000;
  const silence = new Float64Array(20 * second);
  const voice = new Float64Array(second).fill(power(-20));

  /** The threshold after a second of playback without any echo. @param {BargeInRule} rule */
  function afterASecond(rule) {
    triggers(rule, room(seeded(1), second, -70), voice, () => true);
    return rule.threshold;
  }

  test("a long silence does not", () => {
    const rule = new BargeInRule();
    triggers(rule, room(seeded(2), silence.length, -70), silence, () => false);
    triggers(rule, room(seeded(3), 50, -70), voice.subarray(0, 50), () => true);
    const fresh = new BargeInRule();
    triggers(fresh, room(seeded(3), 50, -70), voice.subarray(0, 50), () => true);
    expect(rule.threshold).toBeCloseTo(fresh.threshold, 1);
  });

  test("a person who talks for long meanwhile does not", () => {
    const rule = new BargeInRule();
    expect(afterASecond(rule)).toBe(-42);
    for (let i = 0; i < 15; i++) triggers(rule, new Float64Array(second).fill(power(-15)), voice, () => false);
    expect(rule.threshold).toBe(-42);
  });
});

describe("the person", () => {
  test.each([
    { name: "with headphones", gain: -90, personAt: 2000 },
    { name: "with an echo canceller", gain: -35, personAt: 2000 },
    { name: "in the first half second of the first answer", gain: -90, personAt: 600 },
  ])("talking over the agent is heard soon, $name", ({ gain, personAt }) => {
    const after = SEEDS.map((seed) => {
      const random = seeded(seed);
      const lead = 200;
      const played = placed(speech(random, -16 - random() * 8, 6000), lead, 6000);
      const person = placed(speech(random, -14 - random() * 8, 2000), personAt + Math.floor(random() * 10), 6000);
      const delay = 50 + Math.floor(random() * 250);
      const heard = mixed(person, echo(random, played, delay, gain, 200), room(random, 6000, -60));
      const [first = Infinity] = triggers(new BargeInRule(), heard, played, (at) => at >= lead);
      expect({ seed, early: first < personAt }).toEqual({ seed, early: false });
      return first - personAt;
    });
    expect(percentile(after, 0.5)).toBeLessThan(80);
    expect(percentile(after, 0.95)).toBeLessThan(personAt < 1000 ? 700 : 110);
  });

  test("is told of once for one pause, and again after it", () => {
    const quiet = placed(new Float64Array(0), 0, 500);
    const loud = new Float64Array(500).fill(power(-20));
    const rule = new BargeInRule();
    triggers(rule, quiet, quiet, () => false);
    let playing = true;
    const found = [];
    for (let at = 0; at < 500; at += 10) {
      if (rule.hear(window10(loud, at), -96, playing)) {
        found.push(at + 10);
        playing = false;
      }
      if (at === 300) playing = true;
    }
    expect(found).toEqual([50, 360]);
  });

  test("interrupts nothing where nothing plays", () => {
    const loud = new Float64Array(1000).fill(power(-10));
    expect(triggers(new BargeInRule(), loud, new Float64Array(1000), () => false)).toEqual([]);
  });
});

describe("what is not speech", () => {
  test("a room that has become loud is learnt while nothing plays, and speech stands out of it", () => {
    const random = seeded(1);
    const loudFrom = 1000;
    const playedFrom = 12000;
    const noise = mixed(room(random, 16000, -65), placed(room(random, 16000, -38), loudFrom, 16000));
    const played = placed(speech(random, -50, 4000), playedFrom, 16000);
    const rule = new BargeInRule();
    expect(triggers(rule, noise, played, (at) => at >= playedFrom)).toEqual([]);
    const loud = mixed(new Float64Array(300).fill(power(-12)), room(random, 300, -38));
    expect(triggers(rule, loud, new Float64Array(300), () => true).length).toBeGreaterThan(0);
  });

  test("a fan that was there before the microphone, under a soft voice", () => {
    const random = seeded(2);
    const played = speech(random, -50, 3000);
    expect(triggers(new BargeInRule(), room(random, 3000, -36), played, () => true)).toEqual([]);
  });

  test("a murmur far from the microphone", () => {
    const random = seeded(4);
    const heard = mixed(speech(random, -46, 4000), room(random, 4000, -78));
    expect(triggers(new BargeInRule(), heard, new Float64Array(4000), (at) => at > 1000)).toEqual([]);
  });

  test("typing", () => {
    const random = seeded(3);
    const heard = room(random, 6000, -60);
    for (let at = 1000; at < 6000; at += 110 + Math.floor(random() * 100)) heard.fill(power(-18), at, at + 30);
    expect(triggers(new BargeInRule(), heard, speech(random, -20, 6000), () => true)).toEqual([]);
  });
});

test("levels", () => {
  expect(powerToDbfs(1)).toBe(0);
  expect(powerToDbfs(0.25)).toBeCloseTo(-6.02, 2);
  expect(powerToDbfs(0)).toBe(-96);
  expect(powerToDbfs(1e-30)).toBe(-96);
});
