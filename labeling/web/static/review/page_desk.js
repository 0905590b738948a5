// The desk of a page: makes it from the elements of `desk.html`, and ties keys, pointers and form fields to it.

import { Desk } from "./desk.js";
import { actionOf } from "./keyboard.js";
import { LabelsView, twoDigits } from "./labels_view.js";
import { TextView } from "./text_view.js";

export const byId = (id) => document.getElementById(id);

export function announce(words) {
  byId("announce").textContent = words;
}

export class PageDesk {
  /**
   * @param {{labels: object[], blur: boolean}} facts as the server wrote them into the page
   * @param {(key: string, values?: object) => string} say
   * @param {(draft: Draft) => void} changed told what the reviewer changed
   * @param {Object<string, () => void>} actions what else keys and buttons of this page do
   */
  constructor(facts, say, changed, actions) {
    this.say = say;
    this.busy = false;
    this.labels = new Map(facts.labels.map((label) => [label.id, label]));
    const text = new TextView(byId("words"), this.labels);
    const list = new LabelsView(byId("labels"), byId("definitions"), say);
    const suggestType = (one) => showSuggestedType(one, say);
    this.desk = new Desk({ text, list, labels: this.labels, say, announce, changed, draw: drawForm, suggestType });
    this.keys = new Map(facts.labels.map((label) => [label.key, label.id]));
    this.actions = { ...this.#ownActions(), ...actions };
    this.#listenToKeys();
    this.#listenToLabels();
    this.#listenToForm();
  }

  /** Cover or show every text of an ad on the page. */
  cover(now) {
    this.desk.covered = now;
    byId("work").dataset.covered = String(now);
    for (const words of document.querySelectorAll("#work .words")) words.setAttribute("aria-hidden", String(now));
    byId("reveal").textContent = this.say(now ? "review.show" : "review.cover");
    if (!now) this.lack("");
  }

  /** Say what is missing; an empty key: nothing. */
  lack(key) {
    byId("lack").textContent = key && this.say(key);
    if (key) announce(this.say(key));
  }

  /** Whether the opinion says enough to be done; says what is missing and goes there. */
  complete() {
    const { cannotDecide, documentType } = this.desk.draft;
    const missing = this.desk.covered ? "review.covered" : !cannotDecide && !documentType ? "review.type_missing" : "";
    this.lack(missing);
    if (missing && !this.desk.covered) focusDocumentType();
    return !missing;
  }

  focus() {
    byId("text").focus({ preventScroll: true });
  }

  /** Closed, a dialog gives the focus back to what had it: the text, at once. (Its `close` event comes later, even between two keys.) */
  showDialog(id) {
    this.focus();
    byId(id).showModal();
  }

  /** Run one task at a time; what is asked for meanwhile does nothing. */
  async alone(task) {
    if (this.busy) return;
    this.busy = true;
    byId("work").setAttribute("aria-busy", "true");
    try {
      await task();
    } finally {
      this.busy = false;
      byId("work").removeAttribute("aria-busy");
    }
  }

  #ownActions() {
    const { desk } = this;
    return {
      move: ({ to, extend }) => desk.move(to, extend),
      mark: ({ label }) => desk.mark(label),
      explain: ({ label }) => desk.list.explain(label, true),
      remove: () => desk.remove(),
      unselect: () => desk.unselect(),
      "next-span": () => desk.nextSpan(),
      undo: () => desk.undo(),
      redo: () => desk.redo(),
      reveal: () => this.cover(!desk.covered),
      labels: () => desk.list.focus(),
      comment: () => byId("comment").focus(),
      "document-type": focusDocumentType,
      "cannot-decide": () => byId("cannot-decide").focus(),
      "to-text": () => this.focus(),
      help: () => this.showDialog("help"),
    };
  }

  #run(action) {
    if (!this.busy) this.actions[action.name]?.(action);
  }

  #listenToKeys() {
    const work = byId("work");
    const text = byId("text");
    work.addEventListener("keydown", (event) => {
      const action = actionOf(event, { labels: this.keys, text, direction: this.desk.direction });
      if (!action) return;
      event.preventDefault();
      this.#run(action);
    });
    // A click beside the controls must not leave the keys without effect.
    work.addEventListener("click", (event) => {
      const control = event.target.closest("button, input, label, textarea, select, a, [tabindex]");
      if (!control && document.getSelection().isCollapsed) this.focus();
    });
    for (const button of document.querySelectorAll("[data-action]")) {
      button.addEventListener("click", () => this.#run({ name: button.dataset.action }));
    }
    text.addEventListener("pointerup", () => this.desk.takePointed());
  }

  #listenToLabels() {
    const { desk } = this;
    byId("labels").addEventListener("pointerdown", () => desk.takePointed()); // a finger's selection has no pointerup
    byId("labels").addEventListener("click", (event) => {
      const label = event.target.closest("[data-label]")?.dataset.label;
      if (!label || this.busy) return;
      if (event.target.closest(".take")) desk.takeOver(label);
      else if (event.target.closest(".about")) desk.list.explain(label, true);
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
  }

  #listenToForm() {
    const { desk } = this;
    byId("form").addEventListener("change", ({ target }) => {
      if (target.name === "document_type") desk.change({ ...desk.draft, documentType: target.value });
      if (target.id === "cannot-decide") desk.change({ ...desk.draft, cannotDecide: target.value || null });
      this.lack("");
    });
    byId("comment").addEventListener("input", () => desk.change({ ...desk.draft, comment: byId("comment").value }, "", true));
    byId("form").addEventListener("submit", (event) => event.preventDefault());
  }
}

function drawForm(draft) {
  for (const radio of document.getElementsByName("document_type")) radio.checked = radio.value === draft.documentType;
  byId("cannot-decide").value = draft.cannotDecide ?? "";
  if (byId("comment").value !== draft.comment) byId("comment").value = draft.comment;
}

/** What the model takes the text for, beside that kind; null: nothing is suggested. */
function showSuggestedType(one, say) {
  for (const radio of document.getElementsByName("document_type")) {
    const mark = radio.parentElement.querySelector(".suggested");
    mark.hidden = radio.value !== one?.document_type;
    mark.textContent = mark.hidden ? "" : say("review.model_present", { p: twoDigits(one.probability) });
  }
}

function focusDocumentType() {
  const radios = [...document.getElementsByName("document_type")];
  (radios.find((radio) => radio.checked) ?? radios[0]).focus();
}
