"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const NAMESPACE = "http://www.w3.org/2000/svg";

  /** Draws values from -limit to limit as a line, with a mark at the cursor (null: none). */
  function line(node, values, limit, cursor) {
    const draw = (tag, attributes) => {
      const element = document.createElementNS(NAMESPACE, tag);
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      return element;
    };
    const last = Math.max(1, values.length - 1);
    const [x, y] = [(k) => (k / last) * 1000, (value) => 50 - (value / limit) * 46];
    const svg = draw("svg", { viewBox: "0 0 1000 100", preserveAspectRatio: "none", class: "inside-svg" });
    svg.append(draw("line", { x1: 0, x2: 1000, y1: 50, y2: 50, class: "zero" }));
    if (cursor !== null) svg.append(draw("line", { x1: x(cursor), x2: x(cursor), y1: 0, y2: 100, class: "cursor" }));
    const points = values.map((value, k) => `${x(k).toFixed(1)},${y(value).toFixed(1)}`);
    svg.append(draw("polyline", { points: points.join(" ") }));
    node.replaceChildren(svg);
  }

  /** The text coloured by one unit, and the values of the unit as a line. nodes: {title, text, curve}. */
  elman.UnitView = class {
    constructor(nodes, app) {
      Object.assign(this, { nodes, app, drawn: null });
      elman.selectSpans(nodes.text, app.store);
    }

    /** drawn: {values (T, H), tokens, text, names, limit, unit (null: none)}. */
    draw(drawn) {
      this.drawn = drawn;
      const { app, nodes } = this;
      const { values, tokens, text, names, limit, unit } = drawn;
      const [picked, span] = [unit !== null, app.store.get("span")];
      nodes.title.textContent = picked ? app.t("inside.picked", { unit }) : app.t("inside.unpicked");
      this.view = elman.tokens.draw(nodes.text, tokens, {
        text,
        value: (token, index) => (picked ? values[index][unit] : null),
        colour: (value) => (value === null ? null : elman.colour.diverging(value, limit)),
        label: (token, index) =>
          picked ? `${names[index]}: ${app.words.number(values[index][unit], 2)}` : names[index],
        marked: (token, index) => span !== null && index >= span[0] && index < span[1],
        cursor: app.store.get("cursor"),
        onpick: (index) => app.store.set("cursor", index),
      });
      this.setCursor(app.store.get("cursor"));
    }

    setCursor(cursor) {
      if (!this.drawn) return;
      const { values, limit, unit } = this.drawn;
      this.view.setCursor(cursor);
      if (unit === null) this.nodes.curve.replaceChildren();
      else line(this.nodes.curve, values.map((row) => row[unit]), limit, cursor);
    }
  };
})();
