// The list of labels: which are present, how many words each has, what the model suggests, and what each means.

/** Two digits, and never a certainty. */
export function twoDigits(probability) {
  if (probability > 0.99) return "> 0.99";
  return probability < 0.01 ? "< 0.01" : probability.toFixed(2);
}

export class LabelsView {
  #shown = null;

  /**
   * @param {HTMLElement} list rows `[data-label]`, as the server wrote them
   * @param {HTMLElement} definitions sections `[data-definition]`
   * @param {(key: string, values?: object) => string} say
   */
  constructor(list, definitions, say) {
    this.list = list;
    this.definitions = definitions;
    this.say = say;
    this.rows = new Map([...list.querySelectorAll("[data-label]")].map((row) => [row.dataset.label, row]));
    list.addEventListener("focusin", (event) => this.explain(event.target.closest("[data-label]")?.dataset.label));
    list.addEventListener("keydown", (event) => this.#walk(event));
  }

  draw(draft) {
    for (const [label, row] of this.rows) {
      const present = draft.present.includes(label);
      const words = draft.spans.filter((span) => span.label === label).length;
      row.classList.toggle("on", present);
      row.querySelector("input").checked = present;
      row.querySelector(".count").textContent = present ? (words ? this.say("review.words", { n: words }) : this.say("review.no_words")) : "";
    }
  }

  /** What the model says of each label; nothing where suggestions are hidden or it saw nothing. */
  suggest(suggestions) {
    const seen = new Map((suggestions ?? []).map((one) => [one.label, one]));
    for (const [label, row] of this.rows) {
      const one = seen.get(label);
      const button = row.querySelector(".take");
      button.hidden = !one || one.status === "absent";
      if (!button.hidden) button.textContent = this.say(`review.model_${one.status}`, { p: twoDigits(one.probability) });
    }
  }

  /** Show what a label means; where asked for, bring it into view. */
  explain(label, follow = false) {
    if (!label) return;
    for (const section of this.definitions.querySelectorAll("[data-definition]")) {
      section.hidden = section.dataset.definition !== label;
    }
    this.#shown = label;
    if (follow) this.definitions.scrollIntoView({ block: "nearest" });
  }

  focus() {
    const row = this.rows.get(this.#shown) ?? this.list.querySelector("[data-label]");
    row?.querySelector("input").focus();
  }

  /** Arrow keys go from label to label. */
  #walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const rows = [...this.rows.values()];
    const at = rows.indexOf(event.target.closest("[data-label]"));
    rows[Math.min(Math.max(at + step, 0), rows.length - 1)].querySelector("input").focus();
  }
}
