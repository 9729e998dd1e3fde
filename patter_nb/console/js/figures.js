// @ts-check
/**
 * Numbers as a person reads them, with their unit, and never more digits than were measured; the same words as the static outputs.
 */

/**
 * Milliseconds in short: "4.2 ms", "742 ms", "2.1 s", "5 min 12 s".
 * @param {number} ms
 */
export function asDuration(ms) {
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  if (ms < 99_950) return asSeconds(ms);
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/**
 * Milliseconds in seconds: "0.4 s".
 * @param {number} ms
 */
export function asSeconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}

/**
 * A number of things: "1 chunk", "3,000 chunks".
 * @param {number} number
 * @param {string} what
 */
export function asCount(number, what) {
  return `${number.toLocaleString("en-US")} ${what}${number === 1 ? "" : "s"}`;
}

/**
 * US dollars, given as the kernel writes them: "$0.0004", "under $0.0001", "$0".
 * @param {string} usd
 */
export function asMoney(usd) {
  const amount = Number(usd);
  if (amount === 0) return "$0";
  return amount <= 0.00005 ? "under $0.0001" : `$${amount.toFixed(4)}`; // "$0.0000" would say that it was free
}
