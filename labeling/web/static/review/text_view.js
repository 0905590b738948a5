// Shows a text with its marks, the word cursor and the selection, and tells where a pointer has selected.
// The text goes into the page by textContent only.

import { length } from "./ad_text.js";

/**
 * Cuts a text where a span, the cursor or the selection begins or ends.
 * @returns {{text, spans, suggested, ends, chosen, cursor}[]} the whole text in order
 */
function pieces(ad, spans, suggested, chosen, cursor) {
  const cuts = new Set([0, ad.points.length]);
  for (const { start, end } of [...spans, ...suggested, chosen, cursor]) cuts.add(start).add(end);
  const places = [...cuts].sort((a, b) => a - b);
  const within = (from, to) => (span) => span.start <= from && span.end >= to;
  return places.slice(1).map((to, i) => {
    const from = places[i];
    const here = spans.filter(within(from, to));
    return {
      text: ad.slice(from, to),
      spans: here,
      suggested: suggested.filter(within(from, to)),
      ends: here.filter((span) => span.end === to),
      chosen: within(from, to)(chosen),
      cursor: within(from, to)(cursor),
    };
  });
}

export class TextView {
  /**
   * @param {HTMLElement} place where the text goes
   * @param {Map<string, {key: string, kind: string, name: string}>} labels
   */
  constructor(place, labels) {
    this.place = place;
    this.labels = labels;
  }

  /** A new text, in its own direction and language. */
  open(ad, language, direction) {
    this.ad = ad;
    this.place.dir = direction;
    this.place.lang = language === "und" ? "" : language;
    this.place.scrollTop = 0;
  }

  draw(spans, suggested, chosen, cursor) {
    this.place.replaceChildren(...pieces(this.ad, spans, suggested, chosen, cursor).map((piece) => this.#node(piece)));
  }

  #node(piece) {
    const plain = !piece.spans.length && !piece.suggested.length && !piece.chosen && !piece.cursor;
    if (plain) return document.createTextNode(piece.text);
    const node = document.createElement(piece.spans.length ? "mark" : "span");
    node.textContent = piece.text;
    node.classList.toggle("cursor", piece.cursor);
    node.classList.toggle("chosen", piece.chosen);
    node.classList.toggle("suggested", piece.suggested.length > 0);
    if (piece.spans.length) {
      const labels = piece.spans.map((span) => this.labels.get(span.label));
      node.dataset.kind = labels.some((label) => label.kind === "indicator") ? "indicator" : "counter";
      node.dataset.labels = piece.spans.map((span) => span.label).join(" ");
      node.title = labels.map((label) => label.name).join("; ");
      if (labels.length > 1) node.dataset.several = "";
    } else if (piece.suggested.length) {
      node.title = piece.suggested.map((span) => this.labels.get(span.label).name).join("; ");
    }
    if (piece.ends.length) node.dataset.keys = piece.ends.map((span) => this.labels.get(span.label).key).join(" ");
    return node;
  }

  /** Bring the cursor into view. */
  follow() {
    this.place.querySelector(".cursor")?.scrollIntoView({ block: "nearest" });
  }

  /** What the pointer has selected, in code points, trimmed of nothing; null when that is not in this text. */
  pointed() {
    const selection = document.getSelection();
    if (!selection.rangeCount) return null;
    const range = selection.getRangeAt(0);
    if (!this.place.contains(range.startContainer) || !this.place.contains(range.endContainer)) return null;
    return {
      start: this.#offset(range.startContainer, range.startOffset),
      end: this.#offset(range.endContainer, range.endOffset),
    };
  }

  #offset(node, offset) {
    const before = document.createRange();
    before.setStart(this.place, 0);
    before.setEnd(node, offset);
    return length(before.toString());
  }

  /** The word that stands nearest under (1) or above (-1) a word; the same word at the first and the last line. */
  wordOnNextLine(index, direction) {
    const boxes = this.#boxes();
    const from = boxes[index];
    const middle = (box) => (box.left + box.right) / 2;
    const beyond = (box) => (direction > 0 ? box.top >= from.bottom - 2 : box.bottom <= from.top + 2);
    let line = null;
    let best = index;
    for (let i = index + direction; i >= 0 && i < boxes.length; i += direction) {
      const box = boxes[i];
      if (!beyond(box)) continue;
      line ??= box;
      if (Math.abs(box.top - line.top) > line.height / 2) break;
      if (best === index || Math.abs(middle(box) - middle(from)) < Math.abs(middle(boxes[best]) - middle(from))) best = i;
    }
    return best;
  }

  /** A box for each word: its first line, where it is broken over two. */
  #boxes() {
    const nodes = [];
    const walker = document.createTreeWalker(this.place, NodeFilter.SHOW_TEXT);
    let at = 0;
    while (walker.nextNode()) {
      nodes.push({ node: walker.currentNode, start: at });
      at += length(walker.currentNode.data);
    }
    const units = (node, points) => Array.from(node.data).slice(0, points).join("").length;
    let i = 0;
    return this.ad.words.map((word) => {
      while (i + 1 < nodes.length && nodes[i + 1].start <= word.start) i += 1;
      const { node, start } = nodes[i];
      const range = document.createRange();
      range.setStart(node, units(node, word.start - start));
      range.setEnd(node, units(node, Math.min(word.end - start, length(node.data))));
      return range.getClientRects()[0] ?? range.getBoundingClientRect();
    });
  }
}
