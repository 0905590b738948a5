// What a reviewer says of one ad, as values that are never changed, so that undo is a step back in a list.
//
// @typedef {{start: number, end: number, label: string}} Span in code points
// @typedef {{present: string[], spans: Span[], documentType: ?string, cannotDecide: ?string, comment: string}} Draft

export const EMPTY = { present: [], spans: [], documentType: null, cannotDecide: null, comment: "" };

/** From an annotation as the server holds it. */
export function draftOf(annotation) {
  if (!annotation) return EMPTY;
  return {
    present: Object.keys(annotation.labels).filter((label) => annotation.labels[label]),
    spans: annotation.spans.map(({ start, end, label }) => ({ start, end, label })),
    documentType: annotation.document_type,
    cannotDecide: annotation.cannot_decide,
    comment: annotation.comment,
  };
}

/** As the server takes it: a judgement of every label in `judged`. */
export function asAnnotation(draft, judged) {
  const ordered = [...draft.spans].sort((a, b) => a.start - b.start || a.end - b.end || a.label.localeCompare(b.label));
  return {
    labels: Object.fromEntries(judged.map((label) => [label, draft.present.includes(label)])),
    spans: ordered,
    document_type: draft.documentType,
    cannot_decide: draft.cannotDecide,
    comment: draft.comment,
  };
}

/** Whether two drafts say the same. */
export function same(one, other) {
  const plain = (draft) => JSON.stringify([asAnnotation(draft, []), [...draft.present].sort()]);
  return plain(one) === plain(other);
}

/**
 * Give words to a label. Words that the label has already are taken from it; overlapping ones become one span.
 * @returns {Draft}
 */
export function toggleSpan(draft, start, end, label) {
  const touching = (span) => span.label === label && span.start < end && span.end > start;
  const exact = draft.spans.some((span) => span.label === label && span.start === start && span.end === end);
  if (exact) return removeSpans(draft, (span) => span.label === label && span.start === start && span.end === end);
  const joined = draft.spans.filter(touching);
  const span = {
    start: Math.min(start, ...joined.map((one) => one.start)),
    end: Math.max(end, ...joined.map((one) => one.end)),
    label,
  };
  return {
    ...draft,
    present: draft.present.includes(label) ? draft.present : [...draft.present, label],
    spans: [...draft.spans.filter((one) => !touching(one)), span],
  };
}

/** Take spans away; a label that loses its last words is no longer present. */
export function removeSpans(draft, which) {
  const lost = draft.spans.filter(which);
  const spans = draft.spans.filter((span) => !which(span));
  const gone = new Set(lost.map((span) => span.label).filter((label) => !spans.some((span) => span.label === label)));
  return { ...draft, spans, present: draft.present.filter((label) => !gone.has(label)) };
}

/** Say that a label is present, or that it is not; then its words go with it. */
export function setPresent(draft, label, present) {
  if (present) return draft.present.includes(label) ? draft : { ...draft, present: [...draft.present, label] };
  return { ...draft, present: draft.present.filter((one) => one !== label), spans: draft.spans.filter((one) => one.label !== label) };
}

/** The drafts of one ad, with undo and redo. */
export class History {
  #past = [];
  #future = [];
  #typing = false;

  constructor(draft) {
    this.now = draft;
  }

  /**
   * @param {boolean} typing letters typed one after another are undone together
   * @returns {boolean} whether anything changed
   */
  change(draft, typing = false) {
    if (same(this.now, draft)) return false;
    if (!typing || !this.#typing) this.#past.push(this.now);
    this.#typing = typing;
    this.#future = [];
    this.now = draft;
    return true;
  }

  undo() {
    if (!this.#past.length) return false;
    this.#typing = false;
    this.#future.push(this.now);
    this.now = this.#past.pop();
    return true;
  }

  redo() {
    if (!this.#future.length) return false;
    this.#past.push(this.now);
    this.now = this.#future.pop();
    return true;
  }
}
