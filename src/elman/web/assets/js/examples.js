"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const NONE = { opening: null, pairs: [] };
  const found = new Map(); // model id to the promise of its examples

  /** Texts in a model's own words, {opening: {text, position} or null, pairs: [{kind, texts}]}; none if they are refused. */
  elman.examplesOf = (app, model) => {
    if (!found.has(model)) {
      const answer = app.source.examples(model).catch((error) => {
        found.delete(model);
        if (error.kind !== "refused") app.report(error);
        return NONE;
      });
      found.set(model, answer);
    }
    return found.get(model);
  };
})();
