"use strict";

(() => {
  const elman = (window.elman = window.elman || {});

  /**
   * Aligns two lists so that as many equal elements as possible are paired; other elements are paired in order.
   * Returns pairs of indices; null where a list has no element.
   */
  elman.align = (one, other) => {
    const best = Array.from({ length: one.length + 1 }, () => new Uint16Array(other.length + 1));
    for (let i = one.length - 1; i >= 0; i -= 1) {
      for (let j = other.length - 1; j >= 0; j -= 1) {
        best[i][j] = one[i] === other[j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
      }
    }
    const rows = [];
    let [left, right] = [[], []];
    const flush = () => {
      for (let k = 0; k < Math.max(left.length, right.length); k += 1)
        rows.push([left[k] ?? null, right[k] ?? null]);
      [left, right] = [[], []];
    };
    let [i, j] = [0, 0];
    while (i < one.length || j < other.length) {
      if (i < one.length && j < other.length && one[i] === other[j]) {
        flush();
        rows.push([i++, j++]);
      } else if (j === other.length || (i < one.length && best[i + 1][j] >= best[i][j + 1])) left.push(i++);
      else right.push(j++);
    }
    flush();
    return rows;
  };
})();
