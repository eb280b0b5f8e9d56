"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const NAMESPACE = "http://www.w3.org/2000/svg";
  const SIZE = 14; // px, of text
  const SCRIPT = /([_^])(\{[^}]*\}|[^\s_^])/g; // h_t, h_{t-1}, x^2
  const BULGE = 10; // radius of round corners

  const measure = document.createElement("canvas").getContext("2d");
  let family = null;

  /** The width of a text in the page's font. */
  elman.textWidth = (text, size = SIZE, bold = false) => {
    family ??= getComputedStyle(document.documentElement).getPropertyValue("--sans");
    measure.font = `${bold ? 700 : 400} ${size}px ${family}`;
    return measure.measureText(text).width;
  };

  /** A text cut to a width, with an ellipsis. */
  elman.fitted = (text, width, size = SIZE, bold = false) => {
    if (elman.textWidth(text, size, bold) <= width) return text;
    const letters = Array.from(text);
    while (letters.length > 1 && elman.textWidth(`${letters.join("")}…`, size, bold) > width) letters.pop();
    return `${letters.join("")}…`;
  };

  const towards = ([x, y], [X, Y], distance) => {
    const part = distance / (Math.hypot(X - x, Y - y) || 1);
    return [x + part * (X - x), y + part * (Y - y)];
  };

  const pair = (point) => point.map((value) => value.toFixed(1)).join(",");

  function rounded(points) {
    let path = `M${pair(points[0])}`;
    for (let k = 1; k < points.length - 1; k += 1) {
      const [before, corner, after] = points.slice(k - 1, k + 2);
      const near = (point) => Math.hypot(point[0] - corner[0], point[1] - corner[1]) / 2;
      const r = Math.min(BULGE, near(before), near(after));
      path += `L${pair(towards(corner, before, r))}Q${pair(corner)} ${pair(towards(corner, after, r))}`;
    }
    return `${path}L${pair(points[points.length - 1])}`;
  }

  /**
   * Boxes, arrows and labels in an SVG element: the vocabulary, the colours and the arrows of `elman.figures`.
   * Points are [x, y]. `kind` is ink, soft, forward or backward.
   */
  elman.Drawing = class Drawing {
    constructor(element) {
      this.element = element;
    }

    /** A picture of its own. attributes: role, aria-label, … */
    static of(width, height, attributes = {}) {
      const drawing = new Drawing(document.createElementNS(NAMESPACE, "svg"));
      const all = { class: "drawing", viewBox: `0 0 ${width} ${height}`, width, height, ...attributes };
      for (const [name, value] of Object.entries(all)) drawing.element.setAttribute(name, value);
      return drawing;
    }

    /** Adds an element. */
    add(tag, attributes, ...children) {
      const element = document.createElementNS(NAMESPACE, tag);
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      element.append(...children);
      this.element.append(element);
      return element;
    }

    /** A group, to draw into. */
    group(attributes = {}) {
      return new Drawing(this.add("g", attributes));
    }

    /** A label, its middle line at a point; h_t and h_{t-1} get subscripts unless it is `raw`. */
    text([x, y], label, { kind = "ink", size = SIZE, anchor = "middle", bold = false, raw = false } = {}) {
      const text = this.add("text", { x, y: y + size * 0.35, "text-anchor": anchor, "font-size": size, class: kind });
      if (bold) text.setAttribute("font-weight", "700");
      if (raw) text.textContent = label;
      else new Drawing(text).#scripts(label, size);
      return text;
    }

    #scripts(label, size) {
      let [end, shift] = [0, 0];
      const span = (text, attributes) => text && this.add("tspan", attributes, text);
      for (const found of label.matchAll(SCRIPT)) {
        span(label.slice(end, found.index), { dy: -shift });
        shift = size * (found[1] === "_" ? 0.25 : -0.35);
        span(found[2].replace(/[{}]/g, ""), { dy: shift, "font-size": size * 0.75 });
        end = found.index + found[0].length;
      }
      span(label.slice(end), { dy: -shift });
    }

    /** A rectangle around its middle, with a label, and a smaller note below it. look: layer, marked, outlined … */
    box([x, y], [width, height], label = "", { look = "layer", note = "", size = SIZE } = {}) {
      this.add("rect", { x: x - width / 2, y: y - height / 2, width, height, rx: 6, class: `box ${look}` });
      if (label) this.text([x, y - (note ? 8 : 0)], label, { size });
      if (note) this.text([x, y + 9], note, { size: size - 1, raw: true });
    }

    /** An operation of a computation graph: a circle with its sign. */
    node([x, y], label, radius = 13) {
      this.add("circle", { cx: x, cy: y, r: radius, class: "box outlined" });
      this.text([x, y], label, { size: 16 });
    }

    /** A branch: the place where one arrow becomes two copies. */
    dot([cx, cy], kind = "forward", r = 4) {
      this.add("circle", { cx, cy, r, class: `fill ${kind}` });
    }

    line(points, { kind = "ink", width = 2, dashed = false } = {}) {
      const path = this.add("path", { d: rounded(points), "stroke-width": width, class: `line ${kind}` });
      if (dashed) path.setAttribute("stroke-dasharray", "4 4");
    }

    /** An arrow through points to the last one. */
    arrow(points, { kind = "forward", width = 2, dashed = false } = {}) {
      const [before, end] = points.slice(-2);
      const length = Math.hypot(end[0] - before[0], end[1] - before[1]) || 1;
      const head = Math.min(6 + 1.5 * width, 0.8 * length);
      const [ux, uy] = [(end[0] - before[0]) / length, (end[1] - before[1]) / length];
      const at = (back, side) => [end[0] - back * ux - side * uy, end[1] - back * uy + side * ux];
      this.line([...points.slice(0, -1), at(0.8 * head, 0)], { kind, width, dashed });
      const corners = [end, at(head, 0.42 * head), at(head, -0.42 * head)];
      this.add("polygon", { points: corners.map(pair).join(" "), class: `fill ${kind}` });
    }

    /** Scissors that cut a line from above. */
    scissors([x, y], size = 7) {
      for (const side of [-1, 1]) {
        this.line([[x - 0.7 * size * side, y - size], [x + 0.6 * size * side, y + size]], { kind: "backward" });
        const handle = { cx: x - 0.9 * size * side, cy: y - 1.45 * size, r: size / 2 };
        this.add("circle", { ...handle, "stroke-width": 2, class: "line backward" });
      }
    }

    /** A bracket below a range, and its label. */
    bracket(left, right, y, label) {
      this.line([[left, y], [left, y + 7], [right, y + 7], [right, y]], { kind: "soft", width: 1.5 });
      this.text([(left + right) / 2, y + 18], label, { kind: "soft", size: 12, raw: true });
    }

    /** Values from -limit to limit as a row of coloured cells around a middle. */
    strip([x, y], [width, height], values, limit) {
      const wide = width / (values.length || 1);
      values.forEach((value, k) => {
        const cell = this.add("rect", { x: x - width / 2 + k * wide, y: y - height / 2, width: wide, height });
        cell.style.setProperty("fill", String(elman.colour.diverging(value, limit)));
      });
      this.add("rect", { x: x - width / 2, y: y - height / 2, width, height, class: "strip-edge" });
    }
  };
})();
