// Cuts a text at the ends of its evidence spans.
//
// The API counts characters as Unicode code points; JavaScript strings count UTF-16 units, in which an emoji is two. So the
// text is first taken apart into code points, and only then cut.

/** How many characters (code points) a text has. */
export function length(text) {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/**
 * @param {string} text
 * @param {{start: number, end: number, label: string}[]} spans offsets in code points, end exclusive; may overlap
 * @returns {{text: string, labels: string[], first: boolean}[]} the whole text in order; `first` where a span begins
 */
export function segments(text, spans) {
  const points = Array.from(text);
  const cuts = new Set([0, points.length]);
  for (const span of spans) {
    cuts.add(span.start);
    cuts.add(span.end);
  }
  const places = [...cuts].filter((place) => place >= 0 && place <= points.length).sort((a, b) => a - b);
  const found = [];
  for (let i = 0; i + 1 < places.length; i += 1) {
    const [from, to] = [places[i], places[i + 1]];
    const here = spans.filter((span) => span.start <= from && span.end >= to);
    found.push({
      text: points.slice(from, to).join(""),
      labels: [...new Set(here.map((span) => span.label))],
      first: here.some((span) => span.start === from),
    });
  }
  return found;
}
