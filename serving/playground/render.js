// Draws what the API answered. Text from outside goes into the page by textContent only.

import { segments } from "./segments.js";

const ORDER = { present: 0, uncertain: 1, absent: 2 };
const IN_WORDS = { present: "present", uncertain: "uncertain: a person must look", absent: "absent" };
const HINT = "Point at highlighted words, or reach them with Tab, to see which indicator they belong to.";

/** An element with classes, text and children. */
export function make(tag, classes = "", text = "", ...children) {
  const element = document.createElement(tag);
  if (classes) element.className = classes;
  if (text) element.textContent = text;
  element.append(...children);
  return element;
}

const byId = (id) => document.getElementById(id);

/** Two digits, and never a certainty. */
function twoDigits(probability) {
  if (probability > 0.99) return "> 0.99";
  return probability < 0.01 ? "< 0.01" : probability.toFixed(2);
}

/** Labels of an answer with their name and definition, strongest first. */
function ranked(scores, descriptions, kind) {
  return Object.entries(scores)
    .map(([id, score]) => ({ id, kind, ...score, about: descriptions.get(id) }))
    .sort((a, b) => ORDER[a.status] - ORDER[b.status] || b.probability - a.probability);
}

export function languageName(code) {
  if (code === "und") return "not recognised";
  try {
    return new Intl.DisplayNames(["en"], { type: "language" }).of(code) ?? code;
  } catch {
    return code;
  }
}

export function languageOption(code) {
  const option = make("option", "", languageName(code));
  option.value = code;
  return option;
}

function fact(name, value, note) {
  return make("div", "", "", make("dt", "", name), make("dd", "", value, make("span", "note", note)));
}

function bar(label) {
  const { absent_below: low, present_from: high } = label.about.thresholds;
  const track = make("div", "bar");
  track.setAttribute("role", "img");
  track.setAttribute(
    "aria-label",
    `Probability ${twoDigits(label.probability)}; absent below ${twoDigits(low)}, present from ${twoDigits(high)}`,
  );
  // Set from script because the content security policy forbids style attributes in markup.
  track.style.setProperty("--value", label.probability);
  track.style.setProperty("--low", low);
  track.style.setProperty("--high", high);
  track.append(make("span", "zone"), make("span", "fill"), make("span", "tick low"), make("span", "tick high"));
  return track;
}

function explanation(label) {
  const details = make("details", "about");
  const summary = make("summary", "", "What it means");
  summary.append(make("span", "unseen", `: ${label.about.name}`));
  details.append(summary, make("p", "", label.about.definition));
  if (label.about.hard_negatives.length) {
    details.append(make("p", "", "Looks alike, but is not it:"));
    details.append(make("ul", "", "", ...label.about.hard_negatives.map((one) => make("li", "", one))));
  }
  return details;
}

function row(label) {
  const item = make("li", "label");
  item.dataset.label = label.id;
  item.dataset.status = label.status;
  item.dataset.kind = label.kind;
  const head = make("div", "head", "", make("h4", "", label.about.name), make("span", "number", twoDigits(label.probability)));
  item.append(head, bar(label), make("p", "status", IN_WORDS[label.status]));
  if (label.evidence.length) {
    const words = make("ul", "words");
    const different = [...new Set(label.evidence.map((span) => span.text.trim()))];
    words.append(...different.map((text) => make("li", "", text)));
    for (const one of words.children) one.setAttribute("dir", "auto");
    words.setAttribute("translate", "no");
    item.append(words);
  }
  item.append(explanation(label));
  return item;
}

/** The list of labels: what was seen openly, what is absent behind a summary. */
function list(place, labels, nothing) {
  const seen = labels.filter((label) => label.status !== "absent");
  const absent = labels.filter((label) => label.status === "absent");
  place.replaceChildren();
  if (seen.length) place.append(make("ul", "labels", "", ...seen.map(row)));
  else place.append(make("p", "nothing", nothing));
  if (absent.length) {
    const summary = make("summary", "", `${absent.length} absent`);
    place.append(make("details", "absent", "", summary, make("ul", "labels", "", ...absent.map(row))));
  }
}

function marks(text, labels) {
  const known = new Map(labels.map((label) => [label.id, label]));
  const spans = labels.flatMap((label) => label.evidence.map((span) => ({ ...span, label: label.id })));
  return segments(text, spans).map((segment) => {
    if (!segment.labels.length) return document.createTextNode(segment.text);
    const here = segment.labels.map((id) => known.get(id));
    const mark = make("mark", "", segment.text);
    mark.dataset.labels = segment.labels.join(" ");
    const indicators = here.filter((label) => label.kind === "indicator");
    mark.dataset.kind = indicators.length ? "indicator" : "counter";
    mark.dataset.status = here.some((label) => label.status === "present") ? "present" : "uncertain";
    if (here.length > 1) mark.dataset.several = "";
    const names = here.map((label) => `${label.about.name} (${label.status}, ${twoDigits(label.probability)})`).join("; ");
    mark.dataset.names = names;
    if (segment.first) {
      // One stop for the Tab key a span, however often another span cuts it.
      mark.tabIndex = 0;
      mark.setAttribute("role", "button");
      mark.setAttribute("aria-label", `${segment.text}: ${names}`);
    }
    return mark;
  });
}

/** Show one answer. */
export function showAnswer(text, result, facts) {
  const indicators = ranked(result.indicators, facts.labels, "indicator");
  const counters = ranked(result.counter_indicators, facts.labels, "counter");
  const count = (status) => indicators.filter((label) => label.status === status).length;
  const { language, document_type: kind } = result;
  byId("facts").replaceChildren(
    fact("Language", languageName(language.code), `confidence ${twoDigits(language.confidence)}`),
    fact("Kind of text", facts.documentTypes.get(kind.value) ?? kind.value, `probability ${twoDigits(kind.probability)}`),
    fact("Indicators", `${count("present")} present, ${count("uncertain")} uncertain`, `of ${indicators.length}`),
  );
  byId("warning").hidden = language.evaluated;
  const which = language.code === "und" ? "The language could not be told" : "The model was not evaluated on this language";
  byId("warning").textContent = `${which}, so trust these scores less.`;
  list(byId("indicators"), indicators, "No indicator was seen. That clears no one: not everything is written down.");
  list(byId("counters"), counters, "None was seen.");
  byId("marked").replaceChildren(...marks(text, [...indicators, ...counters]));
  byId("caption").textContent = document.querySelector("#marked mark") ? HINT : "No words are highlighted.";
  byId("results").hidden = false;
  return `Scored. Indicators: ${count("present")} present, ${count("uncertain")} uncertain, ${count("absent")} absent.`;
}

/** Make the given labels stand out, in the text and in the lists; an empty list ends it. */
export function point(ids, names = "") {
  const chosen = new Set(ids);
  const results = byId("results");
  results.classList.toggle("pointing", chosen.size > 0);
  for (const item of results.querySelectorAll("li.label")) item.classList.toggle("on", chosen.has(item.dataset.label));
  for (const mark of results.querySelectorAll("mark")) {
    mark.classList.toggle("on", mark.dataset.labels.split(" ").some((id) => chosen.has(id)));
  }
  byId("caption").textContent = names || HINT;
}

/** Show a problem document: the sentences that say what is wrong, then what it is called in the service's log. */
export function showProblem(problem) {
  const place = byId("problem");
  const ofText = (error) => error.field === "ads[0].text";
  const sentences = problem.errors?.length
    ? problem.errors.map((error) => (ofText(error) ? error.detail : `${error.field}: ${error.detail}`))
    : [problem.detail];
  const origin = [problem.title, problem.request_id && `request ${problem.request_id}`].filter(Boolean).join(" · ");
  place.replaceChildren(
    make("h2", "", "Not scored"),
    ...sentences.map((sentence) => make("p", "", sentence)),
    make("p", "note", origin),
  );
  place.hidden = false;
}
