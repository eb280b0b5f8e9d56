"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const COLUMN = 96; // px from one column to the next
  const WIDE = 64; // of a box
  const GAP = 4; // between a candidate and its probability
  const HEIGHT = 348;
  const EDGE = 60; // px before the first column, for the state that comes in
  const THICKEST = 10; // px, the arrow of the largest gradient
  const THINNEST = 0.8;
  const [UP, DOWN] = [-13, 15]; // where arrows run in a column: forward and backward
  const Y = { top: 14, scores: 92, h: 124, cell: 180, x: 236, embedding: 268, word: 306, bracket: 320 };
  const CELL = 62; // height of the cell
  const BACK = Y.cell - 16; // where the gradient flows back
  const STATES = [18, 4, -4].map((down) => Y.cell + down); // where the states pass on, underneath

  /** The names of the rows, in a picture that stays at the left. */
  elman.drawRowNames = (node, names) => {
    const drawing = elman.Drawing.of(62, HEIGHT, { "aria-hidden": "true" });
    const rows = [[Y.top + 16, names.top], [Y.scores, names.scores], [Y.h, "h_t"], [Y.cell, names.cell], [Y.x, "x_t"],
      [Y.word, names.word]];
    for (const [y, name] of rows) drawing.text([58, y], name, { kind: "soft", size: 12, anchor: "end" });
    node.replaceChildren(drawing.element);
  };

  /**
   * The columns of an unrolled network. One has the focus (arrow keys, Home, End).
   * draw(data), flow(gradients), label(text), show(position), fold(folded); onlook(index): on focus and hover;
   * onpick(index): on click and Enter.
   */
  elman.UnrolledColumns = class {
    constructor(node, { onlook, onpick }) {
      Object.assign(this, { node, onlook, onpick, columns: [], folded: false });
      const indexOf = (event) => {
        const column = event.target.closest?.("[data-index]");
        return column ? Number(column.dataset.index) : null;
      };
      for (const name of ["focusin", "pointerover"])
        node.addEventListener(name, (event) => indexOf(event) !== null && onlook(indexOf(event)));
      node.addEventListener("click", (event) => indexOf(event) !== null && onpick(indexOf(event)));
      node.addEventListener("keydown", (event) => this.#key(event, indexOf(event)));
      new ResizeObserver(() => this.columns.length && this.#place()).observe(node);
    }

    /** data: {name, cell, above, below, states, factor, limit, largest, columns: [{word, x, h, top}]}; `factor` is what
     * multiplies the state, `limit` and `largest` bound the values of x and h, and see `#candidate` for `top`. */
    draw(data) {
      this.data = data;
      this.width = EDGE + data.columns.length * COLUMN;
      const drawing = elman.Drawing.of(this.width, HEIGHT, { role: "listbox", "aria-label": data.name,
        "aria-orientation": "horizontal" });
      this.svg = drawing.element;
      this.columns = data.columns.map((column, index) => this.#column(drawing, column, index));
      this.brackets = drawing.group({ class: "link" });
      this.loop = drawing.group({ class: "loop" });
      this.#drawLoop();
      this.node.replaceChildren(this.svg);
      this.at = null;
      this.#place();
    }

    #column(drawing, column, index) {
      const group = drawing.group({ class: "column", role: "option", "data-index": index, tabindex: -1,
        "aria-selected": "false" });
      const { element } = group;
      const back = { x: -COLUMN / 2 + 2, y: 1, width: COLUMN - 4, height: Y.bracket - 6, rx: 6 };
      group.add("rect", { ...back, class: "column-back" });
      const backward = group.group({ class: "backward-pass" });
      const forward = group.group({ class: "forward-pass" });
      forward.text([0, Y.word], elman.fitted(column.word, COLUMN - 8, 15, true), { size: 15, bold: true, raw: true });
      forward.arrow([[UP, Y.word - 11], [UP, Y.embedding + 13]], { width: 1.5 });
      forward.box([0, Y.embedding], [WIDE, 26], this.data.below, { size: 11 });
      const inputs = forward.group({ class: "weights-x" });
      inputs.arrow([[UP, Y.embedding - 13], [UP, Y.cell + CELL / 2]]);
      inputs.text([DOWN, Y.cell + CELL / 2 + 9], this.data.input, { kind: "forward", size: 11 });
      if (column.x.length) forward.strip([0, Y.x], [WIDE, 9], column.x, this.data.limit);
      forward.box([0, Y.cell], [WIDE, CELL]);
      const size = Math.min(13, (13 * (WIDE - 4)) / elman.textWidth(this.data.cell, 14.5)); // bold letters are wider
      forward.text([0, Y.cell + 16], this.data.cell, { size, bold: true });
      forward.arrow([[UP, Y.cell - CELL / 2], [UP, Y.scores + 13]]);
      forward.strip([0, Y.h], [WIDE, 9], column.h, this.data.largest);
      forward.box([0, Y.scores], [WIDE, 26], this.data.above, { size: 11, look: "marked" });
      forward.arrow([[UP, Y.scores - 13], [UP, Y.top + 46]], { width: 1.5 });
      column.top.forEach((each, k) => this.#candidate(forward, each, Y.top + 17 * k));
      this.#states(forward.group({ class: "link weights-h" }), index);
      const norm = group.text([0, BACK], "", { kind: "backward", size: 11, raw: true });
      return { element, forward: forward.element, backward, norm };
    }

    #candidate(drawing, { name, percent, probability, right }, y) {
      const half = COLUMN / 2 - 6;
      const room = 2 * half - elman.textWidth(percent, 11) - GAP;
      const fitted = elman.fitted(name, room, 12, right);
      drawing.text([-half, y], fitted, { size: 12, anchor: "start", bold: right, raw: true });
      drawing.text([half, y], percent, { size: 11, anchor: "end", kind: right ? "ink" : "soft", raw: true });
      const width = Math.max(1, 2 * half * probability);
      drawing.add("rect", { x: -half, y: y + 6, width, height: 2.5, class: "fill forward" });
    }

    /** The states that come in from the left. */
    #states(drawing, index) {
      const [from, to] = [-COLUMN + WIDE / 2, -WIDE / 2];
      this.data.states.forEach((name, k) => {
        drawing.arrow([[from, STATES[k]], [to, STATES[k]]], { width: k ? 1.5 : 2.5 });
        if (!index) drawing.text([from - 9, STATES[k]], name, { kind: "forward", size: 12 });
      });
      drawing.text([-COLUMN / 2, STATES[0] + 11], this.data.factor, { kind: "forward", size: 11 });
    }

    #drawLoop() {
      const [out, level] = [WIDE / 2 + 26, Y.cell - CELL / 2 - 10];
      const [half, y] = [WIDE / 2, STATES[0]];
      this.loop.arrow([[half, y], [out, y], [out, level], [-out, level], [-out, y], [-half, y]], { width: 2.5 });
      this.loop.text([-out - 4, y], this.data.factor, { kind: "forward", size: 12, anchor: "end" });
      this.loop.text([out + 26, y - 14], this.data.states.join(", "), { kind: "forward", size: 12 });
    }

    /** Draws the gradients [{above, flowing, arriving, label}], the steps before which they are cut, and the blocks. */
    flow({ flow, largest, cuts, blocks }) {
      const width = (norm) => Math.max(THINNEST, (THICKEST * norm) / (largest || 1));
      this.columns.forEach(({ backward, norm }, t) => {
        backward.element.replaceChildren();
        if (cuts.includes(t)) {
          backward.line([[-WIDE / 2, BACK], [-COLUMN / 2 + 6, BACK]], { kind: "backward" });
          backward.scissors([-COLUMN / 2, BACK + 2]);
        }
        const here = flow[t];
        norm.textContent = here?.arriving > 0 ? here.label : "";
        if (!here) return;
        if (here.above > 0) {
          const top = Y.scores + 13;
          backward.arrow([[DOWN, top], [DOWN, Y.cell - CELL / 2]], { kind: "backward", width: width(here.above) });
        }
        const flowing = t ? flow[t - 1].flowing : 0;
        const gap = [[-WIDE / 2, BACK], [-COLUMN + WIDE / 2, BACK]];
        if (flowing > 0) backward.arrow(gap, { kind: "backward", width: width(flowing) });
      });
      this.brackets.element.replaceChildren();
      const middle = (t) => EDGE + t * COLUMN + WIDE / 2;
      for (const { first, last, name } of blocks)
        this.brackets.bracket(middle(first) - WIDE / 2, middle(last) + WIDE / 2, Y.bracket, name);
    }

    /** Shows column `at`, the forward pass of columns < reached and the backward pass of columns ≥ returned. */
    show({ at, reached, returned }) {
      this.columns.forEach(({ element, forward, backward, norm }, t) => {
        forward.classList.toggle("off", t >= reached);
        for (const part of [backward.element, norm]) part.classList.toggle("off", t < returned);
        element.classList.toggle("current", t === at);
        element.setAttribute("aria-selected", String(t === at));
        element.setAttribute("tabindex", t === at ? "0" : "-1");
      });
      const moved = this.at !== at;
      this.at = at;
      if (moved) this.#reveal();
    }

    /** Describes the columns: label(index). */
    label(label) {
      this.columns.forEach(({ element }, index) => element.setAttribute("aria-label", label(index)));
    }

    /** Lays all columns over each other, or side by side again. */
    fold(folded) {
      this.folded = folded;
      this.#place(true);
    }

    #place(moving = false) {
      const middle = this.node.scrollLeft + Math.min(this.node.clientWidth, this.width) / 2;
      const move = (element, x) => element.style.setProperty("transform", `translateX(${x}px)`);
      this.svg.classList.toggle("moving", moving); // a change of the window's width moves nothing slowly
      this.svg.classList.toggle("folded", this.folded);
      this.columns.forEach(({ element }, t) => move(element, this.folded ? middle : EDGE + t * COLUMN + WIDE / 2));
      move(this.loop.element, middle);
      this.#reveal();
    }

    #reveal() {
      if (this.at === null || this.folded) return;
      const { node } = this;
      const [left, right] = [EDGE + this.at * COLUMN - COLUMN, EDGE + (this.at + 2) * COLUMN];
      if (left < node.scrollLeft) node.scrollLeft = left;
      else if (right > node.scrollLeft + node.clientWidth) node.scrollLeft = right - node.clientWidth;
    }

    #key(event, from) {
      if (from === null || event.altKey || event.ctrlKey || event.metaKey) return;
      const last = this.columns.length - 1;
      const steps = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last };
      if (event.key === "Enter" || event.key === " ") this.onpick(from);
      else if (!(event.key in steps)) return;
      event.preventDefault();
      if (event.key in steps) {
        const to = Math.min(last, Math.max(0, steps[event.key]));
        this.columns[to].element.focus({ preventScroll: true });
      }
    }
  };
})();
