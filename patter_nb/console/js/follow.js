// @ts-check
/**
 * A list that grows at its end stays at its end, as long as the reader is there; whoever has scrolled up to read is left in peace.
 */

/** So close to the end counts as there: browsers round. */
const NEAR = 8;

/**
 * @param {HTMLElement} scroller
 * @returns {{stay: () => void, atEnd: () => boolean, keepPlace: (change: () => void) => void, stop: () => void}} `stay` is for after what
 *   was added at the end, `keepPlace` for around what changes at the beginning
 */
export function follow(scroller) {
  let atEnd = true;
  let height = scroller.clientHeight;
  const look = () => {
    if (scroller.clientHeight !== height) return; // it was resized, not scrolled by a reader
    atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR;
  };
  const stay = () => {
    height = scroller.clientHeight;
    if (atEnd) scroller.scrollTop = scroller.scrollHeight;
  };
  scroller.addEventListener("scroll", look, { passive: true });
  const sizes = typeof ResizeObserver === "function" ? new ResizeObserver(stay) : null;
  sizes?.observe(scroller);

  return {
    stay,
    atEnd: () => atEnd,
    keepPlace(change) {
      const fromEnd = scroller.scrollHeight - scroller.scrollTop;
      change();
      scroller.scrollTop = scroller.scrollHeight - fromEnd;
    },
    stop() {
      scroller.removeEventListener("scroll", look);
      sizes?.disconnect();
    },
  };
}
