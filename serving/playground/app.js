// The page's behaviour: asks the API, shows what it says, and ties highlighted words to their indicators.

import { EXAMPLES } from "./examples.js";
import { languageName, languageOption, make, point, showAnswer, showProblem } from "./render.js";
import { length } from "./segments.js";

const byId = (id) => document.getElementById(id);
const form = byId("form");
const text = byId("text");
const results = byId("results");
const NUMBER = new Intl.NumberFormat("en");

let facts = null; // names, definitions and limits of the loaded model
let shown = null; // the text that the results are of
let busy = false;
let key = ""; // only here: never in a cookie or the browser's storage
let keyGiven = () => {}; // goes on where a key was missing

/** Ask the API; throws a problem document. */
async function ask(address, options = {}) {
  let answer;
  try {
    const headers = { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) };
    answer = await fetch(address, { cache: "no-store", credentials: "omit", ...options, headers });
  } catch {
    throw { title: "The service does not answer", detail: "Is it running? Try again in a moment." };
  }
  let content;
  try {
    content = await answer.json();
  } catch {
    throw { title: "The service gave no usable answer", detail: `HTTP status ${answer.status}.` };
  }
  if (answer.ok) return content;
  if (answer.status === 401 || answer.status === 403) askForKey(content.detail);
  const again = answer.headers.get("Retry-After");
  if (again) content.detail += ` Try again in ${again} seconds.`;
  throw content;
}

/** Show the field for a key; `refusal` says what is wrong with the one that was given. */
function askForKey(refusal) {
  byId("key-hint").textContent = key
    ? refusal
    : "This service asks for a key. It is kept in this page alone, and gone when you close or reload it.";
  byId("key-form").hidden = false;
  if (key) byId("key").focus();
  for (const link of document.querySelectorAll(".needs-key")) link.hidden = true; // a link brings no key
}

function ready(state, words) {
  byId("ready").dataset.state = state;
  byId("ready").textContent = words;
}

/** Learn what the loaded model scores. */
async function learnFacts() {
  const [about, taxonomy] = await Promise.all([ask("/v1/model"), ask("/v1/indicators")]);
  const labels = [...taxonomy.indicators, ...taxonomy.counter_indicators].map((label) => [label.id, label]);
  facts = {
    digest: about.model.bundle_digest,
    labels: new Map(labels),
    documentTypes: new Map(taxonomy.document_types.map((kind) => [kind.id, kind.name])),
    maxCharacters: about.limits.max_characters,
  };
  const languages = byId("language");
  languages.replaceChildren(languages.firstElementChild, ...about.evaluated_languages.map(languageOption));
  byId("intended-use").textContent = about.intended_use;
  byId("not-for").replaceChildren(...about.not_for.map((one) => make("li", "", one)));
  const tested = about.evaluated_languages.map(languageName).join(", ");
  byId("tested").textContent = tested && `Evaluated on texts in: ${tested}.`;
  byId("purpose").hidden = false;
  const { name, version, bundle_digest: digest, taxonomy_version: taxonomyVersion } = about.model;
  byId("model").textContent = `Model ${name} ${version} · bundle ${digest.slice(0, 12)} · taxonomy ${taxonomyVersion}`;
  ready("ready", "Model ready");
  count();
}

/** Ask until a model is loaded. */
async function meetModel() {
  while (!facts) {
    try {
      await learnFacts();
    } catch (problem) {
      if (!problem.title) throw problem;
      ready("waiting", problem.status === 503 ? "The model is being loaded…" : problem.title);
      // Only a person can mend what is wrong with a key; anything else may pass by itself.
      await new Promise((resolve) => {
        keyGiven = resolve;
        if (problem.status !== 401 && problem.status !== 403) setTimeout(resolve, 2000);
      });
    }
  }
}

function count() {
  const characters = length(text.value);
  const most = facts?.maxCharacters;
  const over = most !== undefined && characters > most;
  byId("counter").textContent = most === undefined ? "" : `${NUMBER.format(characters)} of ${NUMBER.format(most)} characters`;
  if (over) byId("counter").textContent += `: ${NUMBER.format(characters - most)} too many`;
  byId("counter").classList.toggle("over", over);
}

function setBusy(now) {
  busy = now;
  // Not `disabled`: that would take the focus away from someone who works by keyboard.
  byId("score").setAttribute("aria-disabled", String(now));
  byId("score").textContent = now ? "Scoring…" : "Score";
}

async function score() {
  if (busy) return;
  setBusy(true);
  dropProblem();
  const scored = text.value;
  const ad = { id: "playground", text: scored };
  if (byId("language").value) ad.language = byId("language").value;
  try {
    const answer = await ask("/v1/score", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ads: [ad] }),
    });
    // The service may have been started again with another model, whose labels may be others.
    if (facts?.digest !== answer.model.bundle_digest) await learnFacts();
    shown = scored;
    byId("stale").hidden = text.value === scored;
    byId("announce").textContent = showAnswer(scored, answer.results[0], facts);
    bringIntoView(byId("results-title"));
  } catch (problem) {
    if (!problem.title) throw problem;
    dropResults(); // they would be read as those of this text
    if (problem.errors?.some((error) => error.field === "ads[0].text")) text.setAttribute("aria-invalid", "true");
    showProblem(problem);
    bringIntoView(byId("problem"));
  } finally {
    setBusy(false);
  }
}

function bringIntoView(element) {
  const { top, bottom } = element.getBoundingClientRect();
  if (top >= 0 && bottom <= window.innerHeight * 0.6) return;
  const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  element.scrollIntoView({ block: "start", behavior: still ? "auto" : "smooth" });
}

function dropProblem() {
  byId("problem").hidden = true;
  text.removeAttribute("aria-invalid");
}

function dropResults() {
  shown = null;
  results.hidden = true;
  byId("announce").textContent = "";
  for (const place of ["marked", "indicators", "counters"]) byId(place).replaceChildren();
}

/** Replace the text as if it had been typed, so that Ctrl+Z brings back what was there. */
function type(words) {
  text.focus();
  text.select();
  // Deprecated, and still the only way to keep the undo history of a text area.
  if (text.value !== words && !document.execCommand(words ? "insertText" : "delete", false, words)) text.value = words;
  text.setSelectionRange(0, 0);
  text.scrollTop = 0;
  changed();
}

function changed() {
  count();
  dropProblem();
  byId("stale").hidden = shown === null || text.value === shown;
}

function clear() {
  type("");
  dropResults();
}

/** The labels that the element under the pointer or the focus belongs to. */
function pointFrom(target) {
  const mark = target?.closest?.("mark");
  const item = target?.closest?.("li.label");
  if (mark) point(mark.dataset.labels.split(" "), mark.dataset.names);
  else if (item && item.dataset.status !== "absent") point([item.dataset.label]);
  else point([]);
}

function goToLabel(mark) {
  const item = results.querySelector(`li.label[data-label="${CSS.escape(mark.dataset.labels.split(" ")[0])}"]`);
  item?.querySelector("summary").focus({ preventScroll: true });
  if (item) bringIntoView(item);
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key = byId("key").value.replace(/[^\x21-\x7e]/g, ""); // fetch refuses other characters in a header
  byId("key").value = "";
  byId("key-form").hidden = true;
  text.focus();
  dropProblem();
  keyGiven();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  score();
});
text.addEventListener("input", changed);
text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) {
    event.preventDefault();
    score();
  }
});
byId("clear").addEventListener("click", clear);
for (const chip of document.querySelectorAll("[data-example]")) {
  chip.addEventListener("click", () => type(EXAMPLES[chip.dataset.example]));
}
results.addEventListener("pointerover", (event) => pointFrom(event.target));
results.addEventListener("pointerleave", () => pointFrom(document.activeElement));
results.addEventListener("focusin", (event) => pointFrom(event.target));
results.addEventListener("focusout", (event) => pointFrom(event.relatedTarget));
results.addEventListener("click", (event) => {
  const mark = event.target.closest("mark");
  if (mark) goToLabel(mark);
});
results.addEventListener("keydown", (event) => {
  if (event.target.tagName === "MARK" && (event.key === "Enter" || event.key === " ")) {
    event.preventDefault();
    goToLabel(event.target);
  }
});
meetModel();
