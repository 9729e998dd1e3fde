// @ts-check
// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { talkingSession } from "./console_doubles.js";
import { SpokenAloud } from "../../../patter_nb/console/js/spokenaloud.js";

/** A browser's speech synthesis, with the voice in the hand of the test. */
class FakeSynthesis {
  /** @type {any[]} everything that was to be spoken */
  spoken = [];
  /** @type {any} */
  now = null;
  cancels = 0;
  voices = [{ name: "Anna" }, { name: "Otto" }];

  getVoices() {
    return this.voices;
  }
  /** @param {any} utterance */
  speak(utterance) {
    this.spoken.push(utterance);
    this.now = utterance;
  }
  cancel() {
    this.cancels += 1;
    const was = this.now;
    this.now = null;
    was?.onerror({ error: "canceled" });
  }
  begins() {
    this.now.onstart();
  }
  /** @param {number} charIndex */
  reaches(charIndex) {
    this.now.onboundary({ charIndex });
  }
  ends() {
    const was = this.now;
    this.now = null;
    was.onend();
  }
  /** @param {string} error */
  fails(error) {
    const was = this.now;
    this.now = null;
    was.onerror({ error });
  }
  get texts() {
    return this.spoken.map(({ text }) => text);
  }
}

/** @type {FakeSynthesis} */
let browser;
beforeEach(() => {
  vi.useFakeTimers();
  browser = new FakeSynthesis();
  vi.stubGlobal("speechSynthesis", browser);
  vi.stubGlobal(
    "SpeechSynthesisUtterance",
    class {
      /** @param {string} text */
      constructor(text) {
        /** @type {any} */ (this).text = text;
      }
    },
  );
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** @param {number} start @param {string} [text] */
const speech = (start, text = "It is sunny.") => ({ start, length: 1200, text, voice: null, language: null, speed: 1, pitch: 1 });

function aloud(ready = () => true) {
  const voice = new SpokenAloud(ready);
  /** @type {number[]} */
  const heard = [];
  /** @type {string[]} */
  const faults = [];
  voice.onPlayed = (position) => void heard.push(position);
  voice.onFault = (reason) => void faults.push(reason);
  return { voice, heard, faults };
}

describe("SpokenAloud", () => {
  it("speaks one text after the other, as it is asked to", () => {
    const { voice } = aloud();
    voice.enqueue({ ...speech(0), voice: "Otto", language: "de", speed: 1.2, pitch: 0.5 });
    voice.enqueue(speech(1200, "Take a hat."));
    expect(browser.texts).toEqual(["It is sunny."]);
    expect(browser.spoken[0]).toMatchObject({ voice: { name: "Otto" }, lang: "de", rate: 1.2, pitch: 0.5 });
    browser.begins();
    browser.ends();
    expect(browser.texts).toEqual(["It is sunny.", "Take a hat."]);
  });

  it("leaves a voice that is not there to the browser", () => {
    const { voice } = aloud();
    voice.enqueue({ ...speech(0), voice: "Nobody" });
    expect(browser.spoken[0].voice).toBeNull();
    expect("lang" in browser.spoken[0]).toBe(false);
  });

  it("tells when it has begun, which word it has reached, and when it has ended", () => {
    const { voice, heard } = aloud();
    voice.enqueue(speech(5000));
    expect(heard).toEqual([]);
    browser.begins();
    expect(heard).toEqual([5001]);
    browser.reaches(6);
    expect(heard).toEqual([5001, 5601]);
    browser.reaches(3);
    expect(heard).toEqual([5001, 5601]);
    browser.ends();
    expect(heard).toEqual([5001, 5601, 6200]);
    expect(voice.busy).toBe(false);
  });

  it("moves a little between two words, and never to the end before it is over", () => {
    const { voice, heard } = aloud();
    voice.enqueue(speech(0));
    browser.begins();
    vi.advanceTimersByTime(1500);
    expect(heard).toEqual([1, 2, 3, 4]);
    browser.reaches(12);
    vi.advanceTimersByTime(60_000);
    expect(voice.position).toBe(1199);
    browser.ends();
    expect(voice.position).toBe(1200);
    const told = heard.length;
    vi.advanceTimersByTime(60_000);
    expect(heard).toHaveLength(told);
  });

  it("is held at a word, and goes on with it", () => {
    const { voice, heard } = aloud();
    voice.enqueue(speech(0));
    voice.enqueue(speech(1200, "Next."));
    browser.begins();
    browser.reaches(6);
    voice.pause();
    expect(browser.cancels).toBe(1);
    expect(voice.speaking).toBe(false);
    vi.advanceTimersByTime(10_000);
    expect(heard).toEqual([1, 601]);
    voice.resume();
    expect(browser.texts).toEqual(["It is sunny.", "sunny."]);
    browser.begins();
    browser.reaches(0);
    browser.ends();
    expect(heard.at(-1)).toBe(1200);
    expect(browser.texts.at(-1)).toBe("Next.");
  });

  it("begins nothing while it is held", () => {
    const { voice } = aloud();
    voice.pause();
    voice.enqueue(speech(0));
    expect(browser.texts).toEqual([]);
    voice.resume();
    expect(browser.texts).toEqual(["It is sunny."]);
  });

  it("forgets everything that was not heard, and ends a pause", () => {
    const { voice, heard } = aloud();
    voice.enqueue(speech(0));
    voice.enqueue(speech(1200, "Never."));
    browser.begins();
    voice.pause();
    voice.flush();
    expect(voice.busy).toBe(false);
    voice.enqueue(speech(2400, "New."));
    expect(browser.texts).toEqual(["It is sunny.", "New."]);
    browser.begins();
    expect(heard).toEqual([1, 2401]);
  });

  it("takes no notice of what a text that was given up still says", () => {
    const { voice, heard } = aloud();
    voice.enqueue(speech(0));
    const old = browser.now;
    voice.flush();
    old.onstart();
    old.onboundary({ charIndex: 4 });
    old.onend();
    expect(heard).toEqual([]);
  });

  it("waits for what has to be heard before", () => {
    let ready = false;
    const { voice } = aloud(() => ready);
    voice.enqueue(speech(0));
    expect(browser.texts).toEqual([]);
    ready = true;
    voice.next();
    expect(browser.texts).toEqual(["It is sunny."]);
  });

  it("waits for a click where the browser wants one", () => {
    const { voice, faults } = aloud();
    voice.enqueue(speech(0));
    browser.fails("not-allowed");
    expect(voice.blocked).toBe(true);
    voice.enqueue(speech(1200, "Next."));
    expect(browser.texts).toHaveLength(1);
    voice.wake();
    expect(browser.texts).toEqual(["It is sunny.", "It is sunny."]);
    expect(faults).toEqual([]);
  });

  it("goes on where another session of the page has cut it off", () => {
    const { voice } = aloud();
    voice.enqueue(speech(0));
    browser.begins();
    browser.reaches(3);
    browser.fails("interrupted");
    expect(browser.texts).toEqual(["It is sunny.", "is sunny."]);
  });

  it("says that it cannot, and lets the conversation go on", () => {
    const { voice, heard, faults } = aloud();
    voice.enqueue(speech(0));
    voice.enqueue(speech(1200, "Next."));
    browser.fails("synthesis-failed");
    expect(faults).toEqual(["It said: synthesis-failed."]);
    expect(heard).toEqual([1200]);
    expect(browser.texts.at(-1)).toBe("Next.");
  });

  it("does not wait for ever for a voice that never begins", () => {
    const { voice, heard, faults } = aloud();
    voice.enqueue(speech(0));
    vi.advanceTimersByTime(6000);
    expect(faults).toHaveLength(1);
    expect(heard).toEqual([1200]);
    expect(voice.busy).toBe(false);
  });

  it("is told of a browser without any", () => {
    vi.stubGlobal("speechSynthesis", undefined);
    const { voice, heard, faults } = aloud();
    voice.enqueue(speech(0));
    expect(faults).toEqual(["It has no speech synthesis."]);
    expect(heard).toEqual([1200]);
  });
});

describe("SessionVoice with a browser's voice", () => {
  const text = { kind: "speech", to: "this page", start: 0, length: 1200, text: "It is sunny.", voice: null, language: null, speed: 1, pitch: 1 };

  it("speaks what the kernel says to this page, and tells how far", () => {
    const { kernel, ears, store } = talkingSession();
    kernel.says({ ...text, to: "another page" });
    expect(browser.texts).toEqual([]);
    kernel.says(text);
    expect(store.cursor()).toBe(0);
    browser.begins();
    browser.reaches(6);
    browser.ends();
    expect(ears.told("played").map(({ position }) => position)).toEqual([1, 601, 1200]);
    expect(store.cursor()).toBe(1200);
  });

  it("is held, goes on and falls silent with the session", () => {
    const { kernel, engine } = talkingSession();
    kernel.says(text);
    browser.begins();
    kernel.says({ kind: "pause", to: "this page" });
    expect(browser.cancels).toBe(1);
    kernel.says({ kind: "resume", to: "this page" });
    expect(browser.texts).toHaveLength(2);
    kernel.says({ kind: "flush", to: "this page" });
    expect(browser.cancels).toBe(2);
    expect(browser.now).toBeNull();
    expect(engine.of("flush")).toHaveLength(1);
  });

  it("speaks behind sound, and sound is heard behind speech", () => {
    const { kernel, engine } = talkingSession();
    const pcm = new Int16Array(100).buffer;
    kernel.says({ kind: "sound", to: "this page", start: 0, rate: 24_000 }, [pcm]);
    kernel.says({ ...text, start: 100 });
    kernel.says({ kind: "sound", to: "this page", start: 1300, rate: 24_000 }, [pcm]);
    expect(browser.texts).toEqual([]);
    expect(engine.of("enqueue").map(([start]) => start)).toEqual([0]);
    engine.speaker.position = 100;
    engine.speaker.onPlayed({ position: 100, at: 1, moving: false });
    expect(browser.texts).toEqual(["It is sunny."]);
    browser.begins();
    browser.ends();
    expect(engine.of("enqueue").map(([start]) => start)).toEqual([0, 1300]);
  });

  it("silences the microphone of a half-duplex session while it speaks, and shortly after", async () => {
    const { kernel, engine, store } = talkingSession({ runs: { hears: null, thinks: null, speaks: null }, half_duplex: true });
    kernel.says(text);
    browser.begins();
    expect(engine.of("setMuted").at(-1)).toEqual(["screen", true]);
    browser.ends();
    expect(engine.of("setMuted").at(-1)).toEqual(["screen", true]);
    await vi.advanceTimersByTimeAsync(300);
    expect(engine.of("setMuted").at(-1)).toEqual(["screen", false]);
    expect(store.picture.muted).toBe(false);
  });

  it("shows that a click is wanted, and speaks after it", async () => {
    const { kernel, store, talk } = talkingSession();
    kernel.says(text);
    browser.fails("not-allowed");
    expect(store.soundBlocked).toBe(true);
    await talk.enableSound();
    expect(browser.texts).toHaveLength(2);
    expect(store.soundBlocked).toBe(false);
  });

  it("shows once that the browser has no voice", () => {
    const { kernel, ears } = talkingSession();
    kernel.says(text);
    browser.fails("synthesis-failed");
    kernel.says({ ...text, start: 1200 });
    browser.fails("synthesis-failed");
    expect(ears.told("trouble")).toHaveLength(1);
    expect(ears.told("trouble")[0].cause).toContain("cannot speak by itself");
  });

  it("falls silent with the page", () => {
    const { kernel } = talkingSession();
    kernel.says(text);
    browser.begins();
    dispatchEvent(new Event("pagehide"));
    expect(browser.now).toBeNull();
  });

  it("falls silent with the last view", () => {
    const { kernel, talk, ears } = talkingSession();
    kernel.says(text);
    browser.begins();
    talk.dispose();
    expect(browser.now).toBeNull();
    const told = ears.told("played").length;
    vi.advanceTimersByTime(5000);
    expect(ears.told("played")).toHaveLength(told);
  });
});
