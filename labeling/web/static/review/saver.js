// Saves what a reviewer says of one ad: by itself a moment after each change, one request at a time, until it is stored.
//
// The server refuses a save whose version is not the stored one. Then nothing is sent any more until the reviewer has chosen
// (`keepMine`, or a new `Saver` for the stored one). A save whose answer got lost looks like that too, so a stored annotation
// that says what was sent counts as the answer.

import { asAnnotation, draftOf, same } from "./draft.js";

const PAUSE = 600; // milliseconds after the last change
const AGAIN = [1000, 2000, 4000, 8000, 15000];

export class Saver {
  #draft;
  #timer = 0;
  #failures = 0;
  #running = null;
  #dirty = false;
  #closed = false;

  /**
   * @param {Server} server
   * @param {{assignment: string, version: number}} work
   * @param {Draft} draft as stored
   * @param {string[]} judged the labels this reviewer judges
   * @param {() => number} seconds time spent on this ad so far
   * @param {(state: string, refusal: ?Refusal) => void} tell "saved", "waiting", "saving", "offline", "conflict",
   *   "signed-out" or "refused"
   */
  constructor(server, work, draft, judged, seconds, tell) {
    Object.assign(this, { server, judged, seconds, tell, assignment: work.assignment, version: work.version });
    this.#draft = draft;
  }

  get dirty() {
    return this.#dirty;
  }

  change(draft) {
    this.#draft = draft;
    this.#dirty = true;
    if (this.state === "conflict") return;
    this.#say("waiting");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#save(false), PAUSE);
  }

  /** Save at once, as done when `done`. @returns {Promise<boolean>} whether it is stored */
  async flush(done = false) {
    if (this.state === "conflict") return false;
    clearTimeout(this.#timer);
    while (this.#running) await this.#running;
    if (!done && !this.#dirty) return true;
    return this.#save(done);
  }

  /** After a conflict: mine goes over what is stored. */
  keepMine(storedVersion) {
    this.version = storedVersion;
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

  async #save(done) {
    if (this.#running || this.#closed) return false;
    this.#running = this.#send(done);
    const stored = await this.#running;
    this.#running = null;
    if (stored && this.#dirty && !this.#closed) this.#timer = setTimeout(() => this.#save(false), PAUSE);
    return stored;
  }

  async #send(done) {
    const sent = this.#draft;
    this.#say("saving");
    const body = { version: this.version, ...asAnnotation(sent, this.judged), done, seconds: this.seconds() };
    try {
      const answer = await this.server.ask("PUT", `/api/assignments/${this.assignment}/annotation`, body);
      return this.#stored(sent, answer.version);
    } catch (refusal) {
      const stored = refusal.problem?.stored;
      if (refusal.status === 409 && stored && stored.done === done && same(draftOf(stored.annotation), sent)) {
        return this.#stored(sent, stored.version);
      }
      this.#dirty = true;
      this.#fail(refusal);
      return false;
    }
  }

  #stored(sent, version) {
    this.version = version;
    this.#failures = 0;
    this.#dirty = this.#draft !== sent;
    this.#say(this.#dirty ? "waiting" : "saved");
    return true;
  }

  #fail(refusal) {
    if (refusal.status === 409 && refusal.problem.stored) this.#say("conflict", refusal);
    else if (refusal.status === 401) this.#say("signed-out", refusal);
    else if (refusal.status === 0 || refusal.status >= 500) {
      this.#say("offline", refusal);
      const wait = AGAIN[Math.min(this.#failures, AGAIN.length - 1)];
      this.#failures += 1;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#save(false), wait);
    } else this.#say("refused", refusal);
  }
}
