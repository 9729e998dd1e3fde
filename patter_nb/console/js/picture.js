// @ts-check
/**
 * What the console knows of its session, and the small changes that keep it up to date.
 *
 * The kernel sends a whole picture when a page needs one and numbered changes in between. Everything is checked here, at the door: a
 * view can rely on what it reads, and what is of another form becomes an error that somebody sees.
 *
 * @typedef {"speech" | "typed" | "say" | "greeting"} TurnSource
 * @typedef {"running" | "completed" | "interrupted" | "failed" | "offered"} TurnStatus
 * @typedef {{text: string, kind: "answer" | "filler" | "apology", start: number | null, stop: number | null, done: boolean,
 *   by?: string | null}} SpokenPiece `by` is who was asked for it
 * @typedef {{id: string | null, name: string, arguments: string, status: "streaming" | "running" | "completed" | "failed" | "cancelled",
 *   result: string | null, error: string | null, duration_ms: number | null, edited: boolean}} ToolRun
 * @typedef {{type: string, message: string, hint?: string | null}} TurnError
 * @typedef {[name: string, ms: number, owner: string, detail: string, measured: boolean]} Share a part of the waterfall
 * @typedef {{gap: number | null, since: string, why: string, parts: Share[]}} Waterfall where the time went, ms; `why` there is no gap
 * @typedef {[kind: string, text: string]} ChunkEntry
 * @typedef {{id: number, source: TurnSource, user: string, status: TurnStatus, late_ms: number | null, error: TurnError | null,
 *   pieces: SpokenPiece[], heard: string | null, heard_ms: number | null, tools: ToolRun[], chunks: ChunkEntry[], first_ms: number | null,
 *   stream_ms: number | null, tokens: number | null, provider: string | null, model: string | null, cost: string | null,
 *   waterfall: Waterfall | null, revision: number}} TurnPicture `revision` counts the changes; it is this page's own
 * @typedef {{id: number | string, stage: string, type: string, message: string, hint: string | null, turn: number | null,
 *   detail: string | null}} Fault
 * @typedef {{name: string, model: string | null, costs: boolean}} StageRun
 * @typedef {{usd: string | null, unpriced: number}} Spent what is known of what it cost, and how many turns are of unknown price
 * @typedef {{session: string, state: string, calling: string[], runs: Record<string, StageRun | null>,
 *   spent: Spent, spent_by: Record<string, Spent>, muted: boolean, partial: string, half_duplex: boolean, rate: number, busy_ms: number,
 *   breakpoints: string[], stopped_at: import("./breakpoint.js").StoppedAt | null, older: number, turns: TurnPicture[], faults: Fault[]}} SessionPicture
 */
import { WireFault, check, isBoolean, isCount, isList, isNumber, isOneOf, isRecord, isText, listOf, orNull, recordOf } from "./checks.js";

const isPiece = recordOf({
  text: isText,
  kind: isOneOf("answer", "filler", "apology"),
  start: orNull(isNumber),
  stop: orNull(isNumber),
  done: isBoolean,
  by: (value) => value === undefined || value === null || isText(value),
});
const isTool = recordOf({
  id: orNull(isText),
  name: isText,
  arguments: isText,
  status: isOneOf("streaming", "running", "completed", "failed", "cancelled"),
  result: orNull(isText),
  error: orNull(isText),
  duration_ms: orNull(isNumber),
  edited: isBoolean,
});
/** @param {unknown} value */
const isChunk = (value) => isList(value) && value.length === 2 && isText(value[0]) && isText(value[1]);
/** Chunks of one kind: the kind, and their texts. @param {unknown} value */
const isRun = (value) => isList(value) && value.length >= 2 && value.every(isText);
const areRuns = listOf(isRun);
/** @param {unknown} value */
const isHint = (value) => value === undefined || value === null || isText(value);
const isError = recordOf({ type: isText, message: isText, hint: isHint });
const isFault = recordOf({ id: isNumber, stage: isText, type: isText, message: isText, hint: isHint, turn: orNull(isNumber) });
const isSpent = recordOf({ usd: orNull(isText), unpriced: isNumber });
const isStop = recordOf({
  hit: isCount,
  point: isOneOf("llm_request", "tool_call", "speak"),
  turn: isCount,
  tool: orNull(isText),
  what: isText,
  cell: isText,
});
const isStage = recordOf({ name: isText, model: orNull(isText), costs: isBoolean });

/** @param {unknown} value */
const isShare = (value) =>
  isList(value) && value.length === 5 && isText(value[0]) && isNumber(value[1]) && isText(value[2]) && isText(value[3]) && isBoolean(value[4]);
const isWaterfall = recordOf({ gap: orNull(isNumber), since: isText, why: isText, parts: listOf(isShare) });

/** @type {Record<string, (value: unknown) => boolean>} */
const TURN_FIELDS = {
  source: isOneOf("speech", "typed", "say", "greeting"),
  user: isText,
  status: isOneOf("running", "completed", "interrupted", "failed", "offered"),
  late_ms: orNull(isNumber),
  error: orNull(isError),
  pieces: listOf(isPiece),
  heard: orNull(isText),
  heard_ms: orNull(isNumber),
  tools: listOf(isTool),
  chunks: listOf(isChunk),
  first_ms: orNull(isNumber),
  stream_ms: orNull(isNumber),
  tokens: orNull(isNumber),
  provider: orNull(isText),
  model: orNull(isText),
  cost: orNull(isText),
  waterfall: orNull(isWaterfall),
};

/** @type {Record<string, (value: unknown) => boolean>} */
const PICTURE_FIELDS = {
  session: isText,
  state: isOneOf("starting", "ready", "listening", "thinking", "calling", "speaking", "paused", "stopped"),
  calling: listOf(isText),
  runs: (value) => isRecord(value) && Object.values(value).every(orNull(isStage)),
  spent: isSpent,
  spent_by: (value) => isRecord(value) && Object.values(value).every(isSpent),
  muted: isBoolean,
  partial: isText,
  half_duplex: isBoolean,
  breakpoints: listOf(isText),
  stopped_at: orNull(isStop),
  rate: isNumber,
  busy_ms: isNumber,
  older: isCount,
};

/** What runs where nothing is told of it. */
const NO_STAGES = { hears: null, thinks: null, speaks: null };

/** @returns {SessionPicture} the picture before the kernel sent one */
export function emptyPicture() {
  return {
    session: "",
    state: "starting",
    calling: [],
    runs: {},
    spent: { usd: "0", unpriced: 0 },
    spent_by: {},
    muted: false,
    partial: "",
    half_duplex: false,
    breakpoints: [],
    stopped_at: null,
    rate: 16_000,
    busy_ms: 0,
    older: 0,
    turns: [],
    faults: [],
  };
}

/**
 * @param {number} id
 * @returns {TurnPicture} a turn of which nothing is known yet
 */
function emptyTurn(id) {
  return {
    ...{ id, source: "typed", user: "", status: "running", late_ms: null, error: null, pieces: [], heard: null, heard_ms: null },
    ...{ tools: [], chunks: [], first_ms: null, stream_ms: null, tokens: null, provider: null, model: null, cost: null, waterfall: null, revision: 0 },
  };
}

/**
 * @param {unknown} value a turn as the kernel writes it
 * @returns {TurnPicture}
 */
export function readTurn(value) {
  check(isRecord(value) && isCount(value.id), "a turn without a number", value);
  return mergeTurn(emptyTurn(/** @type {{id: number}} */ (value).id), value);
}

/**
 * @param {unknown} value a picture as the kernel writes it; what it leaves out is as in an empty one
 * @returns {SessionPicture}
 */
export function readPicture(value) {
  check(isRecord(value), "a picture that is no object", value);
  const { turns = [], faults = [], ...rest } = /** @type {Record<string, unknown>} */ (value);
  const picture = emptyPicture();
  for (const [key, field] of Object.entries(rest)) setField(picture, key, field);
  check(isList(turns) && isList(faults), "turns or faults that are no list", { turns, faults });
  picture.turns = /** @type {unknown[]} */ (turns).map(readTurn);
  picture.faults = /** @type {unknown[]} */ (faults).map(readFault);
  return picture;
}

/**
 * @param {SessionPicture} picture
 * @param {unknown} key
 * @param {unknown} value
 */
function setField(picture, key, value) {
  check(isText(key) && Object.hasOwn(PICTURE_FIELDS, key), "an unknown field of the picture", key);
  const name = /** @type {string} */ (key);
  check(PICTURE_FIELDS[name]?.(value), `a wrong value for "${name}"`, value);
  Object.assign(picture, { [name]: name === "runs" ? { ...NO_STAGES, .../** @type {object} */ (value) } : value });
}

/**
 * @param {unknown} value a fault as the kernel writes it; what it knows besides is the detail
 * @returns {Fault}
 */
function readFault(value) {
  check(isFault(value), "a fault of another form", value);
  const { id, stage, type, message, hint = null, turn, ...known } = /** @type {Fault} */ (value);
  const told = Object.entries(known).map(([name, each]) => `${name}: ${isText(each) ? each : JSON.stringify(each)}`);
  return { id, stage, type, message, hint, turn, detail: told.length > 0 ? told.join("\n") : null };
}

/**
 * @param {TurnPicture} turn
 * @param {unknown} fields
 */
function mergeTurn(turn, fields) {
  check(isRecord(fields), "a turn's fields that are no object", fields);
  for (const [name, value] of Object.entries(/** @type {Record<string, unknown>} */ (fields))) {
    if (name === "id" && value === turn.id) continue;
    check(Object.hasOwn(TURN_FIELDS, name) && TURN_FIELDS[name]?.(value), `a wrong value for a turn's "${name}"`, value);
  }
  const { pieces = turn.pieces, tools = turn.tools, chunks = turn.chunks } = /** @type {Partial<TurnPicture>} */ (fields);
  // These grow here, and what was given may belong to a widget's state.
  return Object.assign(turn, fields, { pieces: [...pieces], tools: [...tools], chunks: [...chunks] });
}

/**
 * Carry one change of a batch out. Throws `WireFault`, before anything is changed, when it is of another form than was agreed.
 * @param {SessionPicture} picture
 * @param {unknown} op
 */
export function applyOp(picture, op) {
  check(isList(op), "a change that is no list", op);
  const [name, ...given] = /** @type {unknown[]} */ (op);
  if (name === "set") return setField(picture, given[0], given[1]);
  if (name === "fault") {
    return void picture.faults.push(readFault(given[0]));
  }
  const [id, ...rest] = given;
  check(isCount(id), "a change of a turn without a number", op);
  const turn = picture.turns.find((each) => each.id === id);
  if (name === "turn") {
    const changed = mergeTurn(turn ?? emptyTurn(/** @type {number} */ (id)), rest[0]);
    if (turn === undefined) picture.turns.push(changed);
    changed.revision += 1;
    return;
  }
  if (turn === undefined) throw new WireFault(`a change of turn ${id}, which is not here`, op);
  applyToTurn(turn, name, rest, op);
  turn.revision += 1;
}

/**
 * @param {TurnPicture} turn
 * @param {unknown} name
 * @param {unknown[]} given
 * @param {unknown} op
 */
function applyToTurn(turn, name, given, op) {
  if (name === "chunks") {
    const [runs] = given;
    check(areRuns(runs), "chunks of another form", op);
    for (const [kind, ...texts] of /** @type {[string, ...string[]][]} */ (runs)) for (const text of texts) turn.chunks.push([kind, text]);
    return;
  }
  const [index, value] = /** @type {[number, any]} */ (given);
  if (name === "piece" || name === "tool") {
    const list = name === "piece" ? turn.pieces : turn.tools;
    check(isCount(index) && index <= list.length, `a ${name} out of order`, op);
    check((name === "piece" ? isPiece : isTool)(value), `a ${name} of another form`, op);
    list[index] = value;
    return;
  }
  check(name === "arguments", "an unknown change", op);
  const tool = turn.tools[index];
  if (tool === undefined || !isText(value)) throw new WireFault("arguments for no tool call", op);
  turn.tools[index] = { ...tool, arguments: tool.arguments + value };
}
