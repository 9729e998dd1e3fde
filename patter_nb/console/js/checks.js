// @ts-check
/**
 * Whether what arrived is of the form that was agreed: small questions, put together into larger ones.
 */

/** Something from the kernel that this page does not understand. */
export class WireFault extends Error {
  /**
   * @param {string} what in a few words
   * @param {unknown} given the thing itself
   */
  constructor(what, given) {
    super(`The kernel sent ${what}.`);
    this.name = "WireFault";
    this.given = given;
  }
}

/**
 * @param {boolean | undefined} holds
 * @param {string} what
 * @param {unknown} given
 */
export function check(holds, what, given) {
  if (!holds) throw new WireFault(what, given);
}

/** @typedef {(value: unknown) => boolean} Question */

/** @param {unknown} value @returns {value is string} */
export const isText = (value) => typeof value === "string";
/** @param {unknown} value @returns {value is number} */
export const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
/** @param {unknown} value @returns {value is number} */
export const isCount = (value) => Number.isSafeInteger(value) && Number(value) >= 0;
/** @param {unknown} value @returns {value is boolean} */
export const isBoolean = (value) => typeof value === "boolean";
/** @param {unknown} value @returns {value is unknown[]} */
export const isList = (value) => Array.isArray(value);
/** @param {unknown} value @returns {value is Record<string, unknown>} */
export const isRecord = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** @param {Question} question @returns {Question} */
export const orNull = (question) => (value) => value === null || question(value);
/** @param {Question} question @returns {Question} */
export const listOf = (question) => (value) => isList(value) && value.every(question);
/** @param {...string} words @returns {Question} */
export const isOneOf =
  (...words) =>
  (value) =>
    isText(value) && words.includes(value);
/** @param {Record<string, Question>} fields each must be there @returns {Question} */
export const recordOf = (fields) => (value) => isRecord(value) && Object.entries(fields).every(([name, question]) => question(value[name]));
