// The words of the interface, in the language of the page, as the server wrote them into it.

/** @returns {object} what the server put into the data block with this id */
export function dataOf(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

/** @returns {(key: string, values?: object) => string} `{name}` in a phrase is replaced by `values.name` */
export function sayer(phrases) {
  return (key, values = {}) => phrases[key].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** @returns {string} why a request was refused: the server's own words where it has some */
export function reasonOf(refusal, say) {
  if (refusal.status === 401) return say("review.signed_out");
  if (refusal.status === 0) return say("review.no_answer");
  return refusal.message || say("review.went_wrong");
}

/** What a language is called in the language of the page. */
export function languageName(code, say) {
  if (code === "und") return say("review.language_unknown");
  try {
    return new Intl.DisplayNames([document.documentElement.lang], { type: "language" }).of(code);
  } catch {
    return code; // no language tag
  }
}
