"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const finite = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);

  /** The lines of a run's metrics as points, one for each iteration that has a line. */
  elman.Metrics = class {
    constructor() {
      this.start = null;
      this.points = []; // {iteration, perplexity, valid, norm, lr, seconds, epoch}
      this.samples = []; // {iteration, text}
      this.counted = null; // the line of an n-gram model
      this.lines = 0;
    }

    add(lines) {
      this.lines += lines.length;
      for (const line of lines) this.#add(line);
      const intervals = this.points.some((point) => point.interval);
      for (const point of this.points) point.perplexity = intervals ? point.interval : point.whole;
    }

    #add(line) {
      if (line.kind === "start") this.start = line;
      else if (line.kind === "counted") this.counted = line;
      else if (line.kind === "sample") this.samples.push(line);
      else if (line.kind === "interval") {
        const { perplexity, grad_norm: norm, lr, seconds, epoch } = line;
        this.#at(line.iteration, { interval: finite(perplexity), norm: finite(norm), lr, seconds, epoch });
      } else if (line.kind === "epoch") {
        const { perplexity, valid_perplexity: valid, lr, seconds, epoch } = line;
        this.#at(line.iteration, { whole: finite(perplexity), valid: finite(valid), lr, seconds, epoch });
      }
    }

    #at(iteration, values) {
      const last = this.points[this.points.length - 1];
      const known = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
      if (last && last.iteration === iteration) Object.assign(last, known);
      else this.points.push({ iteration, perplexity: null, valid: null, norm: null, ...known });
    }

    /** The values at a point; missing ones are those of the last point that has them. */
    known(index) {
      const found = { ...this.points[index] };
      for (const name of ["perplexity", "valid", "norm", "lr"]) {
        for (let k = index; k >= 0 && (found[name] ?? null) === null; k -= 1) found[name] = this.points[k][name];
      }
      return found;
    }

    /** The sample nearest to an iteration; null if there is none. */
    sampleAt(iteration) {
      const distance = (sample) => Math.abs(sample.iteration - iteration);
      return this.samples.reduce((a, b) => (a && distance(a) < distance(b) ? a : b), null);
    }

    /** The perplexities to compare the run with: [name, perplexity]. */
    get references() {
      const found = Object.entries((this.start && this.start.references) || {});
      const counted = finite(this.counted?.valid_perplexity);
      return counted === null ? found : [...found, [`${this.start.options.order}-gram`, counted]];
    }
  };
})();
