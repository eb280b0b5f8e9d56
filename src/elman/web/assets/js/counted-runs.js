"use strict";

(() => {
  const elman = (window.elman = window.elman || {});

  /** The runs that are n-gram models: a learning curve is compared with those of the same text. */
  elman.CountedRuns = class {
    #known = new Map(); // by name: the start of its metrics and its perplexity; null: no n-gram model

    constructor(source) {
      this.source = source;
    }

    /** Finds, once, which of the runs are n-gram models, other than the one that is shown. */
    async find(names, shown) {
      for (const name of names) {
        if (name === shown || this.#known.has(name)) continue;
        const { lines } = await this.source.metrics(name, 0);
        const counted = lines.find(({ kind }) => kind === "counted");
        this.#known.set(name, counted ? { ...lines[0], perplexity: counted.valid_perplexity } : null);
      }
    }

    /** The perplexities to compare a run with: [name, perplexity]. */
    references(run, { references, start }) {
      const known = new Set([run, ...references.map(([name]) => name)]);
      const same = (each) => each?.perplexity && each.corpus === start.corpus && each.unit === start.unit;
      const others = [...this.#known].filter(([name, each]) => !known.has(name) && same(each));
      return [...references, ...others.map(([name, { perplexity }]) => [name, perplexity])];
    }
  };
})();
