"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const EDGE = 8; // px to the edges of the window
  let current = null; // the token that the tooltip describes

  /** Shows the tooltip of a token; there is one tooltip for the whole page. */
  function show(span, ...content) {
    const tip = box();
    tip.replaceChildren(...content);
    tip.hidden = false;
    span.setAttribute("aria-describedby", tip.id);
    current = span;
    place();
  }

  function place() {
    const tip = box();
    const at = current.getClientRects()[0] || current.getBoundingClientRect();
    const { width, height } = tip.getBoundingClientRect();
    const left = Math.min(Math.max(EDGE, at.left + at.width / 2 - width / 2), innerWidth - width - EDGE);
    const below = at.bottom + EDGE;
    const top =
      below + height > innerHeight - EDGE && at.top - height > EDGE ? at.top - height - EDGE : below;
    tip.style.setProperty("left", `${Math.max(EDGE, left)}px`);
    tip.style.setProperty("top", `${top}px`);
  }

  /** Hides the tooltip if it describes this token; without a token, in any case. */
  function hide(span = current) {
    if (span !== current) return;
    box().hidden = true;
    current = null;
    span?.removeAttribute("aria-describedby");
  }

  function box() {
    const found = document.getElementById("tip");
    if (found) return found;
    const tip = elman.make("div", { id: "tip", role: "tooltip", hidden: true });
    document.body.append(tip);
    addEventListener("scroll", () => current && place(), { capture: true, passive: true });
    return tip;
  }

  elman.tip = { show, hide };

  /** The text of a token that the vocabulary lacks; for others, the name of the token. */
  elman.written = (token, text) =>
    token.unknown && token.end > token.start ? elman.slices(text)(token.start, token.end) : token.token;

  /** A token's name for display: whitespace and line ends become visible. */
  elman.readable = (name) => {
    if (name === "\n") return "⏎";
    if (elman.letterOf(name)) return elman.letterOf(name, true);
    if (/^\s+$/.test(name)) return name.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll(" ", "␣");
    return name.replaceAll("\n", "⏎").trim();
  };
})();
