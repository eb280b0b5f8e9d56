"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const SETTINGS = {
    cell: { gru: "GRU", lstm: "LSTM" },
    hidden: { 16: "16", 32: "32", 64: "64", 128: "128" },
    time_size: { 5: "5", 10: "10", 15: "15", 30: "30" },
    lr: { 0.005: "0.005", 0.01: "0.01", 0.02: "0.02", 0.05: "0.05" },
  };
  const INITIAL = { cell: "gru", hidden: "64", time_size: "30", lr: "0.02" };
  const HEIGHT = 230; // px of the curve

  const named = (name) => (name === "3-gram" ? name : elman.cellName(name));

  /** What a visitor sees of a lesson: the question, the controls, answers, curve and samples. It computes nothing. */
  elman.LessonView = class {
    constructor(root, app) {
      this.app = app;
      this.$ = (id) => root.querySelector(`#lesson-${id}`);
      this.#build(root);
      this.curve = new elman.Curve(this.$("curve"), { height: HEIGHT, onlook: () => {} });
      this.back = new elman.GradientHistory(this.$("back"), app);
    }

    #build(root) {
      const { make } = elman;
      const button = (name, attributes = {}) =>
        make("button", { type: "button", id: `lesson-${name}`, "data-t": `lesson.${name}`, ...attributes });
      const field = ([name, choices]) => make("label", { class: "field" },
        make("span", { "data-t": `lesson.${name}` }),
        make("select", { id: `lesson-${name}` }, ...Object.entries(choices).map(([value, text]) =>
          make("option", { value, selected: value === INITIAL[name] }, text))));
      root.append(
        make("h3", { "data-t": "lesson.title" }),
        make("p", { id: "lesson-off", class: "hint", hidden: true, "data-t": "lesson.off" }),
        make("div", { id: "lesson-body", class: "lesson-body", hidden: true },
          make("p", { id: "lesson-question", class: "lesson-question" }),
          make("div", { id: "lesson-names", class: "controls", role: "group", "data-t-label": "lesson.ask" }),
          make("p", { id: "lesson-verdict", role: "status" }),
          make("div", { class: "controls lesson-controls" },
            make("div", { class: "controls" }, button("play", { class: "primary" }), button("step"), button("again")),
            ...Object.entries(SETTINGS).map(field)),
          make("div", { id: "lesson-shown", class: "lesson-shown", hidden: true },
            make("div", { class: "lesson-plot" },
              make("ul", { class: "train-keys", "aria-hidden": "true" },
                make("li", { class: "key-training" }, "RNN"), make("li", { class: "key-valid", id: "lesson-key" })),
              make("div", { id: "lesson-curve", role: "img" })),
            make("table", { id: "lesson-answers" },
              make("caption", { "data-t": "lesson.answers" }), make("thead"), make("tbody"))),
          make("p", { id: "lesson-result", class: "lesson-result" }),
          make("div", { id: "lesson-back", hidden: true }),
          make("dl", { id: "lesson-samples", hidden: true }),
          make("p", { class: "quiet", "data-t": "lesson.about" })));
    }

    /** The chosen settings, as POST /lesson takes them. */
    settings() {
      const value = (name) => this.$(name).value;
      return { cell: value("cell"), hidden: Number(value("hidden")), time_size: Number(value("time_size")),
        lr: Number(value("lr")) };
    }

    /** Shows the question of a language, and its possible answers. */
    ask(question) {
      const { make } = elman;
      const gap = make("span", { class: "lesson-gap" }, "?");
      this.$("question").replaceChildren(`${question.text} `, gap);
      const prompt = make("span", { "data-t": "lesson.ask" }, this.app.t("lesson.ask"));
      this.$("names").replaceChildren(prompt, ...question.names.map((name) =>
        make("button", { type: "button", value: name, "aria-pressed": "false" }, name)));
      this.$("verdict").textContent = "";
    }

    /** Shows whether the visitor's guess is right. */
    judge(guess, { text, answer }) {
      for (const button of this.$("names").querySelectorAll("button")) {
        button.setAttribute("aria-pressed", String(button.value === guess));
      }
      const key = guess === answer ? "lesson.right" : "lesson.wrong";
      const words = this.app.words.number(text.split(" ").length);
      this.$("verdict").textContent = this.app.t(key, { name: answer, words });
    }

    playing(now) {
      const key = now ? "lesson.pause" : "lesson.play";
      this.$("play").dataset.t = key;
      this.$("play").textContent = this.app.t(key);
      this.$("step").disabled = now;
    }

    /** Shows a report of the server, and the history: [{batches, rnn, gated}]. words: those of the question. */
    show(report, history, sentence, words) {
      for (const part of ["shown", "back", "samples"]) this.$(part).hidden = !report;
      this.$("result").textContent = sentence;
      if (!report) return;
      this.#curve(report, history, sentence);
      this.#answers(report);
      const [, ...networks] = report.models;
      this.back.draw(report.gradients, networks.map(({ name }) => named(name)), networks[1].right_answer, words);
      this.#samples(report);
    }

    #curve({ models: [, , gated] }, history, sentence) {
      const guess = 1 / this.$("names").querySelectorAll("button").length;
      this.$("key").textContent = named(gated.name);
      this.$("curve").setAttribute("aria-label", sentence);
      const points = history.length === 1;
      this.curve.draw({
        xs: history.map(({ batches }) => batches),
        levels: [
          { name: this.app.t("lesson.level.right"), value: 1 }, { name: this.app.t("lesson.level.guess"), value: guess },
        ],
        scheme: elman.colour.scheme(),
        log: false,
        lines: [
          { ys: history.map(({ rnn }) => rnn), colour: "--curve-training", width: 2, points },
          { ys: history.map((each) => each.gated), colour: "--curve-valid", width: 3, points },
        ],
      });
    }

    #answers({ models, spans, right_name: right }) {
      const { make } = elman;
      const { t, words } = this.app;
      const head = (text) => make("th", { scope: "col" }, text);
      const spanned = spans.map(([least, most]) => head(t("lesson.span", { least, most })));
      this.$("answers").querySelector("thead").replaceChildren(
        make("tr", {}, head(t("lesson.model")), head(t("lesson.answer")), ...spanned));
      const cell = (probability) => {
        const data = make("td", { class: "lesson-part" }, words.percent(probability));
        data.style.setProperty("--ratio", String(probability));
        return data;
      };
      const rows = models.map(({ name, answer: [{ token, probability }], by_distance: parts }) => make("tr", {},
        make("th", { scope: "row" }, named(name)),
        make("td", { class: token === right ? "lesson-right" : "" }, `${token} ${words.percent(probability)}`),
        ...parts.map(cell)));
      this.$("answers").querySelector("tbody").replaceChildren(...rows);
    }

    /** The lines that the networks write. The name that begins a line is bold, wherever it is: it should end the line. */
    #samples({ models: [, ...networks] }) {
      const { make } = elman;
      const names = Array.from(this.$("names").querySelectorAll("button"), ({ value }) => value);
      const written = ({ name, sample }) => {
        const words = sample.split(" ");
        const begins = (word) => word === words[0] && names.includes(word);
        const parts = words.flatMap((word) => [begins(word) ? make("b", {}, word) : word, " "]);
        return [make("dt", {}, this.app.t("lesson.writes", { model: named(name) })), make("dd", {}, ...parts)];
      };
      this.$("samples").replaceChildren(...networks.flatMap(written));
    }
  };

  elman.LessonView.named = named;
})();
