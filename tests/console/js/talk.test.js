// @ts-check
// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { STAGE, talkingSession } from "./console_doubles.js";
import { AudioFault } from "../../../patter_nb/console/js/audio/fault.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** A promise to be settled by hand. @template T */
function promised() {
  /** @type {(value: T) => void} */
  let keep = () => {};
  const promise = /** @type {Promise<T>} */ (new Promise((resolve) => (keep = resolve)));
  return { promise, keep };
}
const FACTS = { label: "Built-in", deviceId: "default" };
const settled = () => vi.advanceTimersByTimeAsync(0);

describe("Talk", () => {
  it("opens the microphone, and tells what was granted", async () => {
    const { talk, store, ears } = talkingSession();
    await talk.talk();
    expect(store.microphone).toEqual({ state: "open", label: "Built-in", deviceId: "default", problem: null });
    const facts = { microphone: "Built-in", trackRate: 48_000, outputLatencyMs: 0 };
    expect(ears.told("talk")).toMatchObject([{ page: "this page", facts }]);
    expect(ears.told("facts")).toMatchObject([{ facts: { devices: 1 } }]);
  });

  it("asks for the microphone while the click is handled, before anything is waited for", () => {
    const { talk, engine } = talkingSession();
    void talk.talk();
    expect(engine.of("openMicrophone")).toHaveLength(1);
  });

  it("sends what the microphone hears as it was numbered, stamped with when it was sent", async () => {
    const { talk, engine, ears } = talkingSession();
    await talk.talk();
    const pcm = new Int16Array(640).fill(7);
    engine.ears.onFrames({ opening: 12, seq: 4, t: 80, captureMs: [80, 100], pcm });
    const message = ears.sent.at(-1);
    expect(message?.content).toMatchObject({ kind: "frames", opening: 12, seq: 4, t: 80, count: 2, page: "this page" });
    expect(Math.abs(message?.content.sent - (performance.timeOrigin + performance.now()))).toBeLessThan(1);
    expect(new Int16Array(message?.buffers?.[0])).toEqual(pcm);
  });

  it("pressed again while the browser asks opens nothing twice", async () => {
    const { talk, engine } = talkingSession();
    const permission = promised();
    engine.opens = () => permission.promise;
    void talk.talk();
    void talk.talk();
    expect(engine.of("openMicrophone")).toHaveLength(1);
  });

  it("stopped while the browser asks leaves the microphone closed", async () => {
    const { talk, engine, store, ears } = talkingSession();
    const permission = promised();
    engine.opens = () => permission.promise;
    const talking = talk.talk();
    talk.stop();
    permission.keep(null); // what the engine says of an opening that was called off
    await talking;
    expect(store.microphone.state).toBe("off");
    expect(engine.of("closeMicrophone")).toEqual([["screen"]]);
    expect(ears.told("talk")).toEqual([]);
  });

  it("is off again when another session got what it asked for", async () => {
    const { talk, engine, store } = talkingSession();
    engine.opens = async () => null;
    await talk.talk();
    expect(store.microphone.state).toBe("off");
  });

  it("asked for another microphone meanwhile waits for that one", async () => {
    const { talk, engine, store } = talkingSession();
    const [first, second] = [promised(), promised()];
    engine.opens = () => first.promise;
    void talk.talk();
    engine.opens = () => second.promise;
    const choosing = talk.choose("usb");
    first.keep(null); // what the engine says of an opening that another has overtaken
    await settled();
    expect(store.microphone.state).toBe("opening");
    second.keep(FACTS);
    await choosing;
    expect(store.microphone.state).toBe("open");
  });

  it("goes on with another microphone", async () => {
    const { talk, engine, store } = talkingSession();
    await talk.talk();
    engine.opens = async () => ({ ...FACTS, label: "USB", deviceId: "usb" });
    await talk.choose("usb");
    expect(engine.of("openMicrophone").at(-1)).toEqual(["screen", "usb"]);
    expect(store.microphone).toMatchObject({ state: "open", label: "USB", deviceId: "usb" });
  });

  const reasons = /** @type {const} */ (["denied", "no-microphone", "insecure-origin", "suspended"]);
  it.each(reasons)("that fails is a card and is told: %s", async (name) => {
    const { talk, engine, store, ears } = talkingSession();
    engine.opens = async () => {
      throw new AudioFault(name);
    };
    await talk.talk();
    const { cause, remedy } = new AudioFault(name);
    expect(store.microphone).toMatchObject({ state: "failed", problem: name });
    expect(store.trouble.shown([])).toMatchObject([{ stage: "audio", message: cause, hint: remedy }]);
    expect(ears.told("trouble")).toEqual([{ kind: "trouble", name, cause, remedy, page: "this page" }]);
  });

  it.each(/** @type {const} */ (["taken", "unplugged", "failed"]))("ends when the microphone does: %s", async (reason) => {
    const { talk, engine, store, ears } = talkingSession();
    await talk.talk();
    engine.ears.onEnded(reason);
    expect(store.microphone).toMatchObject({ state: "failed", problem: reason });
    expect(ears.told("trouble")).toMatchObject([{ name: reason }]);
  });
});

describe("Stop", () => {
  it("closes the microphone, silences the voice, and says so", async () => {
    const { talk, engine, store, ears } = talkingSession();
    await talk.talk();
    talk.stop();
    expect(store.microphone.state).toBe("off");
    expect(engine.of("closeMicrophone")).toEqual([["screen"]]);
    expect(engine.of("flush")).toHaveLength(1);
    expect(ears.told("stop")).toHaveLength(1);
  });
});

describe("Mute", () => {
  it("mutes at once, and unmutes", () => {
    const { talk, engine, store, ears } = talkingSession();
    talk.toggleMuted();
    expect(store.picture.muted).toBe(true);
    talk.toggleMuted();
    expect(engine.of("setMuted")).toEqual([["screen", true], ["screen", false]]);
    expect(ears.told("muted").map(({ muted }) => muted)).toEqual([true, false]);
  });

  it("follows the kernel, as half-duplex does", () => {
    const { engine, kernel } = talkingSession();
    kernel.batch(["set", "muted", true], ["set", "half_duplex", true]);
    vi.advanceTimersByTime(100);
    kernel.batch(["set", "partial", "x"]);
    vi.advanceTimersByTime(100);
    expect(engine.of("setMuted")).toEqual([["screen", true]]);
    expect(engine.of("setHalfDuplex")).toEqual([["screen", true]]);
  });
});

describe("what is typed", () => {
  it("is sent after the page has offered to sound, and waits in the transcript", async () => {
    const { talk, store, ears } = talkingSession();
    expect(talk.type("  hello ")).toBe(true);
    expect(store.waiting).toEqual(["hello"]);
    await settled();
    expect(ears.told("sound_on", "typed")).toMatchObject([{ kind: "sound_on" }, { kind: "typed", text: "hello" }]);
  });

  it("does not wait long for sound, and keeps its order", async () => {
    const { talk, engine, ears } = talkingSession();
    engine.wakes = () => new Promise(() => {});
    talk.type("one");
    await vi.advanceTimersByTimeAsync(100);
    engine.wakes = async () => (engine.state = "running");
    talk.type("two");
    await settled();
    expect(ears.told("typed")).toEqual([]);
    await vi.advanceTimersByTimeAsync(1500);
    expect(ears.told("typed").map(({ text }) => text)).toEqual(["one", "two"]);
  });

  it("wakes nothing for an agent without a voice", async () => {
    const { talk, engine, ears } = talkingSession({ runs: { thinks: STAGE } });
    talk.type("hello");
    await settled();
    expect(engine.of("wake")).toEqual([]);
    expect(ears.told("typed")).toHaveLength(1);
  });

  it("stays in the box when nobody is there to read it", () => {
    const { talk, screen, store } = talkingSession();
    screen.emit("comm_live_update", (screen.comm_live = false));
    expect(talk.type("hello")).toBe(false);
    expect(store.waiting).toEqual([]);
    expect(store.trouble.shown([])).toMatchObject([{ type: "Disconnected" }]);
  });

  it("stays in the box when the session is over", () => {
    const { talk, store, ears, kernel } = talkingSession();
    kernel.batch(["set", "state", "stopped"]);
    expect(talk.type("hello")).toBe(false);
    expect(store.trouble.shown([])).toMatchObject([{ type: "Session over" }]);
    expect([store.waiting, ears.told("typed")]).toEqual([[], []]);
  });

  it("says once that this page cannot sound", async () => {
    const { talk, engine, store, ears } = talkingSession();
    engine.wakes = async () => {
      throw new AudioFault("unsupported");
    };
    talk.type("one");
    await settled();
    talk.type("two");
    await settled();
    expect(ears.told("typed")).toHaveLength(2);
    expect(ears.told("trouble")).toHaveLength(1);
    expect(store.trouble.shown([])).toMatchObject([{ times: 1 }]);
    expect(store.microphone.state).toBe("off");
  });
});

describe("the voice", () => {
  const block = () => new DataView(Int16Array.from([1, -2, 3]).buffer);

  it("plays what is for this page, and only that", () => {
    const { engine, kernel } = talkingSession();
    kernel.says({ kind: "sound", to: "another page", start: 0, rate: 24_000 }, [block()]);
    kernel.says({ kind: "sound", to: "this page", start: 480, rate: 24_000 }, [block()]);
    for (const kind of ["pause", "resume", "flush"]) {
      kernel.says({ kind, to: "another page" });
      kernel.says({ kind, to: "this page" });
    }
    expect(engine.calls.map(([name]) => name)).toEqual(["enqueue", "pause", "resume", "flush"]);
    expect(engine.of("enqueue")).toEqual([[480, Int16Array.from([1, -2, 3]), 24_000]]);
  });

  it("reads samples wherever in a buffer they lie", () => {
    const { engine, kernel } = talkingSession();
    const bytes = new Uint8Array([9, 1, 0, 2, 0]);
    kernel.says({ kind: "sound", to: "this page", start: 0, rate: 24_000 }, [new DataView(bytes.buffer, 1)]);
    expect(engine.of("enqueue")[0]?.[1]).toEqual(Int16Array.from([1, 2]));
  });

  it("waits for a click where the browser wants one", async () => {
    const { talk, engine, kernel, store, ears } = talkingSession();
    kernel.says({ kind: "sound", to: "this page", start: 0, rate: 24_000 }, [block()]);
    expect(store.soundBlocked).toBe(true);
    await talk.enableSound();
    expect(store.soundBlocked).toBe(false);
    expect(ears.told("sound_on")).toHaveLength(1);
    engine.state = "suspended";
    for (const listener of engine.stateListeners) listener();
    expect(store.soundBlocked).toBe(true);
  });

  it("tells how far it was heard, and when the page paused it by itself", () => {
    const { engine, ears } = talkingSession();
    engine.speaker.onPlayed({ position: 960, at: 2, moving: true });
    engine.speaker.onPaused({ position: 970, by: "itself" });
    engine.speaker.onPaused({ position: 970, by: "session" });
    expect(ears.told()).toEqual([
      { kind: "played", position: 960, at: 2000, page: "this page" },
      { kind: "paused", position: 970, page: "this page" },
    ]);
  });

  it("is heard a little after it was given out, and nowhere before this page played any", () => {
    const { engine, kernel, store } = talkingSession({ rate: 24_000, runs: {} });
    Object.assign(engine.speaker, { position: 4800, outputLatencyMs: 100 });
    expect(store.cursor()).toBe(null);
    kernel.says({ kind: "sound", to: "this page", start: 0, rate: 24_000 }, [block()]);
    expect(store.cursor()).toBe(2400);
  });

  it.each([
    ["without a place", { kind: "sound", to: "this page", rate: 24_000 }, [block()]],
    ["of a browser’s own without a length", { kind: "speech", to: "this page", start: 0, text: "Hi.", speed: 1, pitch: 1 }, []],
    ["without samples", { kind: "sound", to: "this page", start: 0, rate: 24_000 }, []],
    ["half a sample", { kind: "sound", to: "this page", start: 0, rate: 24_000 }, [new ArrayBuffer(3)]],
    ["an unknown kind", { kind: "dance" }, []],
  ])("that is malformed is a card: %s", (_, message, buffers) => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const { kernel, store, engine } = talkingSession();
    kernel.says(message, buffers);
    expect(store.trouble.shown([])).toMatchObject([{ type: "Not understood" }]);
    expect(engine.of("enqueue")).toEqual([]);
  });
});

describe("a recording", () => {
  it("is the example when that is asked for, with silence behind it", async () => {
    const { talk, engine, kernel, store, ears } = talkingSession();
    const over = promised();
    engine.plays = () => /** @type {Promise<boolean>} */ (over.promise);
    talk.sendExample();
    expect(ears.told("example")).toHaveLength(1);
    const pcm = new Int16Array(16_000).fill(5);
    kernel.says({ kind: "recording", to: "another page", rate: 16_000 }, [pcm.buffer]);
    kernel.says({ kind: "recording", to: "this page", rate: 16_000 }, [pcm.buffer]);
    await settled();
    expect(store.sending).toEqual({ name: "the example question", seconds: 1 });
    expect(ears.told("recording")).toMatchObject([{ name: "the example question", seconds: 1 }]);
    const [[, sent]] = /** @type {[[string, Int16Array]]} */ (engine.of("playRecording"));
    expect(sent).toHaveLength(48_000);
    expect([sent[15_999], sent[16_000]]).toEqual([5, 0]);
    over.keep(true);
    await settled();
    expect(store.sending).toBe(null);
  });

  it("is not sent while the microphone is muted, and that is said", () => {
    const { talk, store, ears, kernel } = talkingSession();
    kernel.batch(["set", "muted", true]);
    talk.sendExample();
    void talk.sendFile(/** @type {any} */ (new Blob()));
    expect(ears.told("example")).toEqual([]);
    expect(store.trouble.shown([])).toMatchObject([{ type: "Not sent", times: 2 }]);
  });

  it("that is no sound is a card that says what to send", async () => {
    vi.stubGlobal(
      "OfflineAudioContext",
      class {
        async decodeAudioData() {
          throw new Error("EncodingError");
        }
      },
    );
    const { talk, store } = talkingSession();
    await talk.sendFile(new File(["x"], "notes.txt"));
    expect(store.trouble.shown([])).toMatchObject([{ type: "Not sent", hint: expect.stringContaining("WAV") }]);
    expect(store.trouble.shown([])[0]?.message).toContain("notes.txt");
    vi.unstubAllGlobals();
  });

  it("longer than two minutes is not sent", async () => {
    const { kernel, store, engine } = talkingSession();
    kernel.says({ kind: "recording", to: "this page", rate: 16_000 }, [new ArrayBuffer(2 * 16_000 * 121)]);
    await settled();
    expect(store.trouble.shown([])).toMatchObject([{ type: "Not sent" }]);
    expect(engine.of("playRecording")).toEqual([]);
  });
});

it.each(["the kernel is gone", "the session is over"])("closes the microphone when %s", async (what) => {
  const { talk, engine, store, screen, kernel } = talkingSession();
  await talk.talk();
  if (what === "the kernel is gone") screen.emit("comm_live_update", (screen.comm_live = false));
  else kernel.batch(["set", "state", "stopped"]);
  vi.advanceTimersByTime(100);
  expect(store.microphone.state).toBe("off");
  expect(engine.of("closeMicrophone")).toEqual([["screen"]]);
});

it("closes the microphone of a person whom nobody hears any more", async () => {
  const { talk, store, kernel } = talkingSession();
  await talk.talk();
  kernel.batch(["set", "runs", { thinks: STAGE }]);
  await vi.advanceTimersByTimeAsync(100);
  expect(store.microphone.state).toBe("off");
});

it("asks for older turns, and to answer an offered one", async () => {
  const { talk, ears, kernel } = talkingSession();
  talk.older();
  kernel.batch(["turn", 7, {}]);
  talk.older();
  talk.accept(7);
  expect(ears.told("older", "accept")).toMatchObject([{ before: 7 }, { turn: 7 }]);
});

it("introduces the page, and tells how long the kernel takes to answer", () => {
  const { store, ears, kernel, screen } = talkingSession();
  screen.emit("comm_live_update", (screen.comm_live = false));
  vi.advanceTimersByTime(100);
  screen.emit("comm_live_update", (screen.comm_live = true));
  vi.advanceTimersByTime(100);
  const [ping] = ears.told("ping");
  expect(ears.told("facts")).toMatchObject([{ facts: { agent: navigator.userAgent } }]);
  vi.advanceTimersByTime(40);
  kernel.says({ kind: "pong", t0: -5, t1: 0 });
  kernel.says({ kind: "pong", t0: ping.t0, t1: 0 });
  const told = ears.told("facts").slice(1);
  expect(told).toHaveLength(1);
  expect(told[0].facts.roundTripMs).toBeGreaterThanOrEqual(40);
  store.dispose();
});

it("answers the kernel’s signs at once, several at first and one now and then, so that the clocks can be compared", () => {
  const { talk, store, ears, kernel, screen } = talkingSession();
  screen.emit("comm_live_update", (screen.comm_live = false));
  vi.advanceTimersByTime(100);
  screen.emit("comm_live_update", (screen.comm_live = true));
  vi.advanceTimersByTime(100);
  const answer = () => kernel.says({ kind: "pong", t0: ears.told("ping").at(-1)?.t0, t1: 77 });
  for (let sign = 0; sign < 6; sign++) answer();
  expect(ears.told("clock")).toHaveLength(4);
  for (const { told, received, sent } of ears.told("clock")) {
    expect(told).toBe(77);
    expect(received).toBeLessThanOrEqual(sent);
    expect(Math.abs(sent - performance.timeOrigin - performance.now())).toBeLessThan(1000);
  }
  kernel.says({ kind: "pong", t0: ears.told("ping").at(-1)?.t0, t1: "soon" });
  const before = ears.told("ping").length;
  vi.advanceTimersByTime(10_000);
  expect(ears.told("ping")).toHaveLength(before + 1);
  kernel.says({ kind: "beat", at: 99_000 }); // so much quicker than the others
  answer();
  expect(ears.told("clock")).toHaveLength(5);
  expect(ears.told("clock")[4].told).toBe(99_000);
  talk.dispose();
  vi.advanceTimersByTime(60_000);
  expect(ears.told("ping")).toHaveLength(before + 1);
  store.dispose();
});

it("leaves nothing open when the last view is gone", async () => {
  const { talk, engine, ears } = talkingSession();
  await talk.talk();
  talk.dispose();
  expect(engine.of("release")).toEqual([["screen"]]);
  expect(engine.stateListeners.size).toBe(0);
  expect(ears.told().at(-1)).toMatchObject({ kind: "bye" });
  dispatchEvent(new Event("pagehide"));
  expect(ears.told("bye")).toHaveLength(1);
});
