// Requests to the labelling server. Every answer is JSON; every refusal a problem document.

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
    let answer;
    try {
      answer = await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: "no-store", redirect: "error" });
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
