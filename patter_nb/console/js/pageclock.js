// @ts-check
/** The page's clock: milliseconds since 1970 that run evenly, whatever is done to the computer's clock meanwhile. */

export function pageClock() {
  return performance.timeOrigin + performance.now();
}
