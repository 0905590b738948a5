// Which key does what. Keys act only while the focus is in the review itself, and never where one types.

const COMMANDS = {
  t: "document-type",
  n: "cannot-decide",
  c: "comment",
  l: "labels",
  r: "reveal",
  j: "next-span",
  u: "undo",
  k: "skip",
  b: "back",
};
const MOVES = { ArrowUp: "line-up", ArrowDown: "line-down", Home: "first", End: "last" };

/** The letter or digit of a key: as its label says, or by its place where the layout has another script. */
function character(event) {
  if (/^[a-z0-9?]$/i.test(event.key)) return event.key.toLowerCase();
  const place = /^(?:Key([A-Z])|(?:Digit|Numpad)([0-9]))$/.exec(event.code);
  return place ? (place[1] ?? place[2]).toLowerCase() : "";
}

/** As above for Shift with a digit, whose `key` is a sign. */
function unshifted(event) {
  const place = /^(?:Digit|Numpad)([0-9])$/.exec(event.code);
  return place ? place[1] : character(event);
}

function isTextField(element) {
  return element.matches("textarea, select, input:not([type=checkbox], [type=radio])");
}

function ofText(event, direction) {
  const { key, shiftKey: extend } = event;
  if (key === "ArrowLeft" || key === "ArrowRight") {
    const forward = (key === "ArrowRight") === (direction === "ltr");
    return { name: "move", to: forward ? "next" : "previous", extend };
  }
  if (MOVES[key]) return { name: "move", to: MOVES[key], extend };
  if (key === " ") return { name: "reveal" };
  if (key === "Delete" || key === "Backspace") return { name: "remove" };
  if (key === "Escape") return { name: "unselect" };
  if (key === "Enter") return { name: "done" };
  return null;
}

function withControl(event) {
  if (event.key === "Enter") return { name: "done" };
  if (isTextField(event.target)) return null; // a text field has an undo of its own
  const letter = character(event);
  if (letter === "z") return { name: event.shiftKey ? "redo" : "undo" };
  return letter === "y" ? { name: "redo" } : null;
}

/**
 * @param {KeyboardEvent} event
 * @param {{labels: Map<string, string>, text: HTMLElement, direction: string}} scope `labels` from key to label id
 * @returns {?{name: string}} what is asked for, with what that needs
 */
export function actionOf(event, { labels, text, direction }) {
  if (event.isComposing || event.altKey) return null;
  if (event.ctrlKey || event.metaKey) return withControl(event);
  if (isTextField(event.target)) return event.key === "Escape" ? { name: "to-text" } : null;
  const here = event.target === text ? ofText(event, direction) : null;
  if (here) return here;
  if (event.key === "Escape") return { name: "to-text" };
  if (event.key === "?") return { name: "help" };
  const key = event.shiftKey ? unshifted(event) : character(event);
  const label = labels.get(key);
  if (label) return { name: event.shiftKey ? "explain" : "mark", label };
  return !event.shiftKey && COMMANDS[key] ? { name: COMMANDS[key] } : null;
}
