"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const REACHED = 0.01; // of the last word's gradient: a smaller one has died
  const SURE = 0.9; // P(right answer) of a network that is all but certain
  const COLOURS = ["one", "other"]; // of the networks
  const [FAINT, THIN, THICK] = [0.3, 1, 3]; // opacity and widths, px, from the first line to the latest

  const relative = (norms) => norms.map((norm) => norm / (norms.at(-1) || 1));

  /** The gradient norms of two networks at the words of a question, one line for each of several points of training. */
  elman.GradientHistory = class {
    constructor(node, app) {
      const { make } = elman;
      Object.assign(this, { node, app });
      this.sides = COLOURS.map((colour) => this.#side(colour));
      this.sentence = make("p", { id: "lesson-back-result" });
      this.table = make("table", { id: "lesson-back-table" }, make("thead"), make("tbody"));
      node.classList.add("back");
      node.append(
        make("h4", { "data-t": "lesson.back.title" }),
        make("p", { class: "quiet", "data-t": "lesson.back.about" }),
        make("div", { class: "back-sides" }, ...this.sides.map(({ part }) => part)),
        this.sentence,
        make("details", {}, make("summary", { "data-t": "lesson.back.numbers" }), this.table));
    }

    #side(colour) {
      const { make } = elman;
      const [title, axis, ends] = ["back-title", "time-axis", "back-ends"].map((name) => make("div", { class: name }));
      axis.setAttribute("aria-hidden", "true");
      ends.setAttribute("aria-hidden", "true");
      const drawing = elman.Drawing.of(100, 100, { preserveAspectRatio: "none", role: "img" });
      const plot = make("div", { class: "back-plot" }, drawing.element);
      const part = make("div", { class: `back-side back-${colour}` }, title,
        make("div", { class: "time-bars" }, axis, plot), ends);
      return { part, title, axis, plot, drawing, ends };
    }

    /**
     * Shows gradients: [{batches, norms: [of each network]}], the last one being of now. models: the networks' names;
     * sure: P(right answer) of the second one; words: those of the question, the first one being the name.
     */
    draw(gradients, models, sure, words) {
      const history = models.map((_, k) => gradients.map(({ norms }) => relative(norms[k])));
      const axis = elman.logAxis(...history.flat());
      this.sides.forEach((side, k) => this.#plot(side, { lines: history[k], axis, model: models[k], words }));
      const batches = gradients.map((each) => each.batches);
      const said = models.map((model, k) => this.#reading(model, history[k], batches));
      const lasts = [gradients[0], gradients.at(-1)].map(({ norms }) => norms[1].at(-1));
      this.sentence.textContent = [...said, ...this.#certain(models[1], sure, lasts)].join(" ");
      this.#numbers(batches, models, history);
    }

    #plot({ title, axis: marks, plot, drawing, ends }, { lines, axis, model, words }) {
      const { t, words: format } = this.app;
      title.textContent = model;
      marks.replaceChildren(...elman.axisMarks(axis));
      plot.style.setProperty("--every", String(axis.every));
      const label = t("lesson.back.plot", { model, n: lines.length });
      drawing.element.setAttribute("aria-label", label);
      drawing.element.replaceChildren();
      const point = (value, k, { length }) => `${(100 * k) / (length - 1)},${100 * (1 - axis.height(value))}`;
      lines.forEach((values, k) => {
        const part = lines.length > 1 ? k / (lines.length - 1) : 1;
        drawing.add("polyline", { points: values.map(point).join(" "), "stroke-opacity": FAINT + (1 - FAINT) * part,
          "stroke-width": THIN + (THICK - THIN) * part ** 4 });
      });
      const name = `${words[0]}, ${t("lesson.back.words", { n: format.number(words.length) })}`;
      ends.replaceChildren(elman.make("span", {}, name), elman.make("span", {}, words.at(-1)));
    }

    /** How far the gradient of a network gets. lines: one list a point of training, from the name to the last word. */
    #reading(model, lines, batches) {
      const { t, words } = this.app;
      const [atName, now] = [lines.map(([first]) => first), lines.at(-1)];
      const peak = Math.max(...atName);
      const values = { model, n: words.number(batches[atName.indexOf(peak)]), peak: elman.significant(peak, 2),
        ratio: elman.significant(now[0], 2), part: `${words.number(100 * REACHED)}%`,
        steps: words.number(elman.reach(now, REACHED)) };
      const key = peak < REACHED ? "dies" : now[0] < REACHED ? "fallen" : "reaches";
      return t(`lesson.back.${key}`, values);
    }

    /** Why the gradient of a network that has learnt the answer is small. */
    #certain(model, sure, [first, last]) {
      if (sure < SURE || last >= first) return [];
      const values = { model, first: elman.significant(first, 2), last: elman.significant(last, 2) };
      return [this.app.t("lesson.back.sure", values)];
    }

    #numbers(batches, models, history) {
      const { make } = elman;
      const head = [this.app.t("lesson.back.batches"), ...models].map((text) => make("th", { scope: "col" }, text));
      this.table.querySelector("thead").replaceChildren(make("tr", {}, ...head));
      const atName = (lines, k) => make("td", {}, elman.significant(lines[k][0], 2));
      this.table.querySelector("tbody").replaceChildren(...batches.map((n, k) => make("tr", {},
        make("th", { scope: "row" }, this.app.words.number(n)), ...history.map((lines) => atName(lines, k)))));
    }
  };
})();
