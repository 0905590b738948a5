// The review page: from one ad to the next, and what happens when something stands in the way.

import { Desk } from "./desk.js";
import { draftOf } from "./draft.js";
import { actionOf } from "./keyboard.js";
import { LabelsView } from "./labels_view.js";
import { Saver } from "./saver.js";
import { Server } from "./server.js";
import { Stopwatch } from "./stopwatch.js";
import { TextView } from "./text_view.js";
import { dataOf, sayer } from "./words_of_page.js";

const byId = (id) => document.getElementById(id);
const facts = dataOf("facts");
const say = sayer(facts.phrases);
const labels = new Map(facts.labels.map((label) => [label.id, label]));
const keys = new Map(facts.labels.map((label) => [label.key, label.id]));

const place = byId("text");
const server = new Server(facts.csrf);
const watch = new Stopwatch();
const desk = new Desk({
  text: new TextView(byId("words"), labels),
  list: new LabelsView(byId("labels"), byId("definitions"), say),
  labels,
  say,
  announce,
  draw: drawForm,
  changed: (draft) => saver.change(draft),
});

let work = null; // what GET /api/next answered: the ad that is shown
let saver = null;
let stored = null; // after a conflict: what the server holds
let busy = false;

function announce(words) {
  byId("announce").textContent = words;
}

function drawForm(draft) {
  for (const radio of document.getElementsByName("document_type")) radio.checked = radio.value === draft.documentType;
  byId("cannot-decide").value = draft.cannotDecide ?? "";
  if (byId("comment").value !== draft.comment) byId("comment").value = draft.comment;
}

function cover(now) {
  desk.covered = now;
  byId("reading").dataset.covered = String(now);
  byId("words").setAttribute("aria-hidden", String(now));
  byId("reveal").textContent = say(now ? "review.show" : "review.cover");
  if (!now) lack("");
}

function lack(key) {
  byId("lack").textContent = key && say(key);
}

function languageName(code) {
  if (code === "und") return say("review.language_unknown");
  try {
    return new Intl.DisplayNames([document.documentElement.lang], { type: "language" }).of(code);
  } catch {
    return code;
  }
}

/** Show the ad of an answer of GET /api/next. */
function open(answer) {
  work = answer;
  const draft = draftOf(work.annotation);
  desk.open(work.ad, work.suggestions, draft);
  startSaving(work.version, draft);
  watch.restart(work.annotation?.seconds ?? 0);
  cover(facts.blur);
  byId("work").hidden = false;
  byId("nothing").hidden = true;
  byId("language").textContent = languageName(work.ad.language);
  byId("remaining").textContent = say("review.remaining", { n: work.remaining_today });
  lack("");
  place.scrollTop = 0;
  place.focus({ preventScroll: true });
  announce([say("review.next_ad"), byId("language").textContent, byId("remaining").textContent].join(" · "));
  if (work.pause) byId("pause").showModal();
}

function startSaving(version, draft) {
  saver?.close();
  saver = new Saver(server, { assignment: work.assignment, version }, draft, [...labels.keys()], () => watch.read(), showState);
  showState("saved");
}

function showState(state, refusal = null) {
  byId("state").dataset.state = state;
  byId("state").textContent = say(`review.state_${state.replace("-", "_")}`);
  byId("conflict").hidden = state !== "conflict";
  byId("trouble").hidden = state !== "signed-out" && state !== "refused";
  byId("sign-in-again").hidden = state !== "signed-out";
  if (state === "signed-out") byId("trouble-detail").textContent = say("review.signed_out");
  if (state === "refused") byId("trouble-detail").textContent = refusal.message;
  if (state === "conflict") {
    stored = refusal.problem.stored;
    byId("conflict-keep").focus();
  }
}

function showNothing(title, detail) {
  saver?.close();
  work = null;
  byId("work").hidden = true;
  byId("nothing").hidden = false;
  byId("nothing-title").textContent = title;
  byId("nothing-detail").textContent = detail;
  byId("nothing-title").focus();
}

// Going on.

/** Run one at a time; what is asked for meanwhile does nothing. */
async function alone(task) {
  if (busy) return;
  busy = true;
  byId("work").setAttribute("aria-busy", "true");
  try {
    await task();
  } finally {
    busy = false;
    byId("work").removeAttribute("aria-busy");
  }
}

/** Ask for the next ad, and show it. */
async function next() {
  try {
    const answer = await server.ask("GET", "/api/next");
    if (answer) open(answer);
    else showNothing(say("review.nothing_left"), say("review.nothing_left_detail"));
  } catch (refusal) {
    if (refusal.status === 401) location.assign("/sign-in");
    else if (refusal.problem?.type?.endsWith(":daily-limit")) showNothing(say("review.enough"), say("review.enough_detail"));
    else showNothing(say("review.no_answer"), refusal.message || say("review.no_answer_detail"));
  }
}

function done() {
  const { cannotDecide, documentType } = desk.draft;
  const missing = desk.covered ? "review.covered" : !cannotDecide && !documentType && "review.type_missing";
  lack(missing || "");
  if (missing) {
    announce(say(missing));
    if (!desk.covered) focusDocumentType();
    return null;
  }
  return alone(async () => {
    if (await saver.flush(true)) await next();
  });
}

function skip() {
  return alone(async () => {
    try {
      await server.ask("POST", `/api/assignments/${work.assignment}/skip`);
      saver.close();
      await next();
    } catch (refusal) {
      showRefusal(refusal);
    }
  });
}

/** Go back to the ad that was done last. */
function back() {
  return alone(async () => {
    try {
      if (work && !(await saver.flush())) return;
      const last = await server.ask("GET", "/api/last-done");
      if (last) open(await server.ask("POST", `/api/assignments/${last.assignment}/reopen`));
      else announce(say("review.nothing_before"));
    } catch (refusal) {
      showRefusal(refusal);
    }
  });
}

function showRefusal(refusal) {
  if (refusal.status === 0) announce(say("review.no_answer"));
  else showState(refusal.status === 401 ? "signed-out" : "refused", refusal);
}

/** After a conflict: what is on this page goes over what is stored. */
function keepMine() {
  place.focus();
  saver.keepMine(stored.version);
}

/** After a conflict: what is stored comes onto this page; what was mine is one redo away. */
function takeStored() {
  const mine = desk.draft;
  const theirs = draftOf(stored.annotation);
  startSaving(stored.version, theirs);
  desk.restart(theirs);
  desk.history.change(mine);
  desk.history.undo();
  place.focus();
  announce(say("review.stored_taken"));
}

async function tryAgain() {
  try {
    await server.renew();
    if (await saver.flush()) place.focus();
  } catch (refusal) {
    showRefusal(refusal);
  }
}

function focusDocumentType() {
  const radios = [...document.getElementsByName("document_type")];
  (radios.find((radio) => radio.checked) ?? radios[0]).focus();
}

const ACTIONS = {
  move: ({ to, extend }) => desk.move(to, extend),
  mark: ({ label }) => desk.mark(label),
  explain: ({ label }) => desk.list.explain(label),
  remove: () => desk.remove(),
  unselect: () => desk.unselect(),
  "next-span": () => desk.nextSpan(),
  undo: () => desk.undo(),
  redo: () => desk.redo(),
  reveal: () => cover(!desk.covered),
  labels: () => desk.list.focus(),
  comment: () => byId("comment").focus(),
  "document-type": focusDocumentType,
  "cannot-decide": () => byId("cannot-decide").focus(),
  "to-text": () => place.focus(),
  help: () => byId("help").showModal(),
  done,
  skip,
  back,
};

byId("work").addEventListener("keydown", (event) => {
  const action = actionOf(event, { labels: keys, text: place, direction: desk.direction });
  if (!action) return;
  event.preventDefault();
  if (!busy) ACTIONS[action.name](action);
});
// A click beside the controls must not leave the keys without effect.
byId("work").addEventListener("click", (event) => {
  if (!event.target.closest("button, input, label, textarea, select, a, #text") && document.getSelection().isCollapsed) place.focus();
});
for (const button of document.querySelectorAll("[data-action]")) {
  button.addEventListener("click", () => busy || ACTIONS[button.dataset.action]({}));
}
place.addEventListener("pointerup", () => desk.takePointed());
byId("labels").addEventListener("pointerdown", () => desk.takePointed()); // a finger's selection has no pointerup
byId("labels").addEventListener("click", (event) => {
  const label = event.target.closest("[data-label]")?.dataset.label;
  if (!label) return;
  if (event.target.closest(".take")) desk.takeOver(label);
  else if (event.target.closest(".about")) desk.list.explain(label);
  else if (event.target.closest(".mark")) desk.mark(label);
  else if (desk.selecting && event.detail) {
    // By pointer, with words selected: the label gets them. The click that a name passes on to its box would undo that.
    if (!event.target.matches("input")) event.preventDefault();
    desk.mark(label);
  }
});
byId("labels").addEventListener("change", ({ target }) => {
  desk.choose(target.closest("[data-label]").dataset.label, target.checked);
});
byId("form").addEventListener("change", ({ target }) => {
  if (target.name === "document_type") desk.change({ ...desk.draft, documentType: target.value });
  if (target.id === "cannot-decide") desk.change({ ...desk.draft, cannotDecide: target.value || null });
  lack("");
});
byId("comment").addEventListener("input", () => desk.change({ ...desk.draft, comment: byId("comment").value }, "", true));
byId("form").addEventListener("submit", (event) => event.preventDefault());
byId("conflict-keep").addEventListener("click", keepMine);
byId("conflict-take").addEventListener("click", takeStored);
byId("try-again").addEventListener("click", tryAgain);
byId("pause").addEventListener("close", () => place.focus());
byId("help").addEventListener("close", () => place.focus());
document.addEventListener("visibilitychange", () => document.hidden && work && saver.flush());
window.addEventListener("beforeunload", (event) => saver?.dirty && work && event.preventDefault());
alone(next);
