"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const PROPERTIES = ["inside_quotes", "inside_brackets", "line_position", "sentence_position", "word_position",
    "after_name", "capital", "digit", "space", "punctuation", "word_start", "word_length", "text_position"];

  /** Adds the controls of the panel Inside to its section. */
  elman.buildInside = (root) => {
    const { make } = elman;
    const option = (value, key) => make("option", { value, "data-t": key });
    const labelled = (id, ...options) => [
      make("label", { for: `inside-${id}`, "data-t": `inside.${id}` }),
      make("select", { id: `inside-${id}` }, ...options)];
    const orders = ["index", "found", "alike"].map((name) => option(name, `inside.by.${name}`));
    root.append(
      make("p", { id: "inside-none", class: "hint" }),
      make("div", { id: "inside-body", hidden: true },
        make("div", { class: "controls" },
          ...labelled("layer"), ...labelled("what"),
          ...labelled("order", ...orders)),
        make("p", { id: "inside-keys", class: "quiet", "data-t": "inside.keys" }),
        make("div", { id: "inside-map", class: "heat-map", tabindex: 0, role: "application",
          "data-t-label": "inside.map", "aria-describedby": "inside-keys" }),
        make("div", { class: "inside-under" },
          make("output", { id: "inside-readout" }), make("div", { id: "inside-legend" })),
        make("p", { id: "inside-story", class: "result" }),
        make("div", { class: "inside-pair" },
          make("div", { class: "inside-picked" },
            make("h3", { id: "inside-picked-title" }),
            make("p", { class: "quiet", "data-t": "inside.select" }),
            make("div", { id: "inside-text", "data-t-label": "inside.text" }),
            make("div", { id: "inside-curve", "aria-hidden": "true" })),
          make("div", { class: "inside-find" },
            make("h3", { "data-t": "inside.find" }),
            make("div", { class: "controls" },
              make("label", { for: "inside-property", "data-t": "inside.property" }),
              make("select", { id: "inside-property" }, option("", "inside.choose"), option("span", "inside.span"),
                ...PROPERTIES.map((name) => option(name, `inside.property.${name}`)))),
            make("p", { id: "inside-said", role: "status" }),
            make("ol", { id: "inside-found" })))));
  };
})();
