"use strict";

(() => {
  const { elman } = window;
  const { make } = elman;
  const PAUSE = 250;
  const MAX_TOKENS = 200; // of a sentence, shown side by side
  const EXAMPLES = [
    ["you say goodbye", "you say good die"],
    ["the keys to the cabinet are on the table", "the keys to the cabinet is on the table"],
    ["she said that she would come", "she said that would she come"],
  ];

  elman.app.addPanel("compare", (root, app) => {
    const { store } = app;
    const parts = build(root, app);
    let request = null;
    let timer = null;
    let found = null;

    async function compare() {
      request?.abort();
      const texts = parts.inputs.map((input) => input.value.trim());
      if (!store.get("model") || texts.some((text) => !text)) return clear();
      request = new AbortController();
      const { signal } = request;
      try {
        const [one, other] = [
          await app.source.score(texts[0], 0, signal),
          await app.source.score(texts[1], 0, signal),
        ];
        const { candidates } = await app.source.rescore(texts, signal);
        if (signal.aborted) return;
        const whole = texts.map((_, k) => bits(candidates.find(({ index }) => index === k).ln_prob));
        found = { texts, sides: [one, other].map((side, k) => withNames(side, texts[k])), whole };
        draw();
      } catch (error) {
        if (!signal.aborted) app.report(error);
      }
    }

    function clear() {
      found = null;
      parts.verdict.textContent = app.t("compare.empty");
      parts.pairs.replaceChildren();
      parts.parting.textContent = "";
    }

    function draw() {
      if (!found) return;
      const tokens = found.sides.map((side, k) => withEnd(side.tokens.slice(0, MAX_TOKENS), found.whole[k]));
      const rows = elman.align(tokens[0].map(nameOf), tokens[1].map(nameOf));
      parts.verdict.replaceChildren(...verdict());
      parts.pairs.replaceChildren(...rows.map(([i, j]) => pair(tokens[0][i], tokens[1][j])));
      parts.parting.textContent = parting(rows, tokens);
    }

    /** The tokens and, if the probability of the sentence includes it, the end of the line. */
    function withEnd(tokens, whole) {
      const sum = tokens.reduce((all, token) => all + (token.surprisal_bits ?? Infinity), 0);
      const rest = whole - sum;
      const ended = tokens.length < MAX_TOKENS && Number.isFinite(rest) && rest > 0.0005;
      return ended ? [...tokens, { token: "\n", surprisal_bits: rest, last: true }] : tokens;
    }

    function verdict() {
      const [one, other] = found.whole;
      const better = one === other ? null : one < other ? 0 : 1;
      if (better === null) return [app.t("compare.equal")];
      const difference = Math.abs(one - other);
      const key = Number.isFinite(difference) ? "compare.verdict" : "compare.verdict.impossible";
      const values = { bits: app.words.number(difference, 1), times: times(app, difference) };
      const unknown = found.sides.some(({ tokens }) => tokens.some((token) => token.unknown));
      const warning = unknown ? [" ", make("span", { class: "quiet" }, app.t("compare.unknown"))] : [];
      return [make("b", {}, `“${found.texts[better]}”`), " ", app.t(key, values), ...warning];
    }

    function parting(rows, tokens) {
      const at = rows.findIndex(
        ([i, j]) => i === null || j === null || nameOf(tokens[0][i]) !== nameOf(tokens[1][j]),
      );
      if (at < 0) return app.t("compare.same");
      const before = rows
        .slice(0, at)
        .map(([i]) => tokens[0][i].token)
        .join("")
        .trim();
      const here = [0, 1].map((k) =>
        rows
          .slice(at)
          .map((row) => tokens[k][row[k]])
          .find(Boolean),
      );
      const values = { before, a: here[0] ? nameOf(here[0]) : "∅", b: here[1] ? nameOf(here[1]) : "∅" };
      return app.t(before ? "compare.parting" : "compare.parting.first", values);
    }

    function pair(a, b) {
      const gap = (a?.surprisal_bits ?? Infinity) - (b?.surprisal_bits ?? Infinity);
      const both = a && b && Number.isFinite(gap);
      const difference = both ? signed(app, -gap) : "";
      const cell = make("li", { class: both && nameOf(a) === nameOf(b) ? "pair" : "pair apart" });
      cell.append(half(a), half(b), make("span", { class: "pair-difference" }, difference || "\u00a0"));
      return cell;
    }

    function half(token) {
      if (!token)
        return make(
          "span",
          { class: "half none" },
          make("span", { class: "token" }, "–"),
          make("span", { class: "bits" }, "\u00a0"),
        );
      const name = make(
        "span",
        { class: token.unknown ? "token unknown" : "token" },
        token.last ? app.t("compare.end") : nameOf(token),
      );
      elman.tokens.paint(name, elman.colour.surprisal(token.surprisal_bits));
      return make(
        "span",
        { class: "half" },
        name,
        make("span", { class: "bits" }, app.words.number(token.surprisal_bits, 1)),
      );
    }

    const schedule = () => {
      clearTimeout(timer);
      timer = setTimeout(compare, PAUSE);
    };
    parts.inputs.forEach((input) => input.addEventListener("input", schedule));
    parts.swap.addEventListener("click", () => {
      const [one, other] = parts.inputs.map((input) => input.value);
      parts.inputs[0].value = other;
      parts.inputs[1].value = one;
      compare();
    });
    parts.examples.addEventListener("click", (event) => {
      const chosen = EXAMPLES[event.target.closest("button")?.value];
      if (!chosen) return;
      parts.inputs.forEach((input, k) => (input.value = chosen[k]));
      compare();
    });
    store.on("model", schedule);
    store.on("connected", (connected) => connected && schedule());
    store.on("scheme", draw);
    store.on("language", () => {
      app.words.fill(root);
      elman.colour.legend(parts.legend);
      draw();
    });
    if (app.recorded)
      app.source.compared?.().then((texts) => parts.inputs.forEach((input, k) => (input.value = texts[k])));
  });

  const bits = (ln) => (ln === null ? Infinity : -ln / Math.LN2);
  const nameOf = (token) => elman.readable(token.name ?? token.token);
  const withNames = (side, text) => ({
    ...side,
    tokens: side.tokens.map((token) => ({ ...token, name: elman.written(token, text) })),
  });

  function signed(app, value) {
    if (!(Math.abs(value) > 0.05)) return "="; // also for two impossible tokens, whose difference is NaN
    return (value > 0 ? "+" : "") + app.words.number(value, 1);
  }

  function times(app, difference) {
    return difference < 40
      ? app.words.number(2 ** difference, difference < 3.3 ? 1 : 0)
      : `2^${app.words.number(difference)}`;
  }

  /**
   * Aligns two lists so that as many equal elements as possible are paired; other elements are paired in order.
   * Returns pairs of indices; null where a list has no element.
   */
  elman.align = (one, other) => {
    const best = Array.from({ length: one.length + 1 }, () => new Uint16Array(other.length + 1));
    for (let i = one.length - 1; i >= 0; i -= 1) {
      for (let j = other.length - 1; j >= 0; j -= 1) {
        best[i][j] = one[i] === other[j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
      }
    }
    const rows = [];
    let [left, right] = [[], []];
    const flush = () => {
      for (let k = 0; k < Math.max(left.length, right.length); k += 1)
        rows.push([left[k] ?? null, right[k] ?? null]);
      [left, right] = [[], []];
    };
    let [i, j] = [0, 0];
    while (i < one.length || j < other.length) {
      if (i < one.length && j < other.length && one[i] === other[j]) {
        flush();
        rows.push([i++, j++]);
      } else if (j === other.length || (i < one.length && best[i + 1][j] >= best[i][j + 1])) left.push(i++);
      else right.push(j++);
    }
    flush();
    return rows;
  };

  function build(root, app) {
    const input = (k) =>
      make("input", {
        id: `compare-${"ab"[k]}`,
        type: "text",
        maxlength: 400,
        spellcheck: "false",
        autocapitalize: "off",
        value: EXAMPLES[0][k],
        readonly: app.recorded,
      });
    const inputs = [input(0), input(1)];
    const field = (k) =>
      make("label", { class: "field wide" }, make("span", { "data-t": `compare.${"ab"[k]}` }), inputs[k]);
    const swap = make("button", { type: "button", id: "compare-swap", "data-t": "compare.swap" });
    const examples = make(
      "div",
      { id: "compare-examples", class: "controls" },
      make("span", { class: "quiet", "data-t": "compare.examples" }),
      ...EXAMPLES.map((_, k) =>
        make("button", { type: "button", value: k, "data-t": `compare.example.${k + 1}` }),
      ),
      swap,
    );
    const verdict = make("p", { id: "compare-verdict", class: "verdict", role: "status" });
    const parting = make("p", { id: "compare-parting" });
    const pairs = make("ol", { id: "compare-pairs", class: "pairs", "data-t-label": "compare.pairs" });
    const legend = make("div", { id: "compare-legend" });
    examples.hidden = app.recorded;
    root.append(
      make("div", { class: "compare-inputs" }, field(0), field(1)),
      examples,
      verdict,
      parting,
      pairs,
      make("div", { class: "key-row" }, legend, make("p", { class: "quiet", "data-t": "compare.reading" })),
    );
    return { inputs, swap, examples, verdict, parting, pairs, legend };
  }
})();
