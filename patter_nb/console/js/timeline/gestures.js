// @ts-check
/**
 * What hand and keys want of the timeline: drag and sideways wheel move it, wheel and pinch zoom at the pointer, a click asks for a moment.
 *
 * The wheel also scrolls the notebook. Who scrolls past goes on scrolling: it zooms only once the page has stood still for a moment, and
 * where there is nothing more to see it is the page's again.
 *
 * @typedef {{zoom: (factor: number, x: number) => boolean, pan: (pixels: number) => void, hover: (x: number, y: number) => void,
 *   leave: () => void, click: (x: number) => void, key: (name: string, shift: boolean) => boolean}} Wishes
 *   x and y in CSS pixels of the element; `zoom` and `key` say whether they did anything
 */
import { keepKeys } from "../dom.js";

const PAGE_STILL_MS = 300;
/** Farther than this it is a drag, and no click. */
const CLICK_WITHIN = 4;

/** @param {HTMLElement} element @param {Wishes} wishes @returns {() => void} what takes it off again */
export function listenToHand(element, wishes) {
  /** The fingers and buttons that are down. @type {Map<number, {x: number, y: number}>} */
  const down = new Map();
  let dragged = false;
  let pressedAt = 0;
  let scrolled = -Infinity;

  /** @param {{clientX: number, clientY: number}} event */
  const placeIn = ({ clientX, clientY }) => {
    const box = element.getBoundingClientRect();
    return { x: clientX - box.left, y: clientY - box.top };
  };

  /** @param {WheelEvent} event */
  function onWheel(event) {
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
    if (!event.ctrlKey && performance.now() - scrolled < PAGE_STILL_MS) return;
    if (sideways) {
      wishes.pan(event.deltaX === 0 ? event.deltaY : event.deltaX);
    } else {
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 24 : 1;
      const speed = event.ctrlKey ? 0.01 : 0.002;
      if (!wishes.zoom(Math.exp(-event.deltaY * lines * speed), placeIn(event).x) && !event.ctrlKey) return;
    }
    event.preventDefault();
  }

  /** @param {PointerEvent} event */
  function onDown(event) {
    if (event.button !== 0) return;
    if (down.size === 0) dragged = false;
    down.set(event.pointerId, placeIn(event));
    pressedAt = event.clientX;
    element.setPointerCapture?.(event.pointerId);
  }

  /** @param {PointerEvent} event */
  function onMove(event) {
    const now = placeIn(event);
    const before = down.get(event.pointerId);
    if (before === undefined) return wishes.hover(now.x, now.y);
    const others = [...down].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    if (others.length > 0) {
      const [other] = others;
      const apart = [Math.abs(before.x - other.x), Math.abs(now.x - other.x)].map((pixels) => Math.max(8, pixels));
      wishes.zoom(apart[1] / apart[0], (now.x + other.x) / 2);
      dragged = true;
    } else if (dragged || Math.abs(event.clientX - pressedAt) > CLICK_WITHIN) {
      wishes.pan(before.x - now.x);
      dragged = true;
    } else {
      return;
    }
    down.set(event.pointerId, now);
  }

  /** @param {PointerEvent} event */
  function onUp(event) {
    if (!down.delete(event.pointerId) || down.size > 0) return;
    if (!dragged && event.type === "pointerup") wishes.click(placeIn(event).x);
  }

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (wishes.key(event.key, event.shiftKey)) event.preventDefault();
  }

  const onScroll = () => (scrolled = performance.now());
  const onLeave = () => wishes.leave();
  keepKeys(element);
  element.addEventListener("wheel", onWheel, { passive: false });
  element.addEventListener("pointerdown", onDown);
  element.addEventListener("pointermove", onMove);
  for (const type of /** @type {const} */ (["pointerup", "pointercancel"])) element.addEventListener(type, onUp);
  element.addEventListener("pointerleave", onLeave);
  element.addEventListener("keydown", onKey);
  document.addEventListener("scroll", onScroll, { capture: true, passive: true });
  return () => document.removeEventListener("scroll", onScroll, { capture: true });
}
