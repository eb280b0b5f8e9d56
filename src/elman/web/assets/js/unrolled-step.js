"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const SHOWN = 5; // numbers of a vector in the table

  /** The nodes that `show` fills. */
  elman.buildStep = () => {
    const { make } = elman;
    return make("div", { class: "unroll-pair" },
      make("div", {}, make("h3", { id: "unroll-title" }), make("table", { id: "unroll-numbers" })),
      make("div", {},
        make("div", { class: "controls" }, make("h3", { id: "unroll-cell-title" }),
          make("span", { class: "field" }, make("label", { for: "unroll-unit", "data-t": "unroll.unit" }),
            make("select", { id: "unroll-unit" }))),
        make("div", { id: "unroll-cell" })));
  };

  const rounded = (value) => Number(value.toFixed(2)) + 0; // without a negative zero

  /** One step of the unrolled network in numbers: a table of its vectors, and its cell as a graph with values. */
  elman.UnrolledStep = class {
    constructor(root, app) {
      this.app = app;
      this.$ = (id) => root.querySelector(`#unroll-${id}`);
      this.$("unit").addEventListener("change", () => this.show(...this.shown));
    }

    /** The units whose values are known. */
    units(count) {
      const kept = Number(this.$("unit").value || 0);
      this.$("unit").replaceChildren(...Array.from({ length: count }, (_, value) =>
        elman.make("option", { value, selected: value === kept }, this.app.words.number(value))));
    }

    /** Shows step `at` of a layer. gradient: {above, flowing, arriving} of the step, if it has a loss. */
    show(data, layer, at, gradient, name) {
      this.shown = [data, layer, at, gradient, name];
      const { t, words } = this.app;
      const values = { step: words.number(data.first + at + 1), token: name };
      const [inside, terms] = [data.inside[layer], data.terms[layer]];
      const before = (state) => (at ? inside[state][at - 1] : data.before[layer][state]);
      this.$("title").textContent = t("unroll.title.step", values);
      this.$("numbers").replaceChildren(...this.#rows(data, layer, at, before, gradient));
      const unit = Number(this.$("unit").value);
      const of = (name) => (`cell_${name}` in inside ? `cell_${name}` : name); // of the cell in a residual block
      const states = Object.keys(data.before[layer]).filter((name) => of(name) === name);
      const own = states.map(elman.stateName);
      this.$("cell-title").textContent = t("unroll.title.cell", { cell: elman.cellName(data.cell) });
      elman.drawCell(this.$("cell"), {
        kind: data.cell,
        states: own,
        carried: data.carried[layer].map(elman.stateName),
        gates: Object.keys(inside).filter((each) => !(each in data.before[layer])),
        label: t("unroll.cell", { ...values, unit: words.number(unit) }),
        number: (value) => (value === undefined ? "" : words.number(rounded(value), 2)), // some gates are narrower
        before: (state) => before(of(state))[unit],
        value: (name) => (inside[of(name)] ?? terms[name])[at][unit],
        units: (gate) => inside[gate]?.[at],
        term: (term) => terms[term]?.[at][unit],
      });
    }

    #rows(data, layer, at, before, gradient) {
      const { t, words } = this.app;
      const { wordvec, vocabulary } = data;
      const step = data.steps[at];
      const numbers = (vector, size) => {
        const shown = vector.slice(0, SHOWN).map((value) => words.number(rounded(value), 2));
        return `${shown.join("  ")}${size > SHOWN ? " …" : ""}`;
      };
      const row = (label, size, text) => elman.make("tr", {}, elman.make("th", { scope: "row" }, ...label),
        elman.make("td", { class: "shape" }, size ? `(1, ${size})` : ""), elman.make("td", {}, text));
      const sub = (letter, index) => [letter, elman.make("sub", {}, index)];
      const rows = [];
      if (layer) {
        const below = data.widths[layer - 1].h;
        rows.push(row(sub("x", "t"), below, numbers(data.inside[layer - 1].h[at], below)));
      } else if (wordvec) rows.push(row(sub("x", "t"), wordvec, numbers(data.x[at], wordvec)));
      else rows.push(row(sub("x", "t"), vocabulary, t("unroll.onehot")));
      for (const state of Object.keys(data.before[layer])) {
        const width = data.widths[layer][state];
        const name = state.replace("_", " "); // cell_h, of the cell in a residual block
        rows.push(row(sub(name, "t−1"), width, numbers(before(state), width)));
        rows.push(row(sub(name, "t"), width, numbers(data.inside[layer][state][at], width)));
      }
      const scores = step.top.map(({ score }) => words.number(score, 1)).join("  ");
      rows.push(row([t("unroll.row.scores")], vocabulary, t("unroll.largest", { scores })));
      const following = ({ token, probability }) => `${elman.readable(token)}: ${words.percent(probability)}`;
      if (step.next) rows.push(row([t("unroll.next")], 0, following(step.next)));
      if (gradient) {
        const names = ["arriving", "above", "flowing"];
        const [sum, above, right] = names.map((name) => elman.significant(gradient[name], 2));
        const through = data.through[layer];
        const of = through === "h" ? ["d", ...sub("h", "t")] : ["(d", ...sub("h", "t"), ", d", ...sub(through, "t"), ")"];
        const norm = row(["‖", ...of, "‖"], 0, t("unroll.gradient", { sum, above, right }));
        norm.classList.add("backward");
        rows.push(norm);
      }
      return rows;
    }
  };
})();
