// Saves what a reviewer says of one ad: by itself a moment after each change, one request at a time, until it is stored.
//
// The server refuses a save whose version is not the stored one. Then nothing is sent any more until the reviewer has chosen
// (`keepMine`, or a new `Saver` for the stored one). A save that got no answer may be stored all the same; so it is sent again
// as it was, before anything else, and the server knows it again.

import { asAnnotation } from "./draft.js";

const PAUSE = 600; // milliseconds after the last change
const AGAIN = [1000, 2000, 4000, 8000, 15000];
const NOT_STORED = [409, 413, 422]; // after these it is known that nothing was stored

export class Saver {
  #draft;
  #timer = 0;
  #failures = 0;
  #running = null;
  #dirty = false;
  #closed = false;
  #unanswered = null; // the draft of a save of which it is not known whether it is stored
  #finishing = null; // the draft with which the reviewer wanted to be done
  #done = false; // whether the ad is done on the server

  /**
   * @param {Server} server
   * @param {{assignment: string, version: number}} work
   * @param {Draft} draft as stored
   * @param {string[]} judged the labels this reviewer judges
   * @param {() => number} seconds time spent on this ad so far
   * @param {(state: string, refusal: ?Refusal) => void} tell "saved", "done", "waiting", "saving", "offline",
   *   "conflict", "signed-out" or "refused"
   */
  constructor(server, work, draft, judged, seconds, tell) {
    Object.assign(this, { server, judged, seconds, tell, assignment: work.assignment, version: work.version });
    this.#draft = draft;
  }

  get dirty() {
    return this.#dirty;
  }

  /** Whether the ad is done as it stands on the page. */
  get finished() {
    return this.#done && !this.#dirty;
  }

  change(draft) {
    this.#draft = draft;
    this.#dirty = true;
    this.#finishing = null;
    if (this.state === "conflict") return;
    this.#say("waiting");
    this.#later(PAUSE);
  }

  /** Save at once, as done when `done` or when that was wanted before. @returns {Promise<boolean>} whether it is stored */
  async flush(done = false) {
    if (this.state === "conflict") return false;
    clearTimeout(this.#timer);
    while (this.#running) await this.#running;
    if (this.finished) return true;
    if (done) this.#finishing = this.#draft;
    if (!done && !this.#dirty) return true;
    return this.#save();
  }

  /** After a conflict: mine goes over what is stored; an ad that is done is opened again for it. */
  keepMine(stored) {
    this.version = stored.version;
    this.#done = stored.done;
    this.state = "waiting";
    this.#dirty = true;
    return this.flush();
  }

  /** No more requests. */
  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #say(state, refusal = null) {
    this.state = state;
    if (!this.#closed) this.tell(state, refusal);
  }

  #later(wait) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#save(), wait);
  }

  async #save() {
    if (this.#running || this.#closed) return false;
    this.#running = this.#send();
    const stored = await this.#running;
    this.#running = null;
    if (stored && this.#dirty && !this.#closed) this.#later(PAUSE);
    return stored;
  }

  async #send() {
    const sent = this.#draft;
    this.#say("saving");
    try {
      if (this.#unanswered && this.#unanswered !== sent) await this.#put(this.#unanswered, false);
      await this.#put(sent, sent === this.#finishing);
    } catch (refusal) {
      this.#dirty = true;
      if (NOT_STORED.includes(refusal.status)) this.#unanswered = null;
      this.#fail(refusal);
      return false;
    }
    this.#failures = 0;
    this.#dirty = this.#draft !== sent;
    this.#say(this.#dirty ? "waiting" : this.#done ? "done" : "saved");
    return true;
  }

  async #put(draft, done) {
    const assignment = `/api/assignments/${this.assignment}`;
    if (this.#done) await this.#reopen(assignment);
    this.#unanswered = draft;
    const body = { version: this.version, ...asAnnotation(draft, this.judged), done, seconds: this.seconds() };
    const answer = await this.server.ask("PUT", `${assignment}/annotation`, body);
    this.#unanswered = null;
    this.version = answer.version;
    this.#done = answer.done;
    if (answer.done !== done) await this.#put(draft, done); // what was stored before was not done yet, or was already
  }

  /** Open already, because an answer got lost, is as good; and if it may not be opened, the save is told so. */
  async #reopen(assignment) {
    try {
      await this.server.ask("POST", `${assignment}/reopen`);
    } catch (refusal) {
      if (refusal.status !== 409) throw refusal;
    }
    this.#done = false;
  }

  #fail(refusal) {
    if (refusal.status === 409 && refusal.problem.stored) this.#say("conflict", refusal);
    else if (refusal.status === 401) this.#say("signed-out", refusal);
    else if (refusal.status === 0 || refusal.status >= 500) {
      this.#say("offline", refusal);
      this.#later(AGAIN[Math.min(this.#failures, AGAIN.length - 1)]);
      this.#failures += 1;
    } else this.#say("refused", refusal);
  }
}
