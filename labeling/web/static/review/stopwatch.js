// Time spent on an ad: while the page is seen and something is done on it now and then.

const IDLE = 60; // seconds without a key or pointer after which nobody is counted as reading

export class Stopwatch {
  #seconds = 0;
  #last = performance.now();

  constructor() {
    for (const kind of ["keydown", "pointerdown", "pointermove", "wheel"]) {
      document.addEventListener(kind, () => this.#count(), { passive: true });
    }
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.#count();
      else this.#last = performance.now();
    });
  }

  restart(seconds = 0) {
    this.#seconds = seconds;
    this.#last = performance.now();
  }

  #count() {
    const now = performance.now();
    this.#seconds += Math.min((now - this.#last) / 1000, IDLE);
    this.#last = now;
  }

  /** Seconds, to a tenth. */
  read() {
    if (!document.hidden) this.#count();
    return Math.round(this.#seconds * 10) / 10;
  }
}
