"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const MIN_BITS = 0.1;
  const MAX_BITS = 20;
  const INKS = [
    [0, 0, 0],
    [255, 255, 255],
  ];
  // from the background of the page, through amber; the lightness alone gives the order
  const SURPRISAL = {
    light: ["#fdfbf6", "#fdecc3", "#fbcb77", "#ec9a3c", "#c4621c", "#8a3a10", "#57200a"],
    dark: ["#1a1b20", "#3a2718", "#6b3a15", "#a65a16", "#d98b2b", "#f3bf63", "#fff0c4"],
  };
  // blue below zero, orange above
  const DIVERGING = {
    light: ["#0b4f8a", "#4a90c4", "#a9cfe8", "#fdfbf6", "#fbcb8f", "#e08a3c", "#a34a08"],
    dark: ["#a8d8ff", "#5aa4dc", "#235a86", "#1a1b20", "#74431a", "#d0812f", "#ffd9a0"],
  };

  const darkness = window.matchMedia("(prefers-color-scheme: dark)");
  const scheme = () => (darkness.matches ? "dark" : "light");
  const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

  function along(stops, place) {
    const at = Math.min(1, Math.max(0, place)) * (stops.length - 1);
    const left = Math.min(stops.length - 2, Math.floor(at));
    const [from, to] = [rgb(stops[left]), rgb(stops[left + 1])];
    return from.map((value, k) => Math.round(value + (to[k] - value) * (at - left)));
  }

  function luminance(colour) {
    const [r, g, b] = colour.map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  function contrast(one, other) {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  }

  /** A background and the ink with the higher contrast; as a string, only the background. */
  function colourOf(background) {
    const ink = contrast(background, INKS[0]) >= contrast(background, INKS[1]) ? INKS[0] : INKS[1];
    const css = (colour) => `rgb(${colour.join(" ")})`;
    return { background: css(background), ink: css(ink), toString: () => css(background) };
  }

  const place = (bits) => Math.log(Math.max(bits, MIN_BITS) / MIN_BITS) / Math.log(MAX_BITS / MIN_BITS);

  /** The colour of a surprisal in bits, on a logarithmic scale from 0.1 to 20; null (impossible) is the last colour. */
  const surprisal = (bits) => colourOf(along(SURPRISAL[scheme()], place(bits ?? MAX_BITS)));

  /** The colour of a value from -limit to limit. */
  const diverging = (value, limit) => colourOf(along(DIVERGING[scheme()], (value / (limit || 1) + 1) / 2));

  /** Fills a node with a colour scale: "surprisal" (bits), or {limit, unit} of a diverging scale. */
  function legend(node, scale = "surprisal") {
    const steps = 25;
    const isSurprisal = scale === "surprisal";
    const limit = isSurprisal ? 1 : scale.limit;
    const number = (value) => elman.app.words.number(value, Number.isInteger(value) ? 0 : 1);
    const marks = isSurprisal ? [0.1, 1, 5, 20] : [-limit, 0, limit];
    const at = (mark) => (isSurprisal ? place(mark) : (mark / limit + 1) / 2);
    const strip = elman.make("span", { class: "legend-strip", "aria-hidden": "true" });
    for (let k = 0; k < steps; k += 1) {
      const part = k / (steps - 1);
      const bits = MIN_BITS * (MAX_BITS / MIN_BITS) ** part;
      const colour = isSurprisal ? surprisal(bits) : diverging((part * 2 - 1) * limit, limit);
      const cell = elman.make("span");
      cell.style.setProperty("background-color", String(colour));
      strip.append(cell);
    }
    const labels = elman.make("span", { class: "legend-labels" });
    for (const mark of marks) {
      const label = elman.make("span", {}, number(mark));
      label.style.setProperty("--at", String(at(mark)));
      labels.append(label);
    }
    const unit = isSurprisal ? elman.app.t("unit.bits") : scale.unit || "";
    node.classList.add("legend");
    node.replaceChildren(
      elman.make("span", { class: "legend-scale" }, strip, labels),
      elman.make("span", {}, unit),
    );
  }

  elman.colour = {
    surprisal,
    diverging,
    legend,
    contrast,
    scheme,
    onScheme: (f) => darkness.addEventListener("change", f),
  };

  /** Makes an element: attributes (class, id, data-t ...) and children, which are nodes or text. */
  elman.make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === true) element.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  };
})();
