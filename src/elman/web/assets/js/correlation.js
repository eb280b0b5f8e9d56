"use strict";

(() => {
  const elman = (window.elman = window.elman || {});

  /** Pearson's correlation of each unit of `values` (T, H) with `given` (T): (H); 0 for a constant unit. */
  elman.correlations = (values, given) => {
    const [steps, units] = [given.length, values[0].length];
    const mean = given.reduce((a, b) => a + b, 0) / steps;
    const deviations = given.map((value) => value - mean);
    const length = Math.hypot(...deviations);
    return Array.from({ length: units }, (_, unit) => {
      let centre = 0;
      for (const row of values) centre += row[unit] / steps;
      let [product, square] = [0, 0];
      for (let t = 0; t < steps; t += 1) {
        const deviation = values[t][unit] - centre;
        product += deviation * deviations[t];
        square += deviation * deviation;
      }
      return square > 1e-18 && length > 0 ? product / (Math.sqrt(square) * length) : 0;
    });
  };

  /** The units in descending order of |r|: [{unit, correlation}]. */
  elman.ranked = (found, top) =>
    found.map((correlation, unit) => ({ unit, correlation }))
      .sort((a, b) => Math.abs(b.correlation) - Math.abs(a.correlation)).slice(0, top);
})();
