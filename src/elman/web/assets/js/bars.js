"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const MAX_DECADES = 8; // from the largest value down to the foot of the bars

  /** The range of a logarithmic axis for these values, as powers of ten: [foot, head]. */
  elman.decades = (...all) => {
    const logs = all.flat().filter((value) => value > 0).map(Math.log10);
    if (!logs.length) return [-1, 0];
    const [low, high] = elman.extent(logs);
    const head = Math.ceil(high + 1e-9);
    return [Math.max(head - MAX_DECADES, Math.min(Math.floor(low), head - 1)), head];
  };

  /**
   * Bars over the tokens of a text, on a logarithmic scale. One has the focus (arrow keys, Home, End).
   * draw({values, names, foot, head, label(index)}); onlook(index): on focus and hover; onpick(index): on click and Enter.
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

    draw({ values, names, foot, head, label }) {
      const height = (value) => Math.min(1, Math.max(0.004, (Math.log10(value) - foot) / (head - foot)));
      const part = (value) => (value > 0 ? height(value) : 0);
      this.row.replaceChildren(...values.map((value, index) => {
        const bar = elman.make("span", { class: "time-bar", "aria-hidden": "true" });
        bar.style.setProperty("--part", String(part(value)));
        const name = elman.make("span", { class: "time-bar-name", "aria-hidden": "true" }, names[index]);
        const last = index === values.length - 1;
        return elman.make("span", { class: "time-of", role: "option", "data-index": index, "aria-label": label(index),
          tabindex: last ? 0 : -1, "aria-selected": "false" }, elman.make("span", { class: "time-room" }, bar), name);
      }));
      this.focused = values.length - 1;
      this.#marks(foot, head);
      this.scroller.scrollLeft = this.scroller.scrollWidth;
    }

    #marks(foot, head) {
      const every = head - foot > 5 ? 2 : 1;
      this.node.style.setProperty("--decade", String(every / (head - foot)));
      const marks = [];
      for (let power = head; power >= foot; power -= every) {
        const mark = elman.make("span", {}, "10", elman.make("sup", {}, String(power).replace("-", "−")));
        mark.style.setProperty("--part", String((power - foot) / (head - foot)));
        marks.push(mark);
      }
      this.axis.replaceChildren(...marks);
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
