"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const views = new WeakMap();

  /** Returns a function that slices a text by code points, as the server counts. */
  elman.slices = (text) => {
    const points = Array.from(text);
    return (start, end) => points.slice(start, end).join("");
  };

  /** The visible text of a token: its part of the text, or its name if it is a letter or has no part of its own. */
  function shown(token, before, slice) {
    const letter = elman.letterOf(token.token);
    if (letter) return letter;
    const text = slice ? slice(token.start, token.end) : token.token;
    const sameSpan = slice && before && token.start === before.start && token.end > token.start;
    if (sameSpan) return "·";
    if (text === "") return token.token === "\n" ? "⏎" : token.token;
    return text.replaceAll("\n", "⏎\n").replaceAll("\t", "⇥\t");
  }

  class View {
    constructor(container) {
      this.container = container;
      this.items = [];
      this.cursor = null;
      this.focused = 0;
      container.classList.add("tokens");
      container.setAttribute("role", "listbox");
      container.setAttribute("aria-orientation", "horizontal");
      container.addEventListener("keydown", (event) => this.#key(event));
      container.addEventListener("click", (event) => this.#picked(event));
      for (const [name, call] of [
        ["pointerover", "onenter"],
        ["focusin", "onenter"],
        ["pointerout", "onleave"],
        ["focusout", "onleave"],
      ]) {
        container.addEventListener(name, (event) => {
          if (event.pointerType === "touch") return;
          const index = this.#indexOf(event);
          if (index !== null) this.options[call]?.(index, event.target.closest(".token"));
        });
      }
    }

    draw(tokens, options) {
      this.tokens = tokens;
      this.options = options;
      const slice = options.text === undefined ? null : elman.slices(options.text);
      tokens.forEach((token, index) => this.#drawOne(token, index, slice));
      for (const { gap, span } of this.items.splice(tokens.length)) {
        gap.remove();
        span.remove();
      }
      this.setCursor(options.cursor ?? null);
    }

    #drawOne(token, index, slice) {
      const item = this.items[index] || this.#add();
      if (this.options.appended && item.token === token) return;
      item.token = token;
      const before = this.tokens[index - 1];
      const from = before ? before.end : (this.options.from ?? 0);
      const gap = slice && token.start > from ? slice(from, token.start) : "";
      if (item.gap.data !== gap) item.gap.data = gap;
      const text = shown(token, before, slice);
      if (item.span.textContent !== text) item.span.textContent = text;
      const value = this.options.value ? this.options.value(token, index) : null;
      const colour = this.options.colour ? this.options.colour(value) : null;
      paint(item.span, colour);
      item.span.classList.toggle("unknown", Boolean(token.unknown));
      item.span.classList.toggle("marked", Boolean(this.options.marked?.(token, index)));
      const label = this.options.label?.(token, index);
      if (label) item.span.setAttribute("aria-label", label);
      else item.span.removeAttribute("aria-label");
    }

    #add() {
      const index = this.items.length;
      const gap = document.createTextNode("");
      const span = elman.make("span", {
        class: "token",
        role: "option",
        tabindex: "-1",
        "data-index": index,
      });
      this.container.append(gap, span);
      this.items.push({ gap, span });
      return this.items[index];
    }

    setCursor(cursor) {
      this.items[this.cursor]?.span.setAttribute("aria-selected", "false");
      this.cursor = cursor !== null && cursor < this.items.length ? cursor : null;
      this.items[this.cursor]?.span.setAttribute("aria-selected", "true");
      this.#rove(this.cursor ?? Math.min(this.focused, Math.max(0, this.items.length - 1)));
    }

    #rove(index) {
      this.items[this.focused]?.span.setAttribute("tabindex", "-1");
      this.focused = index;
      this.items[index]?.span.setAttribute("tabindex", "0");
    }

    #indexOf(event) {
      const span = event.target.closest?.(".token");
      return span && this.container.contains(span) ? Number(span.dataset.index) : null;
    }

    #picked(event) {
      const index = this.#indexOf(event);
      if (index === null) return;
      this.items[index].span.focus();
      this.pick(index);
    }

    pick(index) {
      this.#rove(index);
      this.options.onpick?.(index);
    }

    #key(event) {
      const from = this.#indexOf(event);
      if (from === null || event.altKey || event.ctrlKey || event.metaKey) return;
      if (event.key === "Escape") {
        this.options.onpick?.(null);
        this.options.onleave?.(from, this.items[from].span);
        return;
      }
      const to = this.#target(event.key, from);
      if (to === null) return;
      event.preventDefault();
      this.items[to].span.focus();
      this.pick(to);
    }

    #target(key, from) {
      const last = this.items.length - 1;
      const steps = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last, Enter: from, " ": from };
      if (key in steps) return Math.min(last, Math.max(0, steps[key]));
      if (key === "ArrowUp") return this.#inLine(from, -1);
      if (key === "ArrowDown") return this.#inLine(from, 1);
      return null;
    }

    /** The horizontally nearest token in the line above or below. */
    #inLine(from, step) {
      const { offsetTop: top, offsetLeft: left } = this.items[from].span;
      let best = from;
      let line = null;
      for (let k = from + step; k >= 0 && k < this.items.length; k += step) {
        const span = this.items[k].span;
        if (span.offsetTop === top) continue;
        line ??= span.offsetTop;
        if (span.offsetTop !== line) break;
        if (
          best === from ||
          Math.abs(span.offsetLeft - left) < Math.abs(this.items[best].span.offsetLeft - left)
        )
          best = k;
      }
      return best;
    }
  }

  function paint(span, colour) {
    if (!colour) {
      span.style.removeProperty("background-color");
      span.style.removeProperty("color");
      return;
    }
    span.style.setProperty("background-color", String(colour));
    if (colour.ink) span.style.setProperty("color", colour.ink);
    else span.style.removeProperty("color");
  }

  /**
   * Shows tokens as coloured text. One token has the focus (arrow keys, Home, End; Escape picks null).
   *
   * options:
   *   text: the text that start and end refer to, by code points; without it, the names of the tokens are shown
   *   value(token, index), colour(value): a CSS colour or {background, ink}
   *   label(token, index), marked(token, index), cursor
   *   appended: tokens that were drawn before have not changed
   *   from: where the gap before the first token begins; default 0
   *   onpick(index or null); onenter(index, span), onleave(index, span): of pointer and focus
   *
   * Returns the view, whose setCursor(index) moves the cursor without drawing everything again.
   */
  function draw(container, tokens, options = {}) {
    if (!views.has(container)) views.set(container, new View(container));
    const view = views.get(container);
    view.draw(tokens, options);
    return view;
  }

  elman.tokens = { draw, paint };
})();
