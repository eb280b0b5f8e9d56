"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const PACE = 380; // ms between two positions

  /**
   * Buttons that move over the positions 0 … end: start, back, play (or pause) and step.
   * onmove(position) shows a position. To a reader who wants no motion, play shows the next of `stops` at once.
   */
  elman.Playback = class {
    constructor({ start, back, play, step }, { app, onmove }) {
      Object.assign(this, { app, onmove, position: 0, end: 0, stops: [], timer: null });
      this.buttons = { start, back, play, step };
      this.still = window.matchMedia("(prefers-reduced-motion: reduce)");
      start.addEventListener("click", () => this.go(0));
      back.addEventListener("click", () => this.go(this.position - 1));
      step.addEventListener("click", () => this.go(this.position + 1));
      play.addEventListener("click", () => (this.timer ? this.pause() : this.play()));
    }

    /** Takes new positions, and stands at the last of the stops. */
    reset(stops) {
      this.stops = stops;
      this.end = stops[stops.length - 1];
      this.go(this.end);
    }

    go(position) {
      this.#stop();
      this.#show(position);
    }

    play() {
      const from = this.position >= this.end ? 0 : this.position;
      if (this.still.matches) return this.go(this.stops.find((stop) => stop > from));
      this.timer = setInterval(() => this.#show(this.position + 1), PACE);
      this.#show(from);
    }

    pause() {
      this.#stop();
      this.label();
    }

    #stop() {
      clearInterval(this.timer);
      this.timer = null;
    }

    #show(position) {
      this.position = Math.min(this.end, Math.max(0, position));
      if (this.position >= this.end) this.#stop();
      this.label();
      this.onmove(this.position);
    }

    /** Writes what the play button does, and disables the buttons that lead nowhere. */
    label() {
      const { start, back, play, step } = this.buttons;
      play.textContent = this.app.t(this.timer ? "unroll.pause" : "unroll.play");
      start.disabled = back.disabled = this.position === 0;
      step.disabled = this.position === this.end;
    }
  };
})();
