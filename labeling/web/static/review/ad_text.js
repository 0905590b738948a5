// The text of an ad: its characters, its words, and where they stand.
//
// The server counts characters as Unicode code points; JavaScript strings count UTF-16 units, in which an emoji is two. All
// offsets in these modules are code points; only what the browser tells of a selection is converted, in one place.

const STOP = /[\p{S}\p{N}\p{Extended_Pictographic}]/u;

/** How many characters (code points) a string has. */
export function length(string) {
  let count = 0;
  for (const _ of string) count += 1;
  return count;
}

/**
 * Where the cursor can stand: words, and signs that can be evidence (emoji, currency, digits), but no bare punctuation.
 * @returns {{start: number, end: number}[]} in code points, in order, never overlapping, never empty
 */
function wordsOf(text, language) {
  let segmenter;
  try {
    segmenter = new Intl.Segmenter(language === "und" ? "en" : language, { granularity: "word" });
  } catch {
    segmenter = new Intl.Segmenter("en", { granularity: "word" }); // a language tag that nobody knows
  }
  const words = [];
  let start = 0;
  for (const { segment, isWordLike } of segmenter.segment(text)) {
    const end = start + length(segment);
    if (isWordLike || STOP.test(segment)) words.push({ start, end });
    start = end;
  }
  return words.length ? words : [{ start: 0, end: start }];
}

export class AdText {
  /**
   * @param {string} text
   * @param {string} language ISO 639, "und" where it is not known
   */
  constructor(text, language) {
    this.points = Array.from(text);
    this.words = wordsOf(text, language);
  }

  slice(start, end) {
    return this.points.slice(start, end).join("");
  }

  /** The word at a place, or the last one before it. */
  wordAt(offset) {
    let found = 0;
    for (let i = 0; i < this.words.length && this.words[i].start <= offset; i += 1) found = i;
    return found;
  }

  /** First and last word that [start, end) touches; null when it touches none. */
  wordsIn(start, end) {
    const first = this.words.findIndex((word) => word.end > start && word.start < end);
    const last = this.words.findLastIndex((word) => word.end > start && word.start < end);
    return first < 0 ? null : { first, last };
  }

  /** The characters from one word to another, whichever comes first. */
  between(one, other) {
    return { start: this.words[Math.min(one, other)].start, end: this.words[Math.max(one, other)].end };
  }
}
