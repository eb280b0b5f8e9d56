"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const { make } = elman;
  const IDS = { text: "write-text", view: "write-tokens" };

  /** Builds the panel Write; returns its parts by name. */
  elman.buildWrite = (root, app) => {
    const text = make("textarea", {
      id: IDS.text,
      rows: 3,
      maxlength: 20000,
      spellcheck: "false",
      autocapitalize: "off",
      "data-t-placeholder": "write.placeholder",
      "aria-describedby": "write-summary",
      readonly: app.recorded,
    });
    const view = make("div", { id: IDS.view, class: "reading", "data-t-label": "write.tokens" });
    const legend = make("div", { id: "write-legend" });
    const more = make("p", { id: "write-more", class: "quiet", hidden: true });
    const summary = make("p", { id: "write-summary", class: "summary" });
    const button = (id, key, extra = {}) => make("button", { type: "button", id, "data-t": key, ...extra });
    const generate = button("write-generate", "write.generate", { class: "primary" });
    const stop = button("write-stop", "write.stop", { disabled: true });
    const undo = button("write-undo", "write.undo", { disabled: true });
    const clear = button("write-clear", "write.clear");
    const most = make("input", {
      id: "write-max",
      type: "number",
      min: 1,
      max: 4000,
      step: 1,
      value: 100,
      inputmode: "numeric",
    });
    const seed = make("input", {
      id: "write-seed",
      type: "text",
      inputmode: "numeric",
      size: 6,
      "data-t-placeholder": "write.seed.any",
    });
    const field = (input, key) => make("label", { class: "field" }, make("span", { "data-t": key }), input);
    const controls = make(
      "div",
      { class: "controls" },
      generate,
      stop,
      undo,
      clear,
      field(most, "write.max"),
      field(seed, "write.seed"),
    );
    const key = make(
      "p",
      { class: "quiet" },
      make("span", { class: "token unknown sample", "data-t": "write.unknown.word" }),
      " ",
      make("span", { "data-t": "write.unknown" }),
    );
    root.append(
      make("label", { for: IDS.text, class: "visually-hidden", "data-t": "write.label" }),
      text,
      controls,
      view,
      more,
      summary,
      make("div", { class: "key-row" }, legend, key),
    );
    controls.hidden = app.recorded;
    return { text, view, legend, more, summary, generate, stop, undo, clear, most, seed };
  };

  /** The figures below the text: its perplexity, bits per character, and number of tokens. */
  elman.writeSummary = (app, scored) => {
    const { words } = app;
    const characters = Array.from(scored.text).length;
    const bits = scored.tokens.reduce((sum, token) => sum + (token.surprisal_bits ?? Infinity), 0);
    if (!scored.tokens.length) return [app.t("write.empty")];
    const unit =
      ["word", "char", "jamo", "byte", "subword"].find((name) => (scored.unit || "").startsWith(name)) || "token";
    const values = [
      ["write.perplexity", words.number(scored.perplexity, 2), app.t(`write.per.${unit}`)],
      ["write.bits", words.number(bits / characters, 2), ""],
      ["write.count", words.number(scored.tokens.length), ""],
    ];
    return values.map(([key, value, per]) =>
      make("span", { class: "figure" }, make("b", {}, value), ` ${app.t(key)}${per ? ` ${per}` : ""}`),
    );
  };
})();
