"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const { make } = elman;
  const BARS = 12;

  /** Builds the panel Next; returns its parts by name. */
  elman.buildNext = (root, app) => {
    const rows = Array.from({ length: BARS }, (_, k) => bar(app, k));
    const list = make(
      "ol",
      { id: "next-bars", class: "candidates", "data-t-label": "next.bars" },
      ...rows.map((row) => row.item),
    );
    const note = make("p", { id: "next-note", class: "next-note" });
    const sliders = {
      temperature: slider(app, "temperature", { min: 0, max: 2, step: 0.05 }, (v) =>
        v === 0 ? app.t("next.greedy") : app.words.number(v, 2),
      ),
      topK: slider(app, "top-k", { min: 0, max: 100, step: 1 }, (v) =>
        v === 0 ? app.t("next.all") : app.words.number(v),
      ),
      topP: slider(app, "top-p", { min: 0.05, max: 1, step: 0.01 }, (v) =>
        v === 1 ? app.t("next.all") : app.words.number(v, 2),
      ),
    };
    const reset = make("button", { type: "button", id: "next-reset", "data-t": "next.reset" });
    const controls = make(
      "div",
      { class: "sliders" },
      ...Object.values(sliders).map((each) => each.root),
      reset,
    );
    const result = make("p", { id: "next-result" });
    root.append(note, list, result, controls);
    return { rows, note, result, sliders, reset };
  };

  function slider(app, name, range, text) {
    const id = `slider-${name}`;
    const input = make("input", { id, type: "range", ...range, "aria-describedby": `${id}-help` });
    const output = make("output", { id: `${id}-value`, for: id });
    const label = make("label", { for: id, "data-t": `next.${name}` });
    const help = make("p", { id: `${id}-help`, class: "quiet", "data-t": `next.${name}.help` });
    const show = (value) => {
      input.value = value;
      output.textContent = text(value);
      input.setAttribute("aria-valuetext", text(value));
    };
    return { root: make("div", { class: "slider" }, label, output, input, help), input, show };
  }

  /** A row for a candidate: its name, a bar, and its probability. */
  function bar(app, k) {
    const name = make("span", { class: "bar-name" });
    const fill = make("span", { class: "bar-fill" });
    const value = make("span", { class: "bar-value" });
    const button = make(
      "button",
      { type: "button", id: `next-bar-${k}`, class: "bar", disabled: true },
      name,
      make("span", { class: "bar-track", "aria-hidden": "true" }, fill),
      value,
    );
    const row = { item: make("li", {}, button), button, candidate: null };
    row.show = (candidate, probability = 0, most = 1, actual = null) => {
      row.candidate =
        candidate && !candidate.token.startsWith("bytes:") && !isUnknown(candidate) ? candidate : null;
      button.disabled = !row.candidate || app.recorded;
      name.textContent = candidate ? elman.readable(candidate.token) : "\u00a0";
      value.textContent = candidate ? app.words.percent(probability) : "";
      fill.style.setProperty("--ratio", String(candidate ? probability / most : 0));
      button.classList.toggle("cut", Boolean(candidate) && probability === 0);
      button.classList.toggle("actual", Boolean(candidate && actual && candidate.id === actual.id));
      const values = candidate && {
        token: elman.readable(candidate.token),
        probability: app.words.percent(probability),
      };
      button.setAttribute(
        "aria-label",
        candidate ? app.t(row.candidate ? "next.append" : "next.fixed", values) : app.t("next.none"),
      );
    };
    return row;
  }

  const isUnknown = ({ token }) => token.trim() === "<unk>";
})();
