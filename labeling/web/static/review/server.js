// Requests to the labelling server. Every answer is JSON; a refusal is a problem document, or comes from a proxy between.

const KEPT = 20_000; // characters: of a page that has gone a browser sends 64 KiB at most

/** What ends a request that was not answered by 2xx. `status` 0: no answer at all. */
export class Refusal extends Error {
  constructor(status, problem = {}) {
    super(problem.detail ?? problem.title ?? "");
    this.status = status;
    this.problem = problem;
  }
}

export class Server {
  constructor(csrf) {
    this.csrf = csrf;
  }

  /** @returns {Promise<?object>} what was answered; null for 204 */
  async ask(method, path, body) {
    const headers = { Accept: "application/json" };
    if (method !== "GET") headers["X-CSRF-Token"] = this.csrf;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const json = body && JSON.stringify(body);
    const keepalive = method !== "GET" && (json ?? "").length < KEPT; // sent to its end though the page is closed meanwhile
    let answer;
    try {
      answer = await fetch(path, { method, headers, body: json, keepalive, cache: "no-store", redirect: "error" });
    } catch {
      throw new Refusal(0);
    }
    if (answer.status === 204) return null;
    let content;
    try {
      content = await answer.json();
    } catch {
      throw new Refusal(answer.ok ? 0 : answer.status);
    }
    if (!answer.ok) throw new Refusal(answer.status, content);
    return content;
  }

  /** After signing in again, in another tab: a new session has a new token. */
  async renew() {
    this.csrf = (await this.ask("GET", "/api/session")).csrf;
  }
}
