"use strict";

(() => {
  const { elman } = window;
  const BITS = 1 / Math.LN2;
  const { recording, strings } = JSON.parse(document.getElementById("replay-data").textContent);

  const missing = (key = "replay.missing") => new elman.Failure("refused", elman.app.t(key), 400, "not_recorded");

  /** The numbers (T, H) that are stored as signed bytes. */
  function unpacked({ limit, bytes }, hidden) {
    const raw = Uint8Array.from(atob(bytes), (each) => each.charCodeAt(0));
    const levels = new Int8Array(raw.buffer);
    return Array.from({ length: levels.length / hidden }, (_, t) =>
      Array.from(levels.subarray(t * hidden, (t + 1) * hidden), (level) => (level * limit) / 127));
  }

  function asToken([token, id, start, end, bits, rank, unknown], place, names, top) {
    const candidates = candidatesOf(place, names).slice(0, top);
    return {
      token, id, start, end, surprisal_bits: bits, rank, unknown: Boolean(unknown), entropy_bits: place.entropy,
      top: candidates,
    };
  }

  function candidatesOf({ top }, names) {
    return Array.from({ length: top.length / 2 }, (_, k) => {
      const [id, ln] = [top[2 * k], top[2 * k + 1]];
      return { token: names[id], id, ln_prob: ln, probability: Math.exp(ln) };
    });
  }

  /** Answers from the recording in this page. `model()` returns the name of the current model. */
  elman.ReplaySource = class {
    constructor(model) {
      this.model = model;
    }

    #of(name = this.model()) {
      const found = recording.models.find(({ about }) => about.id === name);
      if (!found) throw missing();
      return found;
    }

    #text(text, model) {
      const { texts, compared } = this.#of(model);
      const found = [...texts, ...compared].find((each) => each.text === text);
      if (!found) throw missing();
      return found;
    }

    async models() {
      return recording.models.map(({ about }) => about);
    }

    async score(text, top = 0) {
      const { about, names } = this.#of();
      const nothing = { text, tokens: [], perplexity: null, token_count: 0, unit: about.unit, model: about.id };
      if (text === "") return nothing;
      const found = this.#text(text);
      const tokens = found.tokens.map((token, k) => asToken(token, found.places[k], names, top));
      const bits = tokens.reduce((sum, token) => sum + (token.surprisal_bits ?? Infinity), 0);
      const perplexity = Number.isFinite(bits) ? 2 ** (bits / tokens.length) : null;
      const sums = { perplexity, ln_prob: -bits / BITS, token_count: tokens.length };
      return { text, tokens, ...sums, unit: about.unit, model: about.id };
    }

    /** The candidates after a text, which must be the beginning of a recorded text. */
    async next(text, { temperature = 1, top_k: topK = 0, top_p: topP = 1, top = 10 } = {}) {
      const { about, texts, compared, names } = this.#of();
      const place = [...texts, ...compared].map((each) => placeIn(each, text)).find(Boolean);
      if (!place) throw missing();
      const candidates = candidatesOf(place, names);
      const lnProbs = candidates.map((each) => each.ln_prob);
      const mass = Math.max(0, 1 - candidates.reduce((sum, { probability }) => sum + probability, 0));
      const rest = { mass, count: place.possible - candidates.length };
      const { probabilities } = elman.reshape(lnProbs, { temperature, topK, topP }, rest);
      const shaped = candidates.map((each, k) => ({ ...each, probability: probabilities[k] }));
      return { model: about.id, unit: about.unit, entropy_bits: place.entropy, possible: place.possible,
        candidates: shaped.filter(({ probability }) => probability > 0).slice(0, top) };
    }

    async generate() {
      throw missing("replay.recorded");
    }

    async rescore(candidates) {
      const { about, compared } = this.#of();
      const whole = (text) => compared.find((each) => each.text === text)?.whole ?? null;
      const found = candidates.map((text, index) => ({ index, text, ln_prob: whole(text) }));
      found.sort((a, b) => (b.ln_prob ?? -Infinity) - (a.ln_prob ?? -Infinity));
      return { model: about.id, unit: about.unit, candidates: found };
    }

    async inside({ text, layer, what = "h", model }) {
      const { about } = this.#of(model);
      const found = this.#inside(text, model);
      const top = about.layers - 1;
      const has = (each, name) => `${each}.${name}` in found.traces;
      const shown = has(layer ?? top, "h") ? layer ?? top : top;
      const name = has(shown, what) ? what : "h";
      const tokens = found.tokens.map(([token, , start, end]) => ({ token, start, end }));
      return { model: about.id, cell: about.cell, layer: shown, what: name, layers: about.layers, hidden: about.hidden,
        choices: Object.keys(found.traces).filter((each) => each.startsWith(`${shown}.`))
          .map((each) => each.slice(`${shown}.`.length)), tokens,
        values: unpacked(found.traces[`${shown}.${name}`], about.hidden) };
    }

    #inside(text, model) {
      const { about } = this.#of(model);
      if (!about.cell) throw new elman.Failure("refused", elman.app.t("inside.none"), 400, "no_hidden_units");
      const found = this.#text(text, model);
      if (!found.traces) throw missing();
      return found;
    }

    async units(fields) {
      const { values, layer, what, model, cell } = await this.inside(fields);
      const found = this.#inside(fields.text, fields.model);
      const { span = null, top = 10 } = fields;
      const property = fields.property ?? (span ? null : found.followed[`${layer}.${what}`]);
      if (!property && !span) throw missing("inside.constant");
      const overlaps = ([, , start, end]) => Number(start < span[1] && end > span[0]);
      const given = span ? found.tokens.map(overlaps) : found.properties[property];
      if (given.every((value) => value === given[0])) throw missing("inside.constant");
      return { model, cell, layer, what, property, span, units: elman.ranked(elman.correlations(values, given), top) };
    }

    async throughTime({ text, index, model }) {
      const { about } = this.#of(model);
      const found = this.#inside(text, model);
      const norms = found.gradients[index];
      if (!norms) throw missing();
      const named = ([token, , start, end]) => ({ token, start, end });
      const begin = found.begins ? [{ token: "\n", start: 0, end: 0 }] : [];
      const [token, , , , bits] = found.tokens[index];
      const inputs = [...begin, ...found.tokens.slice(0, index).map(named)];
      return { model: about.id, index, token, surprisal_bits: bits, inputs, norms };
    }

    async influence({ text, index, model }) {
      const { about } = this.#of(model);
      const found = this.#text(text, model);
      const bits = found.influence?.bits[index];
      if (!bits) throw missing();
      const [token, , , , surprisal] = found.tokens[index];
      const inputs = found.tokens.slice(0, index).map(([name, , start, end]) => ({ token: name, start, end }));
      return { model: about.id, index, token, surprisal_bits: surprisal, inputs, bits,
        replacements: found.influence.replacements.slice(0, index) };
    }

    async examples() {
      return { opening: recording.opening, pairs: [] };
    }

    async unroll(text) {
      return { model: this.#of().about.id, ...this.#inside(text).unrolled };
    }

    async runs() {
      return recording.runs.filter(({ lines }) => lines.length).map(({ name }) => name);
    }

    async metrics(run, after = 0) {
      const { lines } = recording.runs.find(({ name }) => name === run);
      return { run, lines: lines.slice(after), next: lines.length };
    }

    async compared() {
      return recording.pair;
    }

    async health() {
      return { status: "ok" };
    }
  };

  /** The candidates after a text, or null if it is not the beginning of a recorded text. */
  function placeIn(found, text) {
    if (found.text === text) return found.places[found.places.length - 1];
    if (!found.text.startsWith(text)) return null;
    const length = Array.from(text).length;
    const k = found.tokens.findIndex(([, , start]) => start === length);
    return k < 0 ? null : found.places[k];
  }

  /** Adds a list of the recorded texts, in the place where text is typed on a server. */
  function offerTexts() {
    const { store } = elman.app;
    const options = recording.texts.map((text, k) => elman.make("option", { value: k }, shortened(text)));
    const choice = elman.make("select", { id: "replay-text" }, ...options);
    choice.addEventListener("change", () => {
      for (const key of ["cursor", "span"]) store.set(key, null);
      store.set("text", recording.texts[Number(choice.value)]);
    });
    const label = elman.make("label", { for: "replay-text", "data-t": "replay.text" });
    const line = elman.make("div", { class: "controls replay-choice" }, label, choice);
    document.querySelector("#panel-write .about").after(line);
    elman.app.words.fill(line);
    store.set("text", recording.texts[0]);
    if (recording.opening?.text === recording.texts[0]) store.set("cursor", recording.opening.position);
  }

  const shortened = (text) => {
    const line = text.replaceAll(/\s+/g, " ").trim();
    return line.length > 60 ? `${line.slice(0, 59)}…` : line;
  };

  for (const language of Object.keys(strings)) {
    strings[language]["page.offline"] = strings[language]["replay.recorded"];
    strings[language]["train.none"] = strings[language]["replay.nocurve"];
  }
  const source = new elman.ReplaySource(() => elman.app.store.get("model") ?? undefined);
  elman.start(source, { recorded: true, strings }).then(offerTexts);
})();
