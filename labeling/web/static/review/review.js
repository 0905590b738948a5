// The review page: from one ad to the next, and what happens when something stands in the way.

import { draftOf } from "./draft.js";
import { announce, byId, PageDesk } from "./page_desk.js";
import { Saver } from "./saver.js";
import { Server } from "./server.js";
import { Stopwatch } from "./stopwatch.js";
import { dataOf, languageName, sayer } from "./words_of_page.js";

const facts = dataOf("facts");
const say = sayer(facts.phrases);
const server = new Server(facts.csrf);
const watch = new Stopwatch();
const page = new PageDesk(facts, say, (draft) => saver.change(draft), { done, skip, back });
const { desk } = page;

let work = null; // what GET /api/next answered: the ad that is shown
let saver = null;
let stored = null; // after a conflict: what the server holds

/** Show the ad of an answer of GET /api/next. */
function open(answer) {
  work = answer;
  const draft = draftOf(work.annotation);
  desk.open(work.ad, work.suggestions, work.suggested_type, draft);
  startSaving(work.version, draft);
  watch.restart(work.annotation?.seconds ?? 0);
  byId("work").hidden = false;
  byId("nothing").hidden = true;
  page.cover(facts.blur);
  page.lack("");
  byId("language").textContent = languageName(work.ad.language, say);
  byId("remaining").textContent = say("review.remaining", { n: work.remaining_today });
  byId("text").scrollTop = 0;
  page.focus();
  announce([say("review.next_ad"), byId("language").textContent, byId("remaining").textContent].join(" · "));
  if (work.pause) byId("pause").showModal();
}

function startSaving(version, draft) {
  saver?.close();
  const judged = [...page.labels.keys()];
  saver = new Saver(server, { assignment: work.assignment, version }, draft, judged, () => watch.read(), showState);
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
  if (!page.complete()) return null;
  return page.alone(async () => {
    if (await saver.flush(true)) await next();
  });
}

function skip() {
  return page.alone(async () => {
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
  return page.alone(async () => {
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
  page.focus();
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
  page.focus();
  announce(say("review.stored_taken"));
}

async function tryAgain() {
  try {
    await server.renew();
    if (await saver.flush()) page.focus();
  } catch (refusal) {
    showRefusal(refusal);
  }
}

byId("conflict-keep").addEventListener("click", keepMine);
byId("conflict-take").addEventListener("click", takeStored);
byId("try-again").addEventListener("click", tryAgain);
byId("nothing-back").addEventListener("click", back);
byId("pause").addEventListener("close", () => page.focus());
document.addEventListener("visibilitychange", () => document.hidden && work && saver.flush());
window.addEventListener("beforeunload", (event) => work && saver.dirty && event.preventDefault());
page.alone(next);
