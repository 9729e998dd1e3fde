// @ts-check
/**
 * What one page knows of one session, for all its views.
 *
 * A notebook shows the same session in several outputs, each output is a module of its own, and any of them may be closed. So what is
 * known lives here, once for each Screen model on the page: the picture with every batch applied, the state of connection, kernel and
 * microphone, and what went wrong. Batches are numbered; where one is missing the kernel is asked for the whole picture again.
 */
import { WireFault, isCount, isList, isNumber, isRecord } from "./checks.js";
import { Coalescer } from "./coalescer.js";
import { Heartbeat } from "./heartbeat.js";
import { mergedPicture, prependTurns, trimTurns } from "./history.js";
import { Listeners } from "./listeners.js";
import { applyOp, emptyPicture, readPicture, readTurn } from "./picture.js";
import { ClockSigns, pageClock } from "./pageclock.js";
import { BatchSequence } from "./sequence.js";
import { ServerWatch, serverAnswers } from "./server.js";
import { Trouble } from "./trouble.js";

/**
 * A widget's model, as far as the console uses it.
 * @typedef {{model_id?: string, comm_live?: boolean, get(name: string): unknown,
 *   send(content: object, callbacks?: object, buffers?: ArrayBufferLike[]): unknown,
 *   on(event: string, callback: (...given: any[]) => void): void,
 *   off(event: string, callback: (...given: any[]) => void): void}} WidgetModel
 * @typedef {{state: "off" | "opening" | "open" | "failed", label: string, deviceId: string, problem: string | null}} MicrophoneState
 *   `problem` is the name of the AudioFault that "failed" means
 * @typedef {{kind: string, [name: string]: unknown}} Message
 */
const LOOK_MS = 200;
/** Stages of which a turn that is completed shows that they work again. */
const MENDED = new Set(["llm", "engine", "stt", "tts"]);

export class ConsoleStore {
  #screen;
  #ears;
  #coalescer = new Coalescer(() => this.#listeners.tell());
  #heartbeat = new Heartbeat();
  #sequence = new BatchSequence();
  #server;
  /** @type {Listeners<[]>} */
  #listeners = new Listeners((error) => this.reportError(error, "A part of the console failed."));
  /** @type {Listeners<[content: Record<string, any>, buffers: unknown[]]>} */
  #hearers = new Listeners((error) => this.reportError(error, "A message could not be carried out."));
  #looking;

  /**
   * @param {{screen: WidgetModel, ears: WidgetModel, page: string, answers?: () => Promise<boolean>}} given `page` is its name towards the
   *   kernel, `answers` asks whether the server does
   */
  constructor({ screen, ears, page, answers = serverAnswers }) {
    this.#server = new ServerWatch(answers, () => this.changed());
    this.#screen = screen;
    this.#ears = ears;
    this.page = page;
    this.picture = emptyPicture();
    /** Whether the kernel is there at all. */
    this.live = screen.comm_live !== false;
    /** How long the kernel has been busy with something else, 0 when it is not. */
    this.busyMs = 0;
    /** @type {MicrophoneState} */
    this.microphone = { state: "off", label: "", deviceId: "", problem: null };
    /** @type {{deviceId: string, label: string}[]} microphones to choose from */
    this.devices = [];
    /** Whether the session hears what pages send; it may have other ears. */
    this.hearsPages = true;
    /** Whether this page has offered itself as the agent's loudspeaker. */
    this.soundOn = false;
    /** Whether sound waits for a click, as browsers want one first. */
    this.soundBlocked = false;
    /** @type {{name: string, seconds: number} | null} the recording that is being sent */
    this.sending = null;
    /** @type {string[]} what was typed and has not come back as a turn */
    this.waiting = [];
    this.trouble = new Trouble();
    /** By which the kernel's clock can be compared with the page's. */
    this.signs = new ClockSigns();
    /** @type {() => number | null} how far the person has heard, on the output axis; null where this page plays nothing */
    this.cursor = () => null;
    this.#hookUp("on");
    this.#looking = setInterval(this.#look, LOOK_MS);
    this.#readTrait();
    if (this.live) this.#askForPicture();
  }

  /** No more is heard from the models, and nobody is told any more. */
  dispose() {
    this.#hookUp("off");
    clearInterval(this.#looking);
    this.#coalescer.cancel();
    this.#listeners.clear();
    this.#hearers.clear();
  }

  /** @param {"on" | "off"} method */
  #hookUp(method) {
    this.#screen[method]("msg:custom", this.#receive);
    this.#screen[method]("change:picture", this.#readTrait);
    this.#screen[method]("comm_live_update", this.#readConnection);
    this.#screen[method]("destroy", this.#lose);
  }

  /** Whether the kernel is not heard because the server between does not answer. */
  get serverGone() {
    return this.#server.gone;
  }

  /** Have `listener` called soon after anything changed. Returns what takes it off again. @param {() => void} listener */
  subscribe(listener) {
    return this.#listeners.add(listener);
  }

  /** Likewise with each message that is not the store's own. @param {(content: Record<string, any>, buffers: unknown[]) => void} hearer */
  hear(hearer) {
    return this.#hearers.add(hearer);
  }

  /** Something changed: the listeners are called with the next painting. */
  changed() {
    this.#coalescer.request();
  }

  /** Say something to the kernel; whether there is one. @param {Message} content @param {ArrayBufferLike[]} [buffers] */
  tell(content, buffers = []) {
    if (this.live) this.#ears.send({ ...content, page: this.page }, undefined, buffers);
    return this.live;
  }

  /** @type {Trouble["report"]} */
  report(fault) {
    this.trouble.report(fault);
    this.changed();
  }

  /** @type {Trouble["reportError"]} */
  reportError(error, what) {
    console.error(error);
    this.trouble.reportError(error, what);
    this.changed();
  }

  /** @param {import("./picture.js").Fault["id"][]} ids of faults that the person has read */
  dismiss(ids) {
    this.trouble.putAway(ids);
    this.changed();
  }

  /** @param {string} text that was typed and is on its way */
  wait(text) {
    this.waiting.push(text);
    this.changed();
  }

  /** @type {(content: unknown, buffers?: unknown) => void} */
  #receive = (content, buffers) => {
    try {
      if (!isRecord(content)) throw new WireFault("a message that is no object", content);
      this.#take(content, isList(buffers) ? buffers : []);
    } catch (error) {
      this.reportError(error, "A message could not be shown.");
    }
  };

  /** @param {Record<string, any>} content @param {unknown[]} buffers */
  #take(content, buffers) {
    if (content.kind === "beat") {
      if (isNumber(content.at)) this.signs.heard(content.at);
      this.#heartbeat.beat(performance.now());
      return this.#look();
    }
    if (content.kind === "batch") this.#takeBatch(content);
    else if (content.kind === "snapshot") this.#takeSnapshot(content);
    else if (content.kind === "older") content.to === this.page && this.#takeOlder(content);
    else this.#hearers.tell(content, buffers);
    this.changed();
  }

  /** @param {Record<string, unknown>} content */
  #takeBatch({ seq, ops }) {
    if (!isCount(seq) || !isList(ops)) throw new WireFault("a batch of another form", { seq, ops });
    const step = this.#sequence.take(seq, performance.now());
    if (step === "ask") this.#askForPicture();
    if (step !== "apply") return;
    const [turns, faults] = [this.picture.turns.length, this.picture.faults.length];
    for (const op of ops) {
      try {
        applyOp(this.picture, op);
      } catch (error) {
        this.reportError(error, "A change could not be shown.");
      }
    }
    if (this.picture.turns.length > turns) {
      this.#arrived(this.picture.turns.slice(turns));
      trimTurns(this.picture);
    }
    this.#healed();
    if (this.picture.faults.length > faults || this.picture.state === "stopped") this.waiting = [];
  }

  /** Once a turn has gone well, what an earlier one failed of is mended, or was no matter. */
  #healed() {
    const { turns, faults } = this.picture;
    const newest = turns.at(-1);
    if (newest?.status !== "completed") return;
    const past = faults.filter(({ turn, stage }) => turn !== null && turn < newest.id && MENDED.has(stage));
    this.trouble.putAway(past.map(({ id }) => id));
  }

  /** @param {Record<string, unknown>} content */
  #takeSnapshot({ seq, picture, hears }) {
    this.hearsPages = hears !== false;
    if (!Number.isSafeInteger(seq)) throw new WireFault("a picture without a number", seq);
    if (!this.#sequence.awaiting && seq === this.#sequence.last) return; // another page asked for it
    this.#show(picture);
    this.#sequence.came(Number(seq));
  }

  /** @param {unknown} picture */
  #show(picture) {
    const seen = this.picture.turns.at(-1)?.id ?? -Infinity;
    this.picture = mergedPicture(this.picture, readPicture(picture));
    this.#arrived(this.picture.turns.filter((turn) => turn.id > seen));
  }

  /** @param {Record<string, unknown>} content */
  #takeOlder({ turns, older }) {
    if (!isList(turns) || !isCount(older)) throw new WireFault("older turns of another form", { turns, older });
    prependTurns(this.picture, turns.map(readTurn), older);
  }

  /** @param {import("./picture.js").TurnPicture[]} turns that are new: what was typed for them waits no longer */
  #arrived(turns) {
    for (const turn of turns) {
      if (turn.source === "typed") this.waiting.splice(Math.max(0, this.waiting.indexOf(turn.user)), 1);
    }
  }

  #askForPicture() {
    this.#sequence.asked(performance.now());
    this.tell({ kind: "ready", last: this.#sequence.last, sent: pageClock() });
  }

  /** The synced trait is what there is without a kernel, and until its first answer. */
  #readTrait = () => {
    const picture = this.#screen.get("picture");
    if (this.#sequence.known || !isRecord(picture) || Object.keys(picture).length === 0) return;
    try {
      this.#show(picture);
    } catch (error) {
      this.reportError(error, "The saved conversation could not be shown.");
    }
    this.changed();
  };

  #readConnection = () => {
    const live = this.#screen.comm_live !== false;
    if (live === this.live) return;
    this.#lose();
    this.live = live;
    if (live) this.#askForPicture();
  };

  #lose = () => {
    this.live = false;
    this.#heartbeat.forget();
    this.busyMs = 0;
    this.changed();
  };

  #look = () => {
    const missing = this.#heartbeat.look(performance.now());
    const busyMs = this.live && this.picture.state !== "stopped" ? missing : 0;
    this.#server.look(busyMs > 0, performance.now());
    if (busyMs === this.busyMs) return;
    this.busyMs = busyMs;
    this.changed();
  };
}
