// @ts-check
/**
 * What the kernel offers for a stage, checked at the door: names and words, never a key.
 *
 * @typedef {{part: string, name: string | null, badge: string, ready: boolean, costs: boolean, why: string, models: string[],
 *   any_model: boolean, runs: boolean, model: string | null, cell: string}} Offer `name` null is nobody; `cell` has {model} where it goes
 * @typedef {{title: string, offers: Offer[]}} OfferGroup
 */
import { check, isBoolean, isText, listOf, orNull, recordOf } from "./checks.js";

const MODEL_PLACE = "{model}";
/** What may stand in a cell between double quotes: the same rule as the kernel's. */
const MODEL_NAME = /^[^"'\\\p{C}]{1,200}$/u;

const isOffer = recordOf({
  part: isText,
  name: orNull(isText),
  badge: isText,
  ready: isBoolean,
  costs: isBoolean,
  why: isText,
  models: listOf(isText),
  any_model: isBoolean,
  runs: isBoolean,
  model: orNull(isText),
  cell: isText,
});
const areGroups = listOf(recordOf({ title: isText, offers: listOf(isOffer) }));

/** @param {unknown} value @returns {OfferGroup[]} */
export function readGroups(value) {
  check(areGroups(value), "a menu of another form", value);
  return /** @type {OfferGroup[]} */ (value);
}

/** Whether a message is an answer to a picker. @param {Record<string, any>} content */
export function isForPicker({ kind }) {
  return kind === "menu" || kind === "chosen";
}

/** How an offer is called. @param {Offer} offer */
export function nameOfOffer({ name }) {
  return name ?? "Nothing";
}

/** The models to choose from, the one that runs or its default first. @param {Offer} offer */
export function modelsOf({ models, model }) {
  return model === null || models.includes(model) ? models : [model, ...models];
}

/** @param {string} model */
export function isModelName(model) {
  return MODEL_NAME.test(model) && model.trim() === model;
}

/**
 * The cell that does what choosing would do.
 * @param {Offer} offer
 * @param {string} model
 */
export function cellOf({ cell, any_model }, model) {
  return any_model ? cell.replaceAll(MODEL_PLACE, () => (isModelName(model) ? model : "...")) : cell;
}
