"use strict";

(() => {
  const { elman } = window;
  const { make } = elman;
  const PAUSE = 250;
  const MAX_BEFORE = 40; // characters before the place where the sentences differ
  const MAX_TOKENS = 200; // of a sentence, shown side by side

  elman.app.addPanel("compare", (root, app) => {
    const { store } = app;
    const parts = build(root, app);
    const busy = elman.busy(root);
    let request = null;
    let timer = null;
    let found = null;
    let pairs = []; // the examples of the model
    let untouched = true; // the sentences are those of an example

    async function compare() {
      clearTimeout(timer);
      request?.abort();
      const { signal } = (request = new AbortController());
      busy(true);
      try {
        const texts = parts.inputs.map((input) => input.value.trim());
        if (!store.get("model") || texts.some((text) => !text)) return clear();
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
      } finally {
        if (!signal.aborted) busy(false);
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
      if (one === Infinity && other === Infinity) return [app.t("compare.impossible")];
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
      const first = tokens[0][rows.slice(at).find(([i]) => i !== null)?.[0]];
      const { texts } = found;
      const whole = elman.slices(texts[0])(0, !first || first.last ? undefined : first.start).trim();
      const before = whole.length > MAX_BEFORE ? `…${whole.slice(-MAX_BEFORE)}` : whole;
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

    /** Offers the examples of the model, and shows the first one as long as nobody has written sentences. */
    async function offer(model) {
      if (!model || app.recorded) return;
      const answer = await elman.examplesOf(app, model);
      if (model !== store.get("model")) return;
      pairs = answer.pairs;
      parts.offer(pairs);
      app.words.fill(parts.examples);
      if (untouched) use(pairs[0]);
    }

    function use(pair) {
      parts.inputs.forEach((input, k) => {
        input.value = pair?.texts[k] ?? "";
        input.scrollLeft = input.scrollWidth; // most examples differ at the end
      });
      compare();
    }

    const schedule = () => {
      clearTimeout(timer);
      request?.abort();
      busy(true);
      timer = setTimeout(compare, PAUSE);
    };
    for (const input of parts.inputs) {
      input.addEventListener("input", () => {
        untouched = false;
        schedule();
      });
    }
    parts.swap.addEventListener("click", () => {
      const [one, other] = parts.inputs.map((input) => input.value);
      parts.inputs[0].value = other;
      parts.inputs[1].value = one;
      compare();
    });
    parts.examples.addEventListener("click", (event) => {
      const pair = pairs[event.target.closest("[data-pair]")?.dataset.pair];
      if (!pair) return;
      untouched = true;
      use(pair);
    });
    store.on("model", (model) => {
      schedule();
      offer(model);
    });
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

  function build(root, app) {
    const input = (k) =>
      make("input", {
        id: `compare-${"ab"[k]}`,
        type: "text",
        maxlength: 400,
        spellcheck: "false",
        autocapitalize: "off",
        readonly: app.recorded,
      });
    const inputs = [input(0), input(1)];
    const field = (k) =>
      make("label", { class: "field wide" }, make("span", { "data-t": `compare.${"ab"[k]}` }), inputs[k]);
    const swap = make("button", { type: "button", id: "compare-swap", "data-t": "compare.swap" });
    const offered = make("span", { class: "controls" });
    const examples = make(
      "div",
      { id: "compare-examples", class: "controls" },
      make("span", { class: "quiet", "data-t": "compare.examples" }),
      offered,
      swap,
    );
    const offer = (pairs) =>
      offered.replaceChildren(
        ...pairs.map(({ kind }, k) =>
          make("button", { type: "button", "data-pair": k, "data-t": `compare.example.${kind}` }),
        ),
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
    return { inputs, swap, examples, offer, verdict, parting, pairs, legend };
  }
})();
