// The page of one case: several opinions on an ad side by side, and the desk on which the decision is made.

import { asAnnotation, draftOf, same } from "./draft.js";
import { announce, byId, PageDesk } from "./page_desk.js";
import { Server } from "./server.js";
import { dataOf, languageName, reasonOf, sayer } from "./words_of_page.js";

const facts = dataOf("facts");
const say = sayer(facts.phrases);
const server = new Server(facts.csrf);
let version = facts.version;
let changed = false;

const page = new PageDesk(facts, say, () => { changed = true; }, { done: decide });
const { desk } = page;

function decide() {
  if (!page.complete()) return null;
  return page.alone(async () => {
    const body = { version, ...asAnnotation(desk.draft, [...page.labels.keys()]) };
    try {
      await server.renew(); // whoever signed in again meanwhile has a new token
      await server.ask("PUT", `/api/adjudication/${facts.number}`, body);
      goOn();
    } catch (refusal) {
      const stored = refusal.problem.stored;
      if (!stored) showTrouble(reasonOf(refusal, say));
      else if (stored.annotation && same(draftOf(stored.annotation), desk.draft)) goOn(); // it was mine: its answer got lost
      else showConflict(stored);
      byId("sign-in-again").hidden = refusal.status !== 401;
    }
  });
}

function goOn() {
  changed = false;
  location.assign(facts.next);
}

function showTrouble(words) {
  byId("trouble").hidden = false;
  byId("trouble-detail").textContent = words;
}

/** Another adjudicator was quicker. Theirs is stored, mine is on the page: deciding again replaces theirs. */
function showConflict(stored) {
  version = stored.version;
  showTrouble(say("review.decided_meanwhile"));
  const button = byId("take-stored");
  button.hidden = false;
  button.onclick = () => {
    desk.change(draftOf(stored.annotation), say("review.stored_taken"));
    page.focus();
  };
}

byId("opinions").addEventListener("click", (event) => {
  const button = event.target.closest("[data-opinion]");
  if (!button) return;
  desk.change({ ...draftOf(facts.opinions[button.dataset.opinion]), comment: desk.draft.comment }, say("review.opinion_taken"));
  page.focus();
});
window.addEventListener("beforeunload", (event) => changed && event.preventDefault());
byId("work").hidden = false;
desk.open(facts.ad, null, null, draftOf(facts.proposal));
page.cover(facts.blur);
byId("language").textContent = languageName(facts.ad.language, say);
announce(say("review.case_open"));
if (facts.pause) page.showDialog("pause");
