// @ts-check
import { describe, expect, test } from "vitest";
import { AudioThread, amplitude, decibels, pcm16, rms, seeded, sine } from "./audio_scope.js";

const OPEN = /** @type {const} */ ({ kind: "open", session: "a", opening: 7, muted: false, halfDuplex: false });

/** @param {number} rate @param {Partial<typeof OPEN> | {muted: boolean} | {halfDuplex: boolean}} [change] */
function listening(rate, change = {}) {
  const thread = new AudioThread(rate);
  thread.say({ ...OPEN, ...change });
  return thread;
}

/** Sound in which every sample differs from its neighbours, without a click. @param {number} length */
function song(length) {
  return Int16Array.from({ length }, (_, i) => Math.round(12000 * Math.sin(i * 0.05) + 6000 * Math.sin(i * 0.0137)));
}

/** @param {AudioThread} thread @param {Int16Array} pcm @param {{session?: string, start?: number, rate?: number}} [where] */
function enqueue(thread, pcm, { session = "a", start = 0, rate = thread.rate } = {}) {
  thread.say({ kind: "enqueue", session, start, pcm, rate });
}

const loud = (/** @type {number} */ i) => 0.5 * Math.sin(i * 0.1);
const quiet = (/** @type {number} */ i) => 0.0003 * Math.sin(i * 0.1);

/** @param {Float32Array} output @param {Int16Array} pcm */
function farthest(output, pcm) {
  return output.reduce((most, sample, i) => Math.max(most, Math.abs(sample * 32768 - (pcm[i] ?? 0))), 0);
}

describe("capture", () => {
  test.each([44100, 48000, 16000, 96000])("at %i Hz gives 50 frames a second, two a message, numbered and stamped from 0", (rate) => {
    const thread = listening(rate);
    thread.run(2.02, quiet);
    const messages = thread.of("frames");
    expect(messages.length).toBe(50);
    messages.forEach((message, i) => {
      expect(message).toMatchObject({ session: "a", opening: 7, seq: 2 * i });
      expect(message.pcm.length).toBe(640);
      expect(message.captureMs[0]).toBeCloseTo(40 * i, 6);
      expect(message.captureMs[1]).toBeCloseTo(40 * i + 20, 6);
      expect(message.at - messages[0].at).toBeCloseTo(0.04 * i, 6);
    });
    expect(thread.of("opened")).toEqual([{ kind: "opened", session: "a", opening: 7, at: 0 }]);
  });

  test.each([44100, 48000])("at %i Hz is the sound, in place", (rate) => {
    const thread = listening(rate);
    thread.run(1, (i) => 0.5 * Math.sin((2 * Math.PI * 1000 * i) / rate));
    const captured = thread.captured;
    const ideal = pcm16(sine(1000, 16000, captured.length, 0.5));
    const off = Float32Array.from(captured.subarray(320), (sample, i) => (sample - ideal[i + 320]) / 32768);
    expect(decibels(rms(off))).toBeLessThan(-70);
  });

  test("at 16 kHz is the very samples, cut at full scale", () => {
    const thread = listening(16000);
    const random = seeded(1);
    const sound = Float32Array.from({ length: 16000 }, () => Math.round((random() * 2.4 - 1.2) * 32768) / 32768);
    thread.run(1, (i) => sound[i]);
    const expected = Int16Array.from(sound, (sample) => Math.max(-32768, Math.min(32767, sample * 32768)));
    expect(thread.captured).toEqual(expected.subarray(0, thread.captured.length));
    expect(thread.captured.length).toBeGreaterThan(15000);
  });

  test("without a device is silence, numbered all the same", () => {
    const thread = listening(48000);
    thread.run(0.5);
    expect(thread.of("frames").map(({ seq }) => seq)).toEqual([0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22]);
    expect(thread.captured.every((sample) => sample === 0)).toBe(true);
  });

  test("sound that the audio thread missed shows in the stamps, and not in the numbers", () => {
    const thread = listening(48000);
    thread.run(0.5, quiet);
    thread.skip(4800);
    thread.run(0.5, quiet);
    const messages = thread.of("frames");
    expect(messages.map(({ seq }) => seq)).toEqual(messages.map((_, i) => 2 * i));
    expect(messages.at(-1)?.captureMs[0]).toBeCloseTo(40 * (messages.length - 1) + 100, 6);
  });

  test("a muted microphone sends silence, and numbers and clock go on", () => {
    const thread = listening(16000);
    thread.run(0.4, loud);
    thread.say({ kind: "settings", session: "a", muted: true, halfDuplex: false });
    thread.run(0.4, loud);
    thread.say({ kind: "settings", session: "a", muted: false, halfDuplex: false });
    thread.run(0.4, loud);
    const captured = thread.captured;
    const quantum = 6400;
    expect(captured.subarray(quantum, 2 * quantum).every((sample) => sample === 0)).toBe(true);
    expect(captured[quantum - 1]).toBe(Math.round(loud(quantum - 1) * 32768));
    expect(captured[2 * quantum]).toBe(Math.round(loud(2 * quantum) * 32768));
    const stamps = thread.of("frames").map(({ captureMs }) => captureMs[0]);
    expect(stamps).toEqual(stamps.map((_, i) => 40 * i));
    expect(thread.of("level").map(({ silenced }) => silenced)).toContain(true);
  });

  test("the meter hears 20 times a second what the microphone hears", () => {
    const thread = listening(48000);
    thread.run(1, (i) => 0.5 * Math.sin((2 * Math.PI * 1000 * i) / 48000));
    const levels = thread.of("level");
    expect(levels.length).toBeGreaterThanOrEqual(19);
    expect(levels[10].rms).toBeCloseTo(-9.03, 1);
    expect(levels[10].peak).toBeCloseTo(-6.02, 1);
  });

  test("another session takes the microphone, and numbers from 0", () => {
    const thread = listening(48000);
    thread.run(0.1, quiet);
    thread.say({ ...OPEN, session: "b", opening: 8 });
    thread.say({ kind: "close", session: "a" });
    thread.run(0.1, quiet);
    const numbered = thread.of("frames").map(({ session, opening, seq }) => `${session} ${opening} ${seq}`);
    expect(numbered).toEqual(["a 7 0", "a 7 2", "b 8 0", "b 8 2"]);
    thread.say({ kind: "close", session: "b" });
    thread.run(0.1, quiet);
    expect(thread.of("frames").length).toBe(4);
  });

  test("a recording arrives as it is, in place of the device, and its end is told after its last frame", () => {
    const thread = listening(44100);
    thread.run(0.1, loud);
    const before = thread.captured.length;
    const recording = song(5000);
    thread.say({ kind: "recording", session: "a", pcm: recording });
    thread.run(0.5, loud);
    const captured = thread.captured;
    const begin = captured.findIndex((_, i) => i >= before && recording.subarray(0, 50).every((sample, k) => captured[i + k] === sample));
    expect(begin).toBeGreaterThanOrEqual(before);
    expect(captured.subarray(begin, begin + 5000)).toEqual(recording);
    expect(rms(captured.subarray(begin + 5100))).toBeGreaterThan(8000);
    const told = thread.posted.findIndex(({ kind }) => kind === "recorded");
    const sent = thread.posted.slice(0, told).flatMap((message) => (message.kind === "frames" ? [message.seq + 2] : []));
    expect(Math.max(...sent) * 320).toBeGreaterThanOrEqual(begin + 5000);
    expect(thread.of("recorded").length).toBe(1);
  });

  test("a recording for a session without the microphone is a fault", () => {
    const thread = listening(48000);
    thread.say({ kind: "recording", session: "b", pcm: song(10) });
    expect(thread.of("fault").map(({ session }) => session)).toEqual(["b"]);
  });
});

describe("playback", () => {
  test("gives out the very samples at the context's rate, and says how far it has come", () => {
    const thread = new AudioThread(24000);
    const pcm = song(24000);
    for (let at = 0; at < 24000; at += 960) enqueue(thread, pcm.slice(at, at + 960), { start: at });
    expect(farthest(thread.run(1.2), pcm)).toBeLessThan(0.01);
    const played = thread.of("played");
    expect(played.length).toBeGreaterThanOrEqual(16);
    played.slice(1, -1).forEach(({ position }, i) => expect(position - played[i].position).toBeCloseTo(1440, -3));
    expect(played.at(-1)).toMatchObject({ position: 24000, moving: false, queued: 0, underruns: 0, rate: 24000 });
    expect(played.at(-1)?.at).toBeCloseTo(1, 2);
  });

  test.each([
    [24000, 44100],
    [22050, 48000],
    [48000, 44100],
    [16000, 44100],
  ])("from %i to %i Hz is a tone without a gap", (rate, context) => {
    const thread = new AudioThread(context);
    const pcm = pcm16(sine(440, rate, rate, 0.8));
    for (let start = 0; start < rate; start += rate / 25) enqueue(thread, pcm.slice(start, start + rate / 25), { start, rate });
    const heard = thread.run(1).subarray(0, context);
    const ideal = sine(440, context, context, 0.8);
    const off = heard.subarray(500, context - 500).map((sample, i) => sample - ideal[i + 500]);
    expect(decibels(rms(off))).toBeLessThan(-75);
    expect(decibels(amplitude(heard, 440, context) / 0.8)).toBeCloseTo(0, 1);
  });

  test("plays out to the last sample, the end of the filter included", () => {
    const thread = new AudioThread(48000);
    enqueue(thread, pcm16(sine(440, 8000, 800, 0.8)), { rate: 8000 });
    const heard = thread.run(0.2);
    const ideal = sine(440, 48000, 4770, 0.8);
    const end = heard.subarray(4500, 4770).map((sample, i) => sample - ideal[i + 4500]);
    expect(Math.max(...end.map(Math.abs))).toBeLessThan(0.05);
    expect(rms(heard.subarray(4800 + 6 * 64))).toBe(0);
  });

  test("goes on after a pause with the sample after the last one heard", () => {
    const thread = new AudioThread(16000);
    const pcm = song(16000);
    enqueue(thread, pcm);
    const before = thread.run(0.2);
    thread.say({ kind: "pause", session: "a" });
    const paused = thread.run(2);
    thread.say({ kind: "resume", session: "a" });
    const after = thread.run(1);
    const [{ position, by }] = thread.of("paused");
    expect(by).toBe("session");
    expect(position).toBe(before.length + 80);
    expect(farthest(before, pcm)).toBeLessThan(0.01);
    expect(rms(paused.subarray(80))).toBe(0);
    expect(thread.of("resumed")).toEqual([{ kind: "resumed", session: "a", position, by: "session" }]);
    const back = after.map((sample, i) => (i < 80 ? sample / ((i + 0.5) / 80) : sample));
    expect(farthest(back, pcm.subarray(position))).toBeLessThan(0.2);
  });

  test("a flush leaves the cursor, and what comes next sounds from its first sample", () => {
    const thread = new AudioThread(16000);
    enqueue(thread, song(16000));
    const position = thread.run(0.2).length;
    thread.say({ kind: "flush", session: "a" });
    expect(rms(thread.run(0.1).subarray(80))).toBe(0);
    expect(thread.of("flushed")).toEqual([{ kind: "flushed", session: "a", position }]);
    expect(thread.of("played").at(-1)).toMatchObject({ position, moving: false });
    const next = song(500).map((sample) => -sample);
    enqueue(thread, next, { start: 16000 });
    expect(farthest(thread.run(0.1), next)).toBeLessThan(0.01);
    expect(thread.of("played").at(-1)).toMatchObject({ position: 16500 });
  });

  test("a session paused before its first sound keeps silent until it resumes", () => {
    const thread = new AudioThread(16000);
    thread.say({ kind: "pause", session: "a" });
    enqueue(thread, song(1600));
    expect(rms(thread.run(1))).toBe(0);
    thread.say({ kind: "resume", session: "a" });
    expect(rms(thread.run(0.1))).toBeGreaterThan(0.1);
  });

  test("a block out of order, or at another rate, is a fault of its session", () => {
    const thread = new AudioThread(16000);
    enqueue(thread, song(100));
    enqueue(thread, song(100), { start: 50 });
    enqueue(thread, song(100), { start: 100, rate: 8000 });
    expect(thread.of("fault").map(({ session, message }) => [session, message.split(" ")[1]])).toEqual([["a", "a"], ["a", "sound"]]);
  });

  test("sound that comes late is counted", () => {
    const thread = new AudioThread(16000);
    enqueue(thread, song(1600));
    thread.run(0.3);
    enqueue(thread, song(1600), { start: 1600 });
    thread.run(0.3);
    expect(thread.of("played").at(-1)).toMatchObject({ position: 3200, underruns: 1 });
  });
});

describe("barge-in", () => {
  /** A session that has been speaking for a second, over a microphone in a quiet room. @param {{}} [change] */
  function speaking(change) {
    const thread = listening(48000, change);
    thread.run(0.5, quiet);
    enqueue(thread, song(480000));
    thread.run(1, quiet);
    return thread;
  }

  test("loud speech pauses on the spot, at the sample that is told", () => {
    const thread = speaking();
    expect(thread.of("paused")).toEqual([]);
    let output = new Float32Array(0);
    let quanta = 0;
    while (thread.of("paused").length === 0) {
      output = thread.run(0.001, loud);
      quanta++;
    }
    const [{ position, by }] = thread.of("paused");
    expect(by).toBe("itself");
    expect((quanta * 128) / 48000).toBeLessThan(0.08);
    // 48 000 samples of the song were heard, and all quanta until the one that holds the beginning of the fade.
    const before = 375 * 128 + (quanta - 1) * 128;
    expect(position).toBe(before + 240);
    expect(farthest(output.map((sample, i) => sample / ((240 - i - 0.5) / 240)), song(480000).subarray(before))).toBeLessThan(1);
    expect(rms(thread.run(0.1, loud).subarray(112))).toBe(0);
  });

  /** @param {AudioThread} thread */
  function interrupt(thread) {
    while (thread.of("paused").length === 0) thread.run(0.001, loud);
    return { frame: thread.frame - 128, position: thread.of("paused")[0].position };
  }

  test("without an answer it goes on by itself 600 ms later, from the same sample", () => {
    const thread = speaking();
    const { frame, position } = interrupt(thread);
    while (thread.frame < frame + 28800) expect(rms(thread.run(0.001, quiet))).toBeLessThan(thread.frame > frame + 384 ? 1e-9 : 1);
    expect(thread.of("resumed")).toEqual([]);
    const after = thread.run(0.1, quiet);
    expect(thread.of("resumed")).toEqual([{ kind: "resumed", session: "a", position, by: "itself" }]);
    const back = after.map((sample, i) => (i < 240 ? sample / ((i + 0.5) / 240) : sample));
    expect(farthest(back, song(480000).subarray(position))).toBeLessThan(1);
  });

  const answers = /** @type {const} */ (["pause", "flush", "resume"]);
  test.each(answers)("the session's %s is an answer, so it does nothing by itself", (answer) => {
    const thread = speaking();
    interrupt(thread);
    thread.run(0.5, quiet);
    thread.say({ kind: answer, session: "a" });
    thread.run(1, quiet);
    expect(thread.of("resumed").map(({ by }) => by)).toEqual(answer === "resume" ? ["session"] : []);
  });

  test("more sound from the session is no answer", () => {
    const thread = speaking();
    interrupt(thread);
    enqueue(thread, song(4800), { start: 480000 });
    thread.run(1, quiet);
    expect(thread.of("resumed").map(({ by }) => by)).toEqual(["itself"]);
  });

  test.each([{ muted: true }, { halfDuplex: true }])("with %o loud speech pauses nothing", (change) => {
    const thread = speaking(change);
    thread.run(2, loud);
    expect(thread.of("paused")).toEqual([]);
  });

  test("another session's voice is not paused", () => {
    const thread = listening(48000);
    thread.run(0.5, quiet);
    enqueue(thread, song(480000), { session: "b" });
    thread.run(1, quiet);
    thread.run(2, loud);
    expect(thread.of("paused")).toEqual([]);
  });

  /**
   * Runs where the microphone hears what was played `delay` sample frames ago, `gain` times as loud.
   * @param {AudioThread} thread @param {number} seconds @param {number} gain @param {number} delay @param {(() => void)} [each] quantum
   */
  function inARoom(thread, seconds, gain, delay, each = () => {}) {
    const sounded = new Float32Array(Math.ceil(seconds * thread.rate) + 128);
    for (let at = 0; at < sounded.length - 128; at += 128) {
      let next = at;
      sounded.set(thread.run(0.001, () => gain * (sounded[next++ - delay] ?? 0)), at);
      each();
    }
  }

  const says = ["the session says that it was no speech", "the session says nothing"];
  test.each(says)("an echo louder than any believed in is learnt when %s", (what) => {
    const thread = listening(48000);
    thread.run(0.5, quiet);
    enqueue(thread, song(480000).map((sample) => sample / 4));
    let answered = 0;
    inARoom(thread, 8, 1.5, 6000, () => {
      const paused = thread.of("paused").length;
      if (paused > answered && what.endsWith("no speech")) thread.say({ kind: "resume", session: "a" });
      answered = paused;
    });
    expect(answered).toBeGreaterThan(0);
    expect(answered).toBeLessThan(4);
  });

  test("a microphone that opens in a pause of the agent's hears the echo of what came before, and no speech", () => {
    const thread = new AudioThread(48000);
    enqueue(thread, song(48000));
    enqueue(thread, new Int16Array(96000), { start: 48000 });
    let quanta = 0;
    inARoom(thread, 2, 0.3, 12000, () => {
      if (++quanta === 376) thread.say(OPEN);
    });
    expect(Math.max(...thread.captured.subarray(0, 3000))).toBeGreaterThan(3000);
    expect(thread.of("paused")).toEqual([]);
  });

  test("a recording interrupts as a voice does", () => {
    const thread = speaking();
    thread.say({ kind: "recording", session: "a", pcm: pcm16(sine(300, 16000, 8000, 0.5)) });
    thread.run(0.3, quiet);
    expect(thread.of("paused").map(({ by }) => by)).toEqual(["itself"]);
  });
});

describe("the agent's own voice", () => {
  /** Which frames may be nothing but echo. @param {AudioThread} thread */
  const echoes = (thread) => thread.of("frames").flatMap(({ echo }) => echo);

  test("is told from the person's: while it sounds and 400 ms longer", () => {
    const thread = listening(16000);
    thread.run(0.2, quiet);
    enqueue(thread, song(8000));
    thread.run(1.8, quiet);
    const marked = echoes(thread).flatMap((echo, i) => (echo ? [i] : []));
    expect(marked[0]).toBe(11);
    expect(marked.at(-1)).toBe(10 + 25 + 20 - 1);
    expect(marked.length).toBe(44);
  });

  test("is not what is louder than it, and nothing that is said after that", () => {
    const thread = listening(16000);
    thread.run(0.2, quiet);
    enqueue(thread, song(80000));
    thread.run(1, quiet);
    const frames = echoes(thread).length;
    thread.run(0.5, loud);
    const after = echoes(thread).slice(frames);
    expect(after.indexOf(false)).toBeGreaterThan(-1);
    expect(after.indexOf(false)).toBeLessThan(6);
    expect(after.slice(after.indexOf(false))).not.toContain(true);
  });
});

describe("half-duplex", () => {
  test("sends silence while anything plays and 250 ms longer, and goes on numbering", () => {
    const thread = listening(16000, { halfDuplex: true });
    thread.run(0.2, loud);
    enqueue(thread, song(8000), { session: "b" });
    thread.run(1.2, loud);
    const silent = [...thread.captured].flatMap((sample, i) => (sample === 0 && Math.abs(loud(i)) > 0.01 ? [i] : []));
    expect(silent[0]).toBe(3200);
    expect(silent.at(-1)).toBeGreaterThan(3200 + 8000 + 4000 - 128);
    expect(silent.at(-1)).toBeLessThan(3200 + 8000 + 4000 + 256);
    const between = thread.captured.subarray(3200, 3200 + 8000 + 4000);
    expect(between.every((sample) => sample === 0)).toBe(true);
    expect(thread.of("frames").map(({ seq }) => seq)).toEqual(thread.of("frames").map((_, i) => 2 * i));
  });
});

describe("sessions", () => {
  test("sound together, each with its own cursor, until they are released", () => {
    const thread = new AudioThread(16000);
    enqueue(thread, pcm16(sine(500, 16000, 16000, 0.3)));
    enqueue(thread, pcm16(sine(1500, 16000, 16000, 0.2)), { session: "b", start: 5000 });
    const both = thread.run(0.25);
    expect(amplitude(both, 500, 16000)).toBeCloseTo(0.3, 3);
    expect(amplitude(both, 1500, 16000)).toBeCloseTo(0.2, 3);
    thread.say({ kind: "release", session: "a" });
    const one = thread.run(0.25);
    expect(amplitude(one, 500, 16000)).toBeLessThan(1e-4);
    expect(amplitude(one, 1500, 16000)).toBeCloseTo(0.2, 3);
    expect(thread.of("played").at(-1)?.session).toBe("b");
  });

  test("the processor ends when it is told to", () => {
    const thread = new AudioThread(16000);
    thread.run(0.01);
    expect(thread.alive).toBe(true);
    thread.say({ kind: "end", session: "" });
    thread.run(0.01);
    expect(thread.alive).toBe(false);
  });
});
