"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const MAX_LISTED = 10; // units

  /** The units that correlate with a property, as buttons, and a sentence about the first of them. */
  elman.UnitList = class {
    constructor(nodes, app) {
      this.nodes = nodes;
      this.app = app;
    }

    /** Draws units as the server ranks them, or a hint [key, values]; `key` is that of the property's name. */
    draw({ found, unit: picked, hint, key }) {
      const { app, nodes } = this;
      const correlationOf = (value) => app.words.number(value, 2);
      nodes.said.textContent = hint ? app.t(...hint) : "";
      const top = found.filter(({ correlation }) => correlation !== 0).slice(0, MAX_LISTED);
      nodes.found.replaceChildren(...top.map(({ unit, correlation }) => {
        const sign = correlation < 0 ? "unit-bar below" : "unit-bar";
        const bar = elman.make("span", { class: sign, "aria-hidden": "true" });
        bar.style.setProperty("--part", String(Math.abs(correlation)));
        const text = app.t("inside.unit", { unit, correlation: correlationOf(correlation) });
        const pressed = String(unit === picked);
        const button = elman.make("button", { type: "button", value: unit, "aria-pressed": pressed }, text, bar);
        return elman.make("li", {}, button);
      }));
      const [best] = top;
      nodes.story.hidden = !best;
      nodes.story.textContent = best
        ? app.t("inside.story", { unit: best.unit, property: app.t(key), correlation: correlationOf(best.correlation) })
        : "";
    }
  };
})();
