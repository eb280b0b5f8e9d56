"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const EDGE = 8; // px to the window's edges
  let about = null; // the token that the box tells of

  /** A box that tells of a token, beside it; one for the whole page. */
  function show(span, ...content) {
    const tip = box();
    tip.replaceChildren(...content);
    tip.hidden = false;
    span.setAttribute("aria-describedby", tip.id);
    about = span;
    place();
  }

  function place() {
    const tip = box();
    const at = about.getClientRects()[0] || about.getBoundingClientRect();
    const { width, height } = tip.getBoundingClientRect();
    const left = Math.min(Math.max(EDGE, at.left + at.width / 2 - width / 2), innerWidth - width - EDGE);
    const below = at.bottom + EDGE;
    const top =
      below + height > innerHeight - EDGE && at.top - height > EDGE ? at.top - height - EDGE : below;
    tip.style.setProperty("left", `${Math.max(EDGE, left)}px`);
    tip.style.setProperty("top", `${top}px`);
  }

  /** Hides the box, where it tells of this token; with no token, in any case. */
  function hide(span = about) {
    if (span !== about) return;
    box().hidden = true;
    about = null;
    span?.removeAttribute("aria-describedby");
  }

  function box() {
    const found = document.getElementById("tip");
    if (found) return found;
    const tip = elman.make("div", { id: "tip", role: "tooltip", hidden: true });
    document.body.append(tip);
    addEventListener("scroll", () => about && place(), { capture: true, passive: true });
    return tip;
  }

  elman.tip = { show, hide };

  /** What stands in the text for a token that the vocabulary lacks; else the token's name. */
  elman.written = (token, text) =>
    token.unknown && token.end > token.start ? elman.slices(text)(token.start, token.end) : token.token;

  /** A token's name as people read it: blanks and ends of lines are drawn. */
  elman.readable = (name) => {
    if (name === "\n") return "⏎";
    if (/^\s+$/.test(name)) return name.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll(" ", "␣");
    return name.replaceAll("\n", "⏎").trim();
  };
})();
