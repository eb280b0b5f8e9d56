"use strict";

(() => {
  const elman = (window.elman = window.elman || {});

  /**
   * The distribution to draw from, as in elman.generation.Sampler: temperature, then top-k, then top-p.
   *
   * lnProbs: ln P of the most probable tokens, the highest first. rest: {mass, count} of all other tokens, which are
   * assumed to be equally probable. The result is exact if there are no others, if top-k excludes them, or if the
   * temperature is 1 and top-p excludes them.
   */
  elman.reshape = (lnProbs, { temperature, topK, topP }, rest = { mass: 0, count: 0 }) => {
    if (!lnProbs.length) return { probabilities: [], exact: true };
    if (temperature === 0) return { probabilities: lnProbs.map((_, k) => (k === 0 ? 1 : 0)), exact: true };
    const best = lnProbs[0];
    const weights = lnProbs.map((ln) => Math.exp((ln - best) / temperature));
    const cut = topK > 0 && topK <= lnProbs.length;
    if (topK > 0) weights.fill(0, topK);
    const beyond = cut ? 0 : restWeight(rest, best, temperature);
    const total = weights.reduce((sum, weight) => sum + weight, 0) + beyond;
    const kept = topP < 1 ? nucleus(weights, topP, total) : weights.length;
    const inside = weights.map((weight, k) => (k < kept ? weight : 0));
    const reached = kept < weights.length || (topP < 1 && beyond === 0);
    const sum = inside.reduce((all, weight) => all + weight, 0) + (reached ? 0 : beyond);
    const exact =
      cut || rest.count === 0 || (temperature === 1 && (topP === 1 || kept < weights.length) && topK === 0);
    return { probabilities: inside.map((weight) => weight / sum), exact };
  };

  function restWeight({ mass, count }, best, temperature) {
    if (!(count > 0 && mass > 0)) return 0;
    return count * Math.exp((Math.log(mass / count) - best) / temperature);
  }

  /** The number of tokens that top-p keeps: the token that reaches topP is the last. */
  function nucleus(weights, topP, total) {
    let sum = 0;
    for (let k = 0; k < weights.length; k += 1) {
      sum += weights[k];
      if (sum / total >= topP) return k + 1;
    }
    return weights.length;
  }
})();
