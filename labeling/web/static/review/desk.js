// One ad on the desk: what is said of it so far, where the cursor is, and what the keys do to both.

import { AdText } from "./ad_text.js";
import { History, removeSpans, setPresent, toggleSpan } from "./draft.js";

export class Desk {
  #cursor = 0; // a word of the ad
  #anchor = null; // the word where a selection began; null: nothing is selected

  /**
   * @param {{text: TextView, list: LabelsView, labels: Map<string, {name: string}>, say, announce, draw, suggestType, changed}} parts
   *   `draw(draft)` shows the rest of a draft; `suggestType` what the model takes the text for; `changed(draft)` is told what
   *   the reviewer changed
   */
  constructor(parts) {
    Object.assign(this, parts);
  }

  /** Put another ad on the desk. */
  open(ad, suggestions, suggestedType, draft) {
    this.ad = new AdText(ad.text, ad.language);
    this.direction = ad.direction;
    this.suggestions = (suggestions ?? []).filter((one) => one.status !== "absent" && this.labels.has(one.label));
    this.#cursor = 0;
    this.#anchor = null;
    this.covered = false;
    this.text.open(this.ad, ad.language, ad.direction);
    this.list.suggest(this.suggestions);
    this.suggestType(suggestedType);
    this.restart(draft);
  }

  /** The same ad, as it is stored elsewhere; nothing to undo. */
  restart(draft) {
    this.history = new History(draft);
    this.redraw();
  }

  get draft() {
    return this.history.now;
  }

  get selecting() {
    return this.#anchor !== null;
  }

  get #chosen() {
    return this.#anchor === null ? this.ad.words[this.#cursor] : this.ad.between(this.#anchor, this.#cursor);
  }

  get #suggested() {
    return this.suggestions.flatMap((one) => one.spans.map(({ start, end }) => ({ start, end, label: one.label })));
  }

  redraw() {
    const chosen = this.#anchor === null ? { start: 0, end: 0 } : this.#chosen;
    this.text.draw(this.draft.spans, this.#suggested, chosen, this.ad.words[this.#cursor]);
    this.list.draw(this.draft);
    this.draw(this.draft);
  }

  #reading() {
    if (this.covered) this.announce(this.say("review.covered"));
    return !this.covered;
  }

  // What the reviewer says.

  change(draft, words = "", typing = false) {
    if (!this.history.change(draft, typing)) return;
    this.changed(this.draft);
    this.redraw();
    if (words) this.announce(words);
  }

  undo() {
    if (this.history.undo()) this.#stepped("review.undone");
    else this.announce(this.say("review.nothing_to_undo"));
  }

  redo() {
    if (this.history.redo()) this.#stepped("review.redone");
  }

  #stepped(key) {
    this.changed(this.draft);
    this.redraw();
    this.announce(this.say(key));
  }

  /** Give the selected words, or the word at the cursor, to a label; take them from it where it has just these. */
  mark(label) {
    if (!this.#reading()) return;
    const { start, end } = this.#chosen;
    this.#anchor = null;
    const after = toggleSpan(this.draft, start, end, label);
    const given = after.spans.some((span) => !this.draft.spans.includes(span));
    this.list.explain(label);
    const values = { label: this.labels.get(label).name, words: this.ad.slice(start, end) };
    this.change(after, this.say(given ? "review.marked" : "review.unmarked", values));
  }

  choose(label, present) {
    this.list.explain(label);
    this.change(setPresent(this.draft, label, present));
  }

  /** Take over what the model says of a label. */
  takeOver(label) {
    const { spans } = this.suggestions.find((one) => one.label === label);
    const has = (draft, start, end) => draft.spans.some((one) => one.label === label && one.start <= start && one.end >= end);
    const draft = spans.reduce((now, { start, end }) => (has(now, start, end) ? now : toggleSpan(now, start, end, label)), this.draft);
    this.list.explain(label);
    this.change(setPresent(draft, label, true), this.say("review.taken_over", { label: this.labels.get(label).name }));
  }

  /** Take the marks off the selected words, or off the word at the cursor. */
  remove() {
    const { start, end } = this.#chosen;
    this.change(removeSpans(this.draft, (span) => span.start < end && span.end > start), this.say("review.removed"));
  }

  // Where the cursor is.

  unselect() {
    this.#goTo(this.#cursor, false);
  }

  move(to, extend) {
    if (!this.#reading()) return;
    const targets = {
      next: () => this.#cursor + 1,
      previous: () => this.#cursor - 1,
      first: () => 0,
      last: () => this.ad.words.length - 1,
      "line-up": () => this.text.wordOnNextLine(this.#cursor, -1),
      "line-down": () => this.text.wordOnNextLine(this.#cursor, 1),
    };
    this.#goTo(targets[to](), extend);
  }

  /** Select the next marked or suggested words. */
  nextSpan() {
    if (!this.#reading()) return;
    const from = this.#chosen;
    const later = (span) => span.start > from.start || (span.start === from.start && span.end > from.end);
    const all = [...this.draft.spans, ...this.#suggested].sort((a, b) => a.start - b.start || a.end - b.end);
    const span = all.find(later) ?? all[0];
    const words = span && this.ad.wordsIn(span.start, span.end);
    if (!words) {
      this.announce(this.say("review.no_spans"));
      return;
    }
    this.#anchor = words.first;
    this.#goTo(words.last, true);
  }

  #goTo(word, extend) {
    this.#anchor = extend ? (this.#anchor ?? this.#cursor) : null;
    this.#cursor = Math.min(Math.max(word, 0), this.ad.words.length - 1);
    this.redraw();
    this.text.follow();
    const { start, end } = this.#chosen;
    this.announce(this.ad.slice(start, end));
  }

  /** What the pointer did in the text becomes the cursor, or the selection. */
  takePointed() {
    const pointed = this.text.pointed();
    if (!pointed || this.covered) return;
    const words = this.ad.wordsIn(pointed.start, pointed.end);
    this.#anchor = words && words.first;
    this.#cursor = words ? words.last : this.ad.wordAt(pointed.start);
    document.getSelection().removeAllRanges();
    this.redraw();
  }
}
