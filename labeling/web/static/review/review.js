// The review page: from one ad to the next, and what happens when something stands in the way.

import { draftOf } from "./draft.js";
import { announce, byId, PageDesk } from "./page_desk.js";
import { Saver } from "./saver.js";
import { Server } from "./server.js";
import { Stopwatch } from "./stopwatch.js";
import { dataOf, languageName, reasonOf, sayer } from "./words_of_page.js";

const facts = dataOf("facts");
const say = sayer(facts.phrases);
const server = new Server(facts.csrf);
const watch = new Stopwatch();
const page = new PageDesk(facts, say, (draft) => saver.change(draft), { done, skip: () => attempt(skipAd), back: () => attempt(goBack) });
const { desk } = page;

let work = null; // what GET /api/next answered: the ad that is shown
let saver = null;
let stored = null; // after a conflict: what the server holds
let again = null; // while something is in the way: what is to be tried again

/** Show the ad of an answer of GET /api/next. */
function open(answer) {
  work = answer;
  const draft = draftOf(work.annotation);
  desk.open(work.ad, work.suggestions, work.suggested_type, draft);
  startSaving(work.version, draft);
  watch.restart(work.annotation?.seconds ?? 0);
  byId("work").hidden = false;
  byId("nothing").hidden = true;
  hideTrouble();
  page.cover(facts.blur);
  page.lack("");
  byId("language").textContent = languageName(work.ad.language, say);
  byId("remaining").textContent = say("review.remaining", { n: work.remaining_today });
  byId("text").scrollTop = 0;
  page.focus();
  announce([say("review.next_ad"), byId("language").textContent, byId("remaining").textContent].join(" · "));
  if (work.pause) page.showDialog("pause");
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
  if (state === "signed-out" || state === "refused") showTrouble(refusal, save);
  else if (again === save) hideTrouble();
  if (state === "conflict") showConflict(refusal.problem.stored);
  if (state === "done") page.alone(next);
}

function showConflict(there) {
  stored = there;
  byId("conflict-detail").textContent = say(stored.done ? "review.conflict_done_detail" : "review.conflict_detail");
  byId("conflict-keep").textContent = say(stored.done ? "review.conflict_done_keep" : "review.conflict_keep");
  byId("conflict-take").textContent = say(stored.done ? "review.conflict_done_take" : "review.conflict_take");
  byId("conflict-keep").focus();
}

/** Say what stands in the way, and offer to try it again; where that is no use, to go on. */
function showTrouble(refusal, action) {
  const closed = refusal.problem.type?.endsWith(":closed");
  again = closed ? next : action;
  byId("trouble-detail").textContent = reasonOf(refusal, say);
  byId("sign-in-again").hidden = refusal.status !== 401;
  byId("try-again").textContent = say(closed ? "review.to_next" : "review.try_again");
  byId("trouble").hidden = false;
}

function hideTrouble() {
  again = null;
  byId("trouble").hidden = true;
}

/** Take the ad off the page; it is dealt with. */
function putAway() {
  saver?.close();
  work = null;
  byId("work").hidden = true;
}

function showNothing(title, detail) {
  putAway();
  hideTrouble();
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
    else {
      putAway();
      showTrouble(refusal, next);
      byId("try-again").focus();
    }
  }
}

/** Save what is on the page, as done when `done`; then on to the next ad. */
async function save(done = false) {
  if ((await saver.flush(done)) && saver.finished) await next();
}

/** Run an action alone; when it is refused, offer it again. */
function attempt(action, run = action) {
  return page.alone(async () => {
    try {
      await run();
    } catch (refusal) {
      showTrouble(refusal, action);
    }
  });
}

function done() {
  return page.complete() ? page.alone(() => save(true)) : null;
}

async function skipAd() {
  await server.ask("POST", `/api/assignments/${work.assignment}/skip`);
  putAway();
  await next();
}

/** Go back to the ad that was done last. */
async function goBack() {
  if (work && !(await saver.flush())) return;
  const last = await server.ask("GET", "/api/last-done");
  if (last) open(await server.ask("POST", `/api/assignments/${last.assignment}/reopen`));
  else {
    hideTrouble();
    announce(say("review.nothing_before"));
  }
}

/** After a conflict: what is on this page goes over what is stored. */
function keepMine() {
  page.focus();
  saver.keepMine(stored);
}

/** After a conflict: what is stored comes onto this page; what was mine is one redo away. An ad that is done stays so. */
function takeStored() {
  if (stored.done) return page.alone(next);
  const mine = desk.draft;
  const theirs = draftOf(stored.annotation);
  startSaving(stored.version, theirs);
  desk.restart(theirs);
  desk.history.change(mine);
  desk.history.undo();
  page.focus();
  return announce(say("review.stored_taken"));
}

function tryAgain() {
  const action = again;
  return attempt(action, async () => {
    await server.renew(); // whoever signed in again meanwhile has a new token
    await action();
    if (byId("trouble").hidden) page.focus();
  });
}

/** The browser may close the page at any moment now. */
function leave(event) {
  if (!work || !saver.dirty) return;
  saver.flush();
  if (event.type === "beforeunload") event.preventDefault();
}

byId("conflict-keep").addEventListener("click", keepMine);
byId("conflict-take").addEventListener("click", takeStored);
byId("try-again").addEventListener("click", tryAgain);
byId("nothing-back").addEventListener("click", () => attempt(goBack));
document.addEventListener("visibilitychange", (event) => document.hidden && leave(event));
window.addEventListener("beforeunload", leave);
page.alone(next);
