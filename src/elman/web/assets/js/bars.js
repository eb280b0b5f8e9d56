"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const MAX_DECADES = 8; // from the largest value down to the foot of the bars
  const MARKS = 5; // of a linear axis, at most
  const LONG = 2; // letters; longer names are written upwards

  const style = (node, name, value) => node.style.setProperty(name, String(value));

  /** A logarithmic axis for these values: the height of a bar, the marks beside it, and the distance of its lines. */
  elman.logAxis = (...all) => {
    const logs = all.flat().filter((value) => value > 0).map(Math.log10);
    const [low, high] = logs.length ? elman.extent(logs) : [-1, -1];
    const head = Math.ceil(high + 1e-9);
    const foot = Math.max(head - MAX_DECADES, Math.min(Math.floor(low), head - 1));
    const every = head - foot > 5 ? 2 : 1;
    const part = (power) => (power - foot) / (head - foot);
    const marks = [];
    for (let power = head; power >= foot; power -= every)
      marks.push({ part: part(power), text: "10", raised: String(power).replace("-", "−") });
    const height = (value) => (value > 0 ? Math.min(1, Math.max(0.004, part(Math.log10(value)))) : 0);
    return { height, marks, every: every / (head - foot) };
  };

  /** A linear axis from 0 for these values, at least up to `least`; a value of null is infinite. */
  elman.linearAxis = (least, ...all) => {
    const most = Math.max(least, ...all.flat().filter((value) => value !== null));
    const power = 10 ** Math.floor(Math.log10(most / MARKS));
    const step = [1, 2, 5, 10].map((each) => each * power).find((each) => most / each <= MARKS);
    const count = Math.ceil(most / step - 1e-9);
    const text = (k) => elman.app.words.number(k * step, step < 1 ? 1 : 0);
    const marks = Array.from({ length: count + 1 }, (_, k) => ({ part: k / count, text: text(k) }));
    return { height: (value) => (value === null ? 1 : value / (count * step)), marks, every: 1 / count };
  };

  /** The labels of an axis's marks, at their heights. */
  elman.axisMarks = ({ marks }) => marks.map(({ part, text, raised }) => {
    const mark = elman.make("span", {}, text, raised ? elman.make("sup", {}, raised) : "");
    style(mark, "--part", part);
    return mark;
  });

  /**
   * Bars over the tokens of a text. One has the focus (arrow keys, Home, End).
   * draw({values, names, axis, label(index), deciding}): deciding is the index of the bar to emphasise and keep in view.
   * onlook(index): on focus and hover; onpick(index): on click and Enter.
   */
  elman.Bars = class {
    constructor(node, { id, onlook, onpick }) {
      this.node = node;
      this.axis = elman.make("div", { class: "time-axis", "aria-hidden": "true" });
      this.row = elman.make("div", { class: "time-row", role: "listbox", "aria-orientation": "horizontal", id });
      this.scroller = elman.make("div", { class: "time-scroll" }, this.row);
      node.classList.add("time-bars");
      node.append(this.axis, this.scroller);
      const indexOf = (event) => {
        const bar = event.target.closest("[data-index]");
        return bar ? Number(bar.dataset.index) : null;
      };
      const look = (event) => indexOf(event) !== null && onlook(indexOf(event));
      this.row.addEventListener("focusin", look);
      this.row.addEventListener("pointerover", look);
      this.row.addEventListener("click", (event) => indexOf(event) !== null && onpick(indexOf(event)));
      this.row.addEventListener("keydown", (event) => this.#key(event, indexOf(event), onpick));
    }

    draw({ values, names, axis, label, deciding = null }) {
      this.row.classList.toggle("upright", names.some((name) => Array.from(name).length > LONG));
      this.row.replaceChildren(...values.map((value, index) => {
        const bar = elman.make("span", { class: "time-bar", "aria-hidden": "true" });
        style(bar, "--part", axis.height(value));
        const name = elman.make("span", { class: "time-bar-name", "aria-hidden": "true" }, names[index]);
        const last = index === values.length - 1;
        return elman.make("span", { class: index === deciding ? "time-of deciding" : "time-of", role: "option",
          "data-index": index, "aria-label": label(index), tabindex: last ? 0 : -1, "aria-selected": "false" },
        elman.make("span", { class: "time-room" }, bar), name);
      }));
      this.focused = values.length - 1;
      style(this.node, "--every", axis.every);
      this.axis.replaceChildren(...elman.axisMarks(axis));
      this.#bringIntoView(deciding);
    }

    /** Scrolls to the end of the text, or no further than to the deciding bar. */
    #bringIntoView(deciding) {
      const { scroller } = this;
      const bar = this.row.children[deciding];
      const end = scroller.scrollWidth - scroller.clientWidth;
      scroller.scrollLeft = bar ? Math.min(end, Math.max(0, bar.offsetLeft - this.row.offsetLeft)) : end;
    }

    #key(event, from, onpick) {
      const last = this.row.children.length - 1;
      const steps = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last };
      if (from === null || event.altKey || event.ctrlKey || event.metaKey) return;
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        onpick(from);
      }
      if (!(event.key in steps)) return;
      event.preventDefault();
      this.row.children[this.focused]?.setAttribute("tabindex", "-1");
      this.focused = Math.min(last, Math.max(0, steps[event.key]));
      this.row.children[this.focused].setAttribute("tabindex", "0");
      this.row.children[this.focused].focus();
    }
  };
})();
