"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const SAMPLE = { id: "train-sample", tabindex: 0, role: "region", "aria-labelledby": "train-sample-title" };
  const PLOT = { id: "train-plot", class: "train-plot", role: "slider", tabindex: 0 };

  elman.RUN_ROWS = ["iteration", "epoch", "perplexity", "valid", "norm", "lr", "seconds"]; // of the table of numbers

  /** Puts the empty parts of a run's training into the panel. quantities: what its curve can show. */
  elman.buildRun = (root, quantities) => {
    const { make } = elman;
    const choices = quantities.map((name) => make("option", { value: name, "data-t": `train.${name}` }));
    const rows = elman.RUN_ROWS.map((name) => make("tr", {},
      make("th", { scope: "row", "data-t": `train.row.${name}` }), make("td", { id: `train-${name}` })));
    const key = (name) => make("li", { class: `key-${name}`, "data-t": `train.key.${name}` });
    root.append(
      make("h3", { "data-t": "train.run.title" }),
      make("p", { class: "about", "data-t": "train.run.about" }),
      make("div", { class: "controls" },
        make("label", { for: "train-run", "data-t": "train.run" }), make("select", { id: "train-run" }),
        make("label", { for: "train-quantity", "data-t": "train.quantity" }),
        make("select", { id: "train-quantity" }, ...choices)),
      make("p", { id: "train-about", class: "quiet" }),
      make("p", { id: "train-apart", class: "quiet", hidden: true }),
      make("p", { id: "train-none", class: "hint", hidden: true }),
      make("div", { id: "train-body", class: "train-body" },
        make("div", { ...PLOT, "data-t-label": "train.plot" },
          make("ul", { class: "train-keys", "aria-hidden": "true" }, key("training"), key("valid"), key("level")),
          make("div", { id: "train-loss", "aria-hidden": "true" }),
          make("div", { id: "train-norm-title", class: "quiet", "aria-hidden": "true", "data-t": "train.row.norm" }),
          make("div", { id: "train-gradient", "aria-hidden": "true" })),
        make("div", { class: "train-side" },
          make("table", { id: "train-numbers" },
            make("caption", { id: "train-where" }), make("tbody", {}, ...rows),
            make("tbody", { id: "train-references" })),
          make("figure", { class: "train-sample" },
            make("figcaption", { id: "train-sample-title" }), make("pre", SAMPLE)))));
  };
})();
