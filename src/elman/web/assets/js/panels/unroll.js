"use strict";

(() => {
  const { elman } = window;
  const TIME = 10; // steps after which the gradient is cut at first

  function build(root) {
    const { make } = elman;
    const button = (id) => make("button", { type: "button", id: `unroll-${id}`, "data-t": `unroll.${id}` });
    const toggle = (id, attributes = {}) =>
      make("button", { type: "button", id: `unroll-${id}`, "aria-pressed": "false", ...attributes });
    const field = (id, ...options) => make("span", { class: "field", id: `unroll-${id}-field` },
      make("label", { for: `unroll-${id}`, "data-t": `unroll.${id}` }),
      make("select", { id: `unroll-${id}` }, ...options));
    const loss = (value) => make("option", { value, "data-t": `unroll.loss.${value}` });
    root.append(
      make("p", { id: "unroll-none", class: "hint", hidden: true }),
      make("div", { id: "unroll-body", hidden: true },
        make("div", { class: "controls" }, button("start"), button("back"),
          make("button", { type: "button", id: "unroll-play", class: "primary" }), button("step"),
          toggle("fold", { "data-t": "unroll.fold" }), toggle("wx"), toggle("wh")),
        make("div", { class: "controls unroll-settings" },
          make("div", { class: "slider" }, make("label", { for: "unroll-time", "data-t": "unroll.time" }),
            make("output", { id: "unroll-time-told", for: "unroll-time" }),
            make("input", { type: "range", id: "unroll-time", min: 1, value: TIME })),
          field("loss", loss("all"), loss("last")), field("layer")),
        make("div", { class: "unroll-picture" },
          make("div", { id: "unroll-rows" }), make("div", { id: "unroll-columns" })),
        make("p", { id: "unroll-more", class: "quiet" }),
        make("ul", { class: "unroll-key" }, ...["forward", "backward", "cut"].map((name) =>
          make("li", { class: `key-${name}`, "data-t": `unroll.key.${name}` }))),
        make("p", { id: "unroll-result" }),
        elman.buildStep()));
  }

  class Unroll {
    constructor(root, app) {
      Object.assign(this, { app, data: null, none: null, layer: 0, at: 0 });
      build(root);
      this.$ = (id) => root.querySelector(`#unroll-${id}`);
      this.columns = new elman.UnrolledColumns(this.$("columns"), {
        onlook: (index) => this.look(index), onpick: (index) => this.pick(index) });
      this.step = new elman.UnrolledStep(root, app);
      const [start, back, play, step] = ["start", "back", "play", "step"].map(this.$);
      const onmove = (position) => this.move(position);
      this.playback = new elman.Playback({ start, back, play, step }, { app, onmove });
      this.load = elman.loader(root, app, (signal) => this.ask(signal), (found, error) => this.show(found, error));
      this.listen();
    }

    listen() {
      const { store } = this.app;
      const on = (id, event, call) => this.$(id).addEventListener(event, call);
      on("time", "input", () => this.flow());
      on("loss", "change", () => this.flow());
      on("layer", "change", () => {
        this.layer = Number(this.$("layer").value);
        this.draw();
      });
      const toggled = (id) => {
        const pressed = this.$(id).getAttribute("aria-pressed") !== "true";
        this.$(id).setAttribute("aria-pressed", String(pressed));
        return pressed;
      };
      on("fold", "click", () => this.columns.fold(toggled("fold")));
      for (const name of ["wx", "wh"]) {
        on(name, "click", () => this.$("columns").classList.toggle(`marks-${name}`, toggled(name)));
      }
      for (const key of ["model", "scored"]) store.on(key, () => this.load());
      for (const key of ["language", "scheme"]) store.on(key, () => this.draw());
      store.on("cursor", (cursor) => this.data && cursor !== null && this.look(cursor + this.offset));
    }

    async ask(signal) {
      const { store, source } = this.app;
      const scored = store.get("scored");
      const about = (store.get("models") || []).find(({ id }) => id === store.get("model"));
      if (about && "cell" in about && !about.cell) return { none: ["inside.none"] };
      if (!scored) return store.get("text") ? null : { none: ["unroll.empty"] };
      if (scored.model !== store.get("model")) return null; // the tokens are those of the previous model
      if (!scored.tokens.length) return { none: ["unroll.empty"] };
      if (scored.tokens.some(({ id }) => id < 0)) return { none: ["next.unknown"] };
      return { ...await source.unroll(scored.text, signal), text: scored.text, count: scored.tokens.length };
    }

    show(found, error) {
      const refused = ["inside.refused", { message: error?.message }];
      if (error) found = { none: error.code === "no_hidden_units" ? ["inside.none"] : refused };
      if (!found) return;
      this.none = found.none ?? null;
      this.data = this.none ? null : found;
      if (this.none) {
        this.playback.pause();
        return this.draw();
      }
      const { steps, layers, count } = found;
      this.losses = steps.length - 1; // the last step has no next token
      this.offset = steps.length - count; // from the index of a token to its column
      this.layer = layers - 1;
      this.at = 0;
      const kept = Number(this.$("time").value);
      this.$("time").max = Math.max(1, this.losses);
      this.$("time").value = Math.min(kept, Math.max(1, this.losses));
      this.names = this.namesOf();
      this.draw();
      this.playback.reset([steps.length, steps.length + this.losses].slice(0, this.losses ? 2 : 1));
      this.look((this.app.store.get("cursor") ?? count - 1) + this.offset);
    }

    namesOf() {
      const slice = elman.slices(this.data.text);
      return this.data.steps.map((token) =>
        (token.start === token.end ? elman.readable(token.token) : elman.nameOf(token, slice)));
    }

    draw() {
      const { app: { t, words }, data, none, layer } = this;
      this.$("none").hidden = !none;
      this.$("none").textContent = none ? t(...none) : "";
      this.$("body").hidden = !data;
      this.playback.label();
      if (!data) return;
      this.$("layer").replaceChildren(...data.inside.map((_, k) =>
        elman.make("option", { value: k, selected: k === layer }, words.number(k + 1))));
      this.$("layer-field").hidden = data.layers < 2;
      this.step.units(Math.min(...Object.values(data.inside[layer]).map((steps) => steps[0].length)));
      const row = (name) => t(`unroll.row.${name}`);
      const rows = { top: row("top"), scores: row("scores"), cell: row("cell"), word: row("word") };
      elman.drawRowNames(this.$("rows"), rows);
      this.drawColumns();
      const shown = { shown: words.number(data.steps.length), all: words.number(data.first + data.steps.length) };
      this.$("more").hidden = !data.first;
      this.$("more").textContent = t("unroll.more", shown);
      for (const name of ["Wx", "Wh"]) {
        const shape = data.weights[layer][name];
        const button = this.$(name.toLowerCase());
        button.hidden = !shape;
        button.textContent = shape ? t("unroll.weights", { name, shape: `(${shape.join(", ")})` }) : "";
      }
      this.flow();
    }

    drawColumns() {
      const { app: { t, words }, data, layer } = this;
      const inputs = layer ? data.inside[layer - 1].h : data.x;
      const named = (k) => elman.cellName(data.cell) + (data.layers > 1 ? ` ${k + 1}` : "");
      const tiny = `<${words.number(0.1, 1)}%`;
      const percent = (p) => (p > 0 && p < 0.001 ? tiny : `${words.number(100 * p, p < 0.0995 ? 1 : 0)}%`);
      const candidate = (step) => ({ id, token, probability }) => ({ name: elman.readable(token), probability,
        percent: percent(probability), right: id === step.next?.id });
      this.columns.draw({
        name: t("unroll.columns"), cell: named(layer),
        above: layer === data.layers - 1 ? "Affine" : `${named(layer + 1)} …`,
        below: layer ? named(layer - 1) : data.wordvec ? "Embedding" : "one-hot",
        states: data.carried[layer].map(elman.stateName),
        input: data.weights[layer].Wx ? "Wx" : "",
        factor: data.weights[layer].Wh ? "Wh" : elman.keptBy(data.cell),
        limit: Math.max(...inputs.flat().map(Math.abs), 1e-9),
        largest: Math.max(...data.inside[layer].h.flat().map(Math.abs), 1),
        columns: data.steps.map((step, k) => ({ word: this.names[k], x: inputs[k], h: data.inside[layer].h[k],
          top: step.top.map(candidate(step)) })),
      });
    }

    /** Draws the gradients for the current T: within each block, from its last step back to its first. */
    flow() {
      if (!this.data) return;
      const { app: { t, words }, data, losses } = this;
      const time = Number(this.$("time").value);
      const last = this.$("loss").value === "last";
      const steps = Array.from({ length: losses }, (_, k) => k);
      const ending = (k) => Math.min((Math.floor(k / time) + 1) * time, losses) - 1;
      const tables = data.gradients[this.layer];
      this.lastBlock = losses ? Math.floor((losses - 1) / time) * time : 0; // its first step
      const norm = (name, k) => (last && k < this.lastBlock ? 0 : tables[name][last ? losses : ending(k)][k]);
      this.gradients = steps.map((k) => {
        const [above, flowing, arriving] = ["above", "flowing", "arriving"].map((name) => norm(name, k));
        return { above, flowing, arriving, label: elman.significant(arriving, 2) };
      });
      const cuts = steps.filter((k) => k && k % time === 0); // the steps before which the gradient is cut
      const number = (k) => words.number(data.first + k + 1);
      const named = (first, last) =>
        t(first === last ? "unroll.block.one" : "unroll.block", { first: number(first), last: number(last) });
      const blocks = steps.filter((k) => k % time === 0)
        .map((first) => ({ first, last: ending(first), name: named(first, ending(first)) }));
      const rows = losses ? (last ? [tables.arriving[losses]] : tables.arriving.slice(0, losses)) : [];
      this.columns.flow({ flow: this.gradients, largest: Math.max(0, ...rows.flat()), cuts, blocks });
      const shown = time >= losses ? t("unroll.time.whole") : words.number(time);
      this.$("time-told").textContent = shown;
      this.$("time").setAttribute("aria-valuetext", shown);
      this.$("result").textContent = this.result(time, cuts.length);
      this.columns.label((k) => this.describe(k));
      this.reach();
    }

    /** A sentence: how often the layer is used, what is carried, and how far the gradient of the last loss reaches. */
    result(time, cuts) {
      const { app: { t, words }, data, losses } = this;
      const carried = words.list(data.carried[this.layer].map((state) =>
        t("unroll.carried", { name: elman.stateName(state), width: words.number(data.widths[this.layer][state]) })));
      const values = { steps: words.number(data.steps.length), carried, all: words.number(losses - 1),
        time: words.number(time), blocks: words.number(cuts + 1), reach: words.number(losses - 1 - this.lastBlock) };
      if (losses < 2) return t("unroll.result.short", values);
      if (cuts) return t("unroll.result.cut", values);
      const norms = data.gradients[this.layer].arriving[losses];
      return t("unroll.result.whole", { ...values, part: words.percent(norms[0] / (norms[losses - 1] || 1)) });
    }

    /** Moves to a position of the two passes: first forward from column to column, then backward from the last loss. */
    move(position) {
      const { length } = this.data.steps;
      this.at = position <= length ? Math.max(0, position - 1) : length + this.losses - position;
      this.reach();
    }

    /** Shows how far the passes have come, and the numbers of the current column. */
    reach() {
      const { data, at, playback: { position } } = this;
      const { length } = data.steps;
      const returned = position <= length ? Infinity : length + this.losses - position;
      this.columns.show({ at, reached: position, returned });
      this.step.show(data, this.layer, at, this.gradients[at], this.names[at]);
    }

    look(index) {
      if (!this.data || index === this.at || !(index in this.data.steps)) return;
      this.at = index;
      this.reach();
    }

    /** Moves the cursor of all panels to the token of a column. */
    pick(index) {
      if (index >= this.offset) this.app.store.set("cursor", index - this.offset);
    }

    describe(k) {
      const { app: { t, words }, data } = this;
      const [best] = data.steps[k].top;
      const said = t("unroll.told", { step: words.number(data.first + k + 1), token: this.names[k],
        next: elman.readable(best.token), probability: words.percent(best.probability) });
      return k < this.losses ? `${said} ${t("unroll.told.back", { norm: this.gradients[k].label })}` : said;
    }
  }

  elman.app.addPanel("unroll", (root, app) => new Unroll(root, app));
})();
