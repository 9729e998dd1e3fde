// @ts-check
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { AudioEngine, audioEngine } from "../../../patter_nb/console/js/audio/engine.js";
import { microphoneFault } from "../../../patter_nb/console/js/audio/fault.js";
import { AUDIO, joined } from "./audio_scope.js";

/** A browser, as far as the engine sees it. */
class FakeBrowser {
  /** @type {FakeContext[]} */
  contexts = [];
  /** @type {FakeStream[]} */
  streams = [];
  /** @type {any[]} what was said to the processors */
  said = [];
  /** @type {Error[]} */
  reported = [];
  /** Whether the person has clicked. */
  clicked = true;
  module = "loads";
  /** Whether the browser cannot bring the microphone to the context's rate. */
  otherRate = false;
  /** How many microphones the processor hears. */
  connected = 0;
  /** @type {unknown} */
  refusal = null;
  /** @type {any} */
  constraints = null;
  /** @type {Promise<void>} the person thinks about the permission */
  prompt = Promise.resolve();

  install() {
    const browser = this;
    vi.stubGlobal("WORKLET_SOURCE", "// the worklet");
    vi.stubGlobal("isSecureContext", true);
    vi.stubGlobal("location", { origin: "http://127.0.0.1", protocol: "http:" });
    vi.stubGlobal("document", {});
    vi.stubGlobal("reportError", (/** @type {Error} */ error) => this.reported.push(error));
    vi.stubGlobal("AudioContext", class extends FakeContext {
      constructor() {
        super(browser);
      }
    });
    vi.stubGlobal("AudioWorkletNode", FakeNode);
    vi.stubGlobal("navigator", {
      mediaDevices: {
        getUserMedia: async (/** @type {any} */ constraints) => {
          this.constraints = constraints;
          await this.prompt;
          if (this.refusal !== null) throw this.refusal;
          this.streams.push(new FakeStream());
          return this.streams.at(-1);
        },
        enumerateDevices: async () => [
          { kind: "audioinput", deviceId: "1", label: "Headset" },
          { kind: "audiooutput", deviceId: "2", label: "Loudspeaker" },
        ],
      },
    });
  }

  /** What the newest processor says. @param {any} message */
  say(message) {
    this.contexts.at(-1)?.node?.port.onmessage?.({ data: message });
  }

  /** The kinds of what was said to the processor. */
  get kinds() {
    return this.said.map(({ kind }) => kind);
  }
}

class FakeContext {
  sampleRate = 44100;
  currentTime = 0;
  outputLatency = 0.03;
  state = "suspended";
  destination = {};
  /** @type {FakeNode | null} */
  node = null;
  /** @type {(() => void) | null} */
  onstatechange = null;
  audioWorklet = {
    addModule: async () => {
      if (this.browser.module !== "loads") throw new Error(this.browser.module);
    },
  };

  /** @param {FakeBrowser} browser */
  constructor(browser) {
    this.browser = browser;
    browser.contexts.push(this);
  }

  async resume() {
    if (!this.browser.clicked) return new Promise(() => {});
    this.state = "running";
    this.onstatechange?.();
  }

  async close() {
    this.state = "closed";
  }

  createMediaStreamSource() {
    if (this.browser.otherRate) throw new DOMException("different sample-rate", "NotSupportedError");
    return { connect: () => this.browser.connected++, disconnect: () => this.browser.connected-- };
  }
}

class FakeNode {
  port = {
    /** @type {((event: {data: any}) => void) | null} */
    onmessage: null,
    postMessage: (/** @type {any} */ message) => this.context.browser.said.push(message),
  };
  /** @type {((event: any) => void) | null} */
  onprocessorerror = null;

  /** @param {FakeContext} context */
  constructor(context) {
    this.context = context;
    context.node = this;
  }

  connect() {}
}

class FakeStream {
  /** @type {() => void} */
  unplug = () => {};
  stopped = false;

  getAudioTracks() {
    return [
      {
        label: "Headset",
        getSettings: () => ({ deviceId: "1", sampleRate: 48000, echoCancellation: true, channelCount: 1 }),
        addEventListener: (/** @type {string} */ _, /** @type {() => void} */ listener) => (this.unplug = listener),
      },
    ];
  }

  getTracks() {
    return [{ stop: () => (this.stopped = true) }];
  }
}

/** @type {FakeBrowser} */
let browser;
/** @type {AudioEngine} */
let engine;

beforeEach(() => {
  browser = new FakeBrowser();
  browser.install();
  engine = new AudioEngine();
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** @param {number} opening */
function frames(opening) {
  return { kind: "frames", session: "a", opening, seq: 4, captureMs: [80, 100], at: 5.08, echo: [false, false], pcm: new Int16Array(640) };
}

const newestOpening = () => browser.said.findLast(({ kind }) => kind === "open").opening;

describe("the page's one engine", () => {
  test("and its worklet use no name twice, so that their modules can stand in one text", () => {
    const text = `${joined(`${AUDIO}/engine.js`)}\n${joined(`${AUDIO}/worklet.js`)}`;
    const names = [...text.matchAll(/^(?:async )?(?:const|let|class|function) (\w+)/gm)].map(([, name]) => name);
    expect(names.length).toBeGreaterThan(50);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
    expect(text).not.toMatch(/^(?:import|export) /m);
  });

  test("is the same for every module instance", async () => {
    vi.resetModules();
    const other = await import("../../../patter_nb/console/js/audio/engine.js");
    expect(other.AudioEngine).not.toBe(AudioEngine);
    expect(other.audioEngine()).toBe(audioEngine());
  });

  test("has one context for all sessions, until the last one goes", async () => {
    expect(engine.state).toBe("off");
    expect(await engine.wake()).toBe("running");
    await engine.openMicrophone("a", {});
    engine.player("b").enqueue(0, new Int16Array(10), 16000);
    expect(browser.contexts.length).toBe(1);
    await engine.release("a");
    expect(engine.state).toBe("running");
    expect(browser.streams[0].stopped).toBe(true);
    await engine.release("b");
    expect(engine.state).toBe("off");
    expect(browser.contexts[0].state).toBe("closed");
    expect(browser.kinds.at(-1)).toBe("end");
  });

  test("says suspended where the browser wants a click, and runs after it; what was queued waits in order", async () => {
    vi.useFakeTimers();
    browser.clicked = false;
    const states = /** @type {string[]} */ ([]);
    engine.onState((state) => states.push(state));
    engine.player("a").enqueue(0, Int16Array.of(1, 2), 24000);
    engine.player("a").enqueue(2, Int16Array.of(3), 24000);
    const waking = engine.wake();
    await vi.advanceTimersByTimeAsync(1000);
    expect(await waking).toBe("suspended");
    browser.clicked = true;
    expect(await engine.wake()).toBe("running");
    expect(states).toEqual(["suspended", "running"]);
    expect(browser.said).toEqual([
      { kind: "enqueue", session: "a", start: 0, pcm: Int16Array.of(1, 2), rate: 24000 },
      { kind: "enqueue", session: "a", start: 2, pcm: Int16Array.of(3), rate: 24000 },
    ]);
  });

  test("tells of a broken processor, and can be woken anew", async () => {
    const onEnded = vi.fn();
    await engine.openMicrophone("a", { onEnded });
    browser.contexts[0].node?.onprocessorerror?.({ message: "out of memory" });
    await vi.waitFor(() => expect(onEnded).toHaveBeenCalledWith("failed"));
    expect(browser.reported.map(({ message }) => message)).toEqual([expect.stringContaining("out of memory")]);
    expect(engine.state).toBe("off");
    expect(await engine.wake()).toBe("running");
  });
});

describe("the microphone", () => {
  test("is asked for with all that makes speech clean, and its facts are what was granted", async () => {
    const facts = await engine.openMicrophone("a", { deviceId: "1" });
    expect(browser.constraints).toEqual({
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1, deviceId: { exact: "1" } },
    });
    expect(facts).toEqual({
      label: "Headset", deviceId: "1", trackRate: 48000, contextRate: 44100,
      echoCancellation: true, noiseSuppression: null, autoGainControl: null, channelCount: 1,
    });
  });

  test("gives frames and levels to who opened it, of this opening only", async () => {
    const onFrames = vi.fn();
    const onLevel = vi.fn();
    await engine.openMicrophone("a", { onFrames, onLevel });
    const first = newestOpening();
    browser.say(frames(first));
    browser.say({ kind: "level", session: "a", opening: first, peak: -3, rms: -20, silenced: false });
    const echo = [false, false];
    const told = { opening: first, seq: 4, t: 80, captureMs: [80, 100], captured: expect.any(Number), echo, pcm: new Int16Array(640) };
    expect(onFrames).toHaveBeenCalledWith(told);
    expect(onLevel).toHaveBeenCalledWith({ peak: -3, rms: -20, silenced: false });
    await engine.openMicrophone("a", { onFrames });
    expect(newestOpening()).toBeGreaterThan(first);
    browser.say(frames(first));
    expect(onFrames).toHaveBeenCalledTimes(1);
  });

  test("tells when a frame was captured: before it came in by what the devices need", async () => {
    const onFrames = vi.fn();
    await engine.openMicrophone("a", { onFrames });
    Object.assign(browser.contexts[0], { getOutputTimestamp: () => ({ contextTime: 5, performanceTime: 2000 }) });
    vi.spyOn(browser.streams[0], "getAudioTracks").mockReturnValue(/** @type {any} */ ([{ getSettings: () => ({ latency: 0.01 }) }]));
    browser.say(frames(newestOpening()));
    expect(onFrames.mock.calls[0][0].captured).toBeCloseTo(performance.timeOrigin + 2080 - 30 - 10, 3);
  });

  test("is taken by another session, which the first one is told", async () => {
    const onEnded = vi.fn();
    await engine.openMicrophone("a", { onEnded });
    await engine.openMicrophone("b", {});
    expect(onEnded).toHaveBeenCalledWith("taken");
    expect(browser.streams.map(({ stopped }) => stopped)).toEqual([true, false]);
    engine.closeMicrophone("a");
    expect(browser.streams[1].stopped).toBe(false);
    expect(browser.connected).toBe(1);
    engine.closeMicrophone("b");
    expect(browser.connected).toBe(0);
  });

  test("stays with the first session when the other is refused", async () => {
    const onEnded = vi.fn();
    await engine.openMicrophone("a", { onEnded });
    browser.refusal = new DOMException("no", "NotFoundError");
    await expect(engine.openMicrophone("b", { deviceId: "gone" })).rejects.toMatchObject({ name: "no-microphone" });
    expect(onEnded).not.toHaveBeenCalled();
    expect(browser.streams[0].stopped).toBe(false);
  });

  test("stays with the first session when the other's cannot be connected", async () => {
    const onEnded = vi.fn();
    await engine.openMicrophone("a", { onEnded });
    browser.otherRate = true;
    const refused = { name: "unsupported", detail: expect.stringContaining("sample-rate") };
    await expect(engine.openMicrophone("b", {})).rejects.toMatchObject(refused);
    expect(onEnded).not.toHaveBeenCalled();
    expect(browser.streams.map(({ stopped }) => stopped)).toEqual([false, true]);
  });

  test("that is opened anew by its own session tells nothing", async () => {
    const onEnded = vi.fn();
    await engine.openMicrophone("a", { onEnded });
    await engine.openMicrophone("a", { onEnded });
    browser.streams[0].unplug();
    expect(onEnded).not.toHaveBeenCalled();
    expect(browser.streams.map(({ stopped }) => stopped)).toEqual([true, false]);
  });

  test("that is unplugged is gone, and its session is told once", async () => {
    const onEnded = vi.fn();
    await engine.openMicrophone("a", { onEnded });
    browser.streams[0].unplug();
    browser.streams[0].unplug();
    expect(onEnded.mock.calls).toEqual([["unplugged"]]);
    expect(browser.kinds.at(-1)).toBe("close");
  });

  const waysOut = /** @type {const} */ (["closeMicrophone", "release"]);
  test.each(waysOut)("that is let go by %s while the person is asked never opens", async (letGo) => {
    let allow = () => {};
    browser.prompt = new Promise((resolve) => (allow = resolve));
    const opening = engine.openMicrophone("a", {});
    await vi.waitFor(() => expect(browser.constraints).not.toBeNull());
    await engine[letGo]("a");
    allow();
    expect(await opening).toBeNull();
    expect(browser.streams[0].stopped).toBe(true);
    expect(browser.kinds).not.toContain("open");
  });

  test("is not kept open where sound may not run", async () => {
    vi.useFakeTimers();
    browser.clicked = false;
    const opening = engine.openMicrophone("a", {});
    const refused = expect(opening).rejects.toMatchObject({ name: "suspended" });
    await vi.advanceTimersByTimeAsync(2000);
    await refused;
    expect(browser.streams[0].stopped).toBe(true);
  });

  test("is muted as its session is, also when it was muted before", async () => {
    engine.setMuted("a", true);
    await engine.openMicrophone("a", {});
    engine.setHalfDuplex("a", true);
    engine.setMuted("b", false);
    expect(browser.said).toEqual([
      { kind: "open", session: "a", opening: expect.any(Number), muted: true, halfDuplex: false },
      { kind: "settings", session: "a", muted: true, halfDuplex: true },
    ]);
  });

  test("is chosen from the inputs", async () => {
    expect(await engine.devices()).toEqual([{ deviceId: "1", label: "Headset" }]);
  });
});

describe("a recording", () => {
  const pcm = Int16Array.of(1, 2, 3);
  const recorded = () => browser.say({ kind: "recorded", session: "a", opening: newestOpening() });

  test("is sent without any microphone, and ends with itself", async () => {
    const onFrames = vi.fn();
    const playing = engine.playRecording("a", pcm, { onFrames });
    await vi.waitFor(() => expect(browser.kinds).toEqual(["open", "recording"]));
    expect(browser.constraints).toBeNull();
    browser.say(frames(newestOpening()));
    recorded();
    expect(await playing).toBe(true);
    expect(onFrames).toHaveBeenCalledTimes(1);
    expect(browser.kinds).toEqual(["open", "recording", "close"]);
  });

  test("takes the place of the session's own microphone, which stays open", async () => {
    await engine.openMicrophone("a", {});
    const playing = engine.playRecording("a", pcm, {});
    await vi.waitFor(() => expect(browser.kinds).toEqual(["open", "recording"]));
    recorded();
    expect(await playing).toBe(true);
    expect(browser.streams[0].stopped).toBe(false);
    expect(browser.kinds).toEqual(["open", "recording"]);
  });

  test("that is cut short says so", async () => {
    const playing = engine.playRecording("a", pcm, {});
    await vi.waitFor(() => expect(browser.kinds).toContain("recording"));
    engine.closeMicrophone("a");
    expect(await playing).toBe(false);
    const again = engine.playRecording("a", pcm, {});
    await vi.waitFor(() => expect(browser.kinds.filter((kind) => kind === "recording").length).toBe(2));
    const third = engine.playRecording("a", pcm, {});
    expect(await again).toBe(false);
    recorded();
    expect(await third).toBe(true);
  });

  test("needs a page that may sound", async () => {
    vi.useFakeTimers();
    browser.clicked = false;
    const refused = expect(engine.playRecording("a", pcm, {})).rejects.toMatchObject({ name: "suspended" });
    await vi.advanceTimersByTimeAsync(1000);
    await refused;
  });
});

describe("the loudspeaker", () => {
  test("is told of, goes on between two messages, and never beyond its sound", async () => {
    await engine.wake();
    const player = engine.player("a");
    expect(engine.player("a")).toBe(player);
    const told = /** @type {string[]} */ ([]);
    player.onPlayed = ({ kind }) => told.push(kind);
    player.onPaused = ({ kind, by }) => told.push(`${kind} by ${by}`);
    player.onResumed = ({ kind }) => told.push(kind);
    player.onFlushed = ({ kind }) => told.push(kind);
    player.onFault = ({ message }) => told.push(message);
    expect(player.position).toBe(0);
    browser.say({ kind: "played", session: "a", position: 1000, at: 2, moving: true, queued: 5000, rate: 16000, underruns: 0 });
    browser.contexts[0].currentTime = 2.1;
    expect(player.position).toBe(2600);
    browser.contexts[0].currentTime = 9;
    expect(player.position).toBe(6000);
    browser.say({ kind: "paused", session: "a", position: 3000, by: "itself" });
    expect(player.position).toBe(3000);
    browser.say({ kind: "resumed", session: "a", position: 3000, by: "itself" });
    browser.say({ kind: "flushed", session: "a", position: 3100 });
    browser.say({ kind: "fault", session: "a", message: "out of order" });
    browser.say({ kind: "played", session: "b", position: 1, at: 0, moving: true, queued: 0, rate: 1, underruns: 0 });
    expect(told).toEqual(["played", "paused by itself", "resumed", "flushed", "out of order"]);
    expect(player.position).toBe(3100);
    expect(player.outputLatencyMs).toBeCloseTo(30);
  });

  test("knows when a sample sounds, by what the browser tells of its device", async () => {
    await engine.wake();
    const player = engine.player("a");
    const [context] = browser.contexts;
    context.currentTime = 9;
    const now = performance.timeOrigin + performance.now();
    expect(player.soundsAt(9)).toBeGreaterThanOrEqual(now + 30);
    expect(player.soundsAt(9)).toBeLessThan(now + 30 + 1000);
    Object.assign(context, { getOutputTimestamp: () => ({ contextTime: 8.9, performanceTime: 5000 }) });
    expect(player.soundsAt(9)).toBeCloseTo(performance.timeOrigin + 5100, 3);
    Object.assign(context, { getOutputTimestamp: () => ({ contextTime: 0, performanceTime: 0 }) });
    expect(player.soundsAt(9)).toBeGreaterThanOrEqual(now + 30);
  });

  test("keeps nothing of the caller's and leaves it whole", async () => {
    await engine.wake();
    const pcm = Int16Array.of(1, 2, 3).subarray(1);
    engine.player("a").enqueue(5, pcm, 16000);
    pcm[0] = 99;
    expect(browser.said[0].pcm).toEqual(Int16Array.of(2, 3));
  });

  test("whose fault nobody takes is an error of the page", async () => {
    await engine.wake();
    engine.player("a");
    browser.say({ kind: "fault", session: "a", message: "out of order" });
    expect(browser.reported.map(({ message }) => message)).toEqual(["session a: out of order"]);
  });
});

describe("what is wrong", () => {
  test.each([
    ["NotAllowedError", "denied"],
    ["SecurityError", "denied-by-front-end"],
    ["NotFoundError", "no-microphone"],
    ["OverconstrainedError", "no-microphone"],
    ["NotReadableError", "microphone-busy"],
    ["AbortError", "microphone-busy"],
    ["SomethingNew", "unsupported"],
  ])("%s is %s", (name, fault) => {
    const found = microphoneFault(new DOMException("said the browser", name));
    expect(found).toMatchObject({ name: fault, detail: expect.stringContaining("said the browser") });
    expect(found.cause).toMatch(/\.$/);
    expect(found.remedy).toMatch(/\.$/);
    expect(found).toBeInstanceOf(Error);
  });

  test.each(["permissionsPolicy", "featurePolicy"])("a front end whose %s forbids the microphone is named", (policy) => {
    vi.stubGlobal("document", { [policy]: { allowsFeature: () => false } });
    expect(microphoneFault(new DOMException("", "NotAllowedError")).name).toBe("denied-by-front-end");
  });

  test("VS Code's webviews are named", () => {
    vi.stubGlobal("location", { origin: "vscode-webview://x", protocol: "vscode-webview:" });
    expect(microphoneFault(new DOMException("", "NotAllowedError")).name).toBe("denied-by-front-end");
  });

  test("an insecure page has neither microphone nor worklet", async () => {
    vi.stubGlobal("isSecureContext", false);
    vi.stubGlobal("navigator", {});
    await expect(engine.openMicrophone("a", {})).rejects.toMatchObject({ name: "insecure-origin" });
    await expect(engine.wake()).rejects.toMatchObject({ name: "insecure-origin" });
    await expect(engine.devices()).rejects.toMatchObject({ name: "insecure-origin" });
  });

  test("a browser without AudioWorklet is unsupported", async () => {
    vi.stubGlobal("AudioWorkletNode", undefined);
    await expect(engine.wake()).rejects.toMatchObject({ name: "unsupported" });
  });

  test("a worklet that does not load is unsupported, says why, and is tried again", async () => {
    browser.module = "blocked by Content Security Policy";
    await expect(engine.wake()).rejects.toMatchObject({ name: "unsupported", detail: expect.stringContaining("Content Security Policy") });
    expect(engine.state).toBe("off");
    browser.module = "loads";
    expect(await engine.wake()).toBe("running");
  });
});
