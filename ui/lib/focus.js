// Where the keyboard goes when what it was on is gone: back to what opened a
// window, or to the nearest thing that is left. A browser leaves it nowhere.

const FOCUSABLE = "a[href], button:enabled, input:enabled, select:enabled, textarea:enabled, summary, [tabindex='0']";

/**
 * An element and those around it, each with its place among its neighbours.
 * @typedef {{ element: Element, index: number }[]} Trail
 */

/** Of what has the keyboard, or had it last. @type {Trail} */
let trail = [];

/** Called once. */
export function startFocus() {
  const keep = () => {
    trail = trailOf(document.activeElement);
  };
  addEventListener("focusin", keep);
  // Not every browser gives the keyboard to a button that is pressed; and a
  // press beside everything takes it away.
  addEventListener("pointerup", ({ target }) => {
    keep();
    if (trail.length === 0 && target instanceof Element) trail = trailOf(target.closest(FOCUSABLE));
  });
  new MutationObserver((changes) => {
    const [last] = trail;
    if (!last || !isNowhere()) return;
    if (!last.element.isConnected) {
      const lost = trail;
      trail = [];
      focusAgain(lost);
    } else if (changes.some(({ type, target }) => type === "attributes" && target === last.element)) {
      // A button that was disabled while something was under way has it again.
      hasTaken(last.element);
    }
  }).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["disabled"] });
}

/** @returns {Trail} to be given to `giveBack` later */
export function focusTrail() {
  return isNowhere() ? trail : trailOf(document.activeElement);
}

/**
 * Has what opened a window focused again, as the window goes. It is known from
 * now on, so that nobody looks for what is near the window meanwhile.
 * @param {Trail} opener
 */
export function giveBack(opener) {
  trail = opener;
  // Until the window is out of the page nothing behind it can be focused.
  queueMicrotask(() => focusAgain(opener));
}

/**
 * Focuses what the trail begins with, or what is nearest to where it was.
 * @param {Trail} lost
 */
function focusAgain(lost) {
  const [first] = lost;
  let from = -1;
  for (const { element, index } of lost) {
    if (element.isConnected) {
      if (hasTaken(element)) return;
      // Another page is another matter: there the whole of it is what is near.
      if (element.id === "content") break;
      const neighbours = [...element.children].map((child, at) => ({ child, far: Math.abs(at - from) }));
      for (const { child } of neighbours.sort((one, other) => one.far - other.far)) {
        const inside = [child, ...child.querySelectorAll("*")].filter((one) => one.matches(FOCUSABLE));
        const alike = inside.filter((one) => one.className === first?.element.className);
        if ([...alike, ...inside].some(hasTaken)) return;
      }
    }
    from = index;
  }
  document.getElementById("content")?.focus({ preventScroll: true });
}

/** @param {Element | null} element */
function trailOf(element) {
  /** @type {Trail} */
  const found = [];
  for (let at = element; at?.parentElement && at !== document.body; at = at.parentElement) {
    found.push({ element: at, index: [...at.parentElement.children].indexOf(at) });
  }
  return found;
}

function isNowhere() {
  return document.activeElement === null || document.activeElement === document.body;
}

/** @param {Element} element */
function hasTaken(element) {
  if (element instanceof HTMLElement) element.focus();
  return document.activeElement === element;
}
