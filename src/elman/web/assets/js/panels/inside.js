"use strict";

(() => {
  const { elman } = window;
  const PROPERTIES = ["inside_quotes", "inside_brackets", "line_position", "word_position", "after_name", "capital",
    "digit", "space", "punctuation", "word_start", "word_length", "text_position"];
  const MAX_LISTED = 10; // units
  const ALL = 10000;

  function build(root) {
    const { make } = elman;
    const option = (value, key) => make("option", { value, "data-t": key });
    const labelled = (id, ...options) => [
      make("label", { for: `inside-${id}`, "data-t": `inside.${id}` }),
      make("select", { id: `inside-${id}` }, ...options)];
    const orders = ["index", "found", "alike"].map((name) => option(name, `inside.by.${name}`));
    root.append(
      make("p", { id: "inside-none", class: "hint" }),
      make("div", { id: "inside-body", hidden: true },
        make("div", { class: "controls" },
          ...labelled("layer"), ...labelled("what"),
          ...labelled("order", ...orders)),
        make("p", { id: "inside-keys", class: "quiet", "data-t": "inside.keys" }),
        make("div", { id: "inside-map", class: "heat-map", tabindex: 0, role: "application",
          "data-t-label": "inside.map", "aria-describedby": "inside-keys" }),
        make("div", { class: "inside-under" },
          make("output", { id: "inside-readout" }), make("div", { id: "inside-legend" })),
        make("div", { class: "inside-pair" },
          make("div", { class: "inside-picked" },
            make("h3", { id: "inside-picked-title" }),
            make("p", { class: "quiet", "data-t": "inside.select" }),
            make("div", { id: "inside-text", "data-t-label": "inside.text" }),
            make("div", { id: "inside-curve", "aria-hidden": "true" })),
          make("div", { class: "inside-find" },
            make("h3", { "data-t": "inside.find" }),
            make("div", { class: "controls" },
              make("label", { for: "inside-property", "data-t": "inside.property" }),
              make("select", { id: "inside-property" }, option("", "inside.choose"), option("span", "inside.span"),
                ...PROPERTIES.map((name) => option(name, `inside.property.${name}`)))),
            make("p", { id: "inside-said", role: "status" }),
            make("ol", { id: "inside-found" })))));
  }

  /** The largest absolute value, rounded up to one digit. */
  function limitOf(values) {
    let most = 0;
    for (const row of values) for (const value of row) most = Math.max(most, Math.abs(value));
    const power = 10 ** Math.floor(Math.log10(most || 1));
    return Number((Math.ceil((most || 1) / power - 1e-3) * power).toPrecision(1));
  }

  class Inside {
    constructor(root, app) {
      this.app = app;
      this.root = root;
      this.data = null;
      this.unit = null; // the selected one
      this.row = 0;
      this.found = [];
      build(root);
      this.$ = (id) => root.querySelector(`#inside-${id}`);
      const [title, text, curve] = ["picked-title", "text", "curve"].map(this.$);
      this.view = new elman.UnitView({ title, text, curve }, app);
      this.map = new elman.HeatMap(this.$("map"), {
        onmove: (row, column, keyed) => this.move(row, column, keyed),
        onpick: (row, column) => {
          this.app.store.set("cursor", column);
          this.row = row;
          this.pick(this.order()[row]);
        },
      });
      this.load = elman.loader(root, app, (signal) => this.ask(signal), (answer, error) => this.show(answer, error));
      const showFound = (answer, error) => this.showFound(answer, error);
      this.find = elman.loader(root, app, (signal) => this.askUnits(signal), showFound);
      this.listen();
    }

    listen() {
      const { store } = this.app;
      for (const id of ["layer", "what"]) this.$(id).addEventListener("change", () => this.load());
      this.$("order").addEventListener("change", () => {
        this.draw();
        this.map.mark({ shown: true }); // the row of the current unit has changed
      });
      this.$("property").addEventListener("change", () => this.find());
      this.$("found").addEventListener("click", (event) => {
        const unit = event.target.closest("button")?.value;
        if (unit !== undefined) this.pick(Number(unit));
      });
      store.on("model", () => {
        this.$("layer").replaceChildren();
        this.$("what").replaceChildren();
        this.unit = this.current = null;
      });
      store.on("scored", () => this.load());
      store.on("cursor", (cursor) => {
        this.map.mark({ column: cursor, shown: cursor !== null });
        this.view.setCursor(cursor);
        this.read(this.row, cursor);
      });
      store.on("span", (span) => {
        if (span && this.$("property").value !== "span") this.$("property").value = "span";
        if (this.$("property").value === "span") this.find();
        this.colour();
      });
      for (const key of ["language", "scheme"]) store.on(key, () => this.draw());
    }

    async ask(signal) {
      const { store, source } = this.app;
      const scored = store.get("scored");
      const about = (store.get("models") || []).find(({ id }) => id === store.get("model"));
      if (about && "hidden" in about && !about.hidden) return { none: "inside.none" };
      if (!scored || !scored.tokens.length) return store.get("text") ? this.data : { none: "inside.empty" };
      if (scored.tokens.some(({ id }) => id < 0)) return { none: "next.unknown" };
      const layer = this.$("layer").value === "" ? {} : { layer: Number(this.$("layer").value) };
      const what = this.$("what").value || "h";
      const answer = await source.inside({ text: scored.text, what, ...layer }, signal);
      return { ...answer, text: scored.text };
    }

    show(answer, error) {
      const said = error?.code === "no_hidden_units" ? "inside.none" : "inside.refused";
      if (error) return this.say(said, { message: error.message });
      if (!answer) return;
      if (answer.none) return this.say(answer.none);
      this.say(null);
      this.data = answer;
      const { app } = this;
      const layers = Array.from({ length: answer.layers }, (_, k) => [k, app.words.number(k + 1)]);
      this.options("layer", layers, answer.layer);
      this.options("what", answer.choices.map((name) => [name, this.nameOf(name)]), answer.what);
      if (this.unit !== null && this.unit >= answer.hidden) this.unit = null;
      this.limit = limitOf(answer.values);
      this.draw();
      this.find();
    }

    say(key, values) {
      this.$("none").hidden = !key;
      this.$("none").textContent = key ? this.app.t(key, values) : "";
      this.$("body").hidden = Boolean(key);
      this.none = key ? [key, values] : null;
      if (key) this.data = null;
    }

    nameOf(what) {
      return this.app.t(`inside.${this.data.cell}.${what}`);
    }

    options(id, all, chosen) {
      const option = ([value, text]) => elman.make("option", { value, selected: value === chosen }, text);
      this.$(id).replaceChildren(...all.map(option));
      this.$(id).disabled = all.length < 2;
    }

    order() {
      const units = Array.from({ length: this.data.hidden }, (_, unit) => unit);
      const by = this.$("order").value;
      if (by === "found" && this.found.length) {
        const first = this.found.map(({ unit }) => unit);
        const there = new Set(first);
        return [...first, ...units.filter((unit) => !there.has(unit))];
      }
      if (by !== "alike") return units;
      const picked = this.unit ?? 0;
      const alike = elman.correlations(this.data.values, this.data.values.map((row) => row[picked]));
      alike[picked] = 2;
      return units.sort((a, b) => alike[b] - alike[a]);
    }

    draw() {
      if (this.none) return this.say(...this.none);
      if (!this.data) return;
      const slice = elman.slices(this.data.text);
      const names = this.data.tokens.map((token) => elman.nameOf(token, slice));
      this.names = names;
      const order = this.order();
      this.row = Math.max(0, order.indexOf(this.current ?? order[0])); // the current unit stays the same
      this.map.draw({ values: this.data.values, order, names, limit: this.limit });
      this.map.mark({ row: this.row, column: this.app.store.get("cursor"), picked: this.unit });
      elman.colour.legend(this.$("legend"), { limit: this.limit });
      for (const each of this.$("what").options) each.textContent = this.nameOf(each.value);
      this.colour();
      this.list();
      this.read(this.row, this.app.store.get("cursor"));
    }

    move(row, column, keyed) {
      this.row = row;
      if (keyed) {
        this.app.store.set("cursor", column);
        this.map.mark({ row, column, shown: true });
      }
      this.read(row, column);
    }

    read(row, column) {
      if (!this.data) return;
      const unit = this.map.data.order[row];
      this.current = unit;
      const shown = column !== null && column < this.data.values.length && unit !== undefined;
      this.$("readout").textContent = shown ? this.app.t("inside.readout", {
        unit, token: this.names[column],
        value: this.app.words.number(this.data.values[column][unit], this.app.recorded ? 2 : 3),
      }) : "";
    }

    pick(unit) {
      this.unit = unit;
      this.current = unit;
      this.draw();
      const { row } = this;
      this.map.mark({ row, picked: unit, shown: true });
      this.read(row, this.app.store.get("cursor"));
    }

    colour() {
      if (!this.data) return;
      const { names, limit, unit } = this;
      this.view.draw({ ...this.data, names, limit, unit });
    }

    async askUnits(signal) {
      const property = this.$("property").value;
      if (!this.data || !property) return null;
      const { text, layer, what, tokens } = this.data;
      const span = this.app.store.get("span");
      if (property === "span" && (!span || span[1] > tokens.length)) return { hint: "inside.nospan" };
      const of = property === "span" ? { span: [tokens[span[0]].start, tokens[span[1] - 1].end] } : { property };
      return this.app.source.units({ text, layer, what, top: ALL, ...of }, signal);
    }

    showFound(answer, error) {
      this.hint = answer?.hint ? [answer.hint] : null;
      if (error) this.hint = ["inside.refused", { message: error.message }];
      this.found = answer?.units || [];
      if (this.$("order").value === "found") this.draw();
      else this.list();
    }

    list() {
      const { app } = this;
      this.$("said").textContent = this.hint ? app.t(...this.hint) : "";
      const top = this.found.filter(({ correlation }) => correlation !== 0).slice(0, MAX_LISTED);
      this.$("found").replaceChildren(...top.map(({ unit, correlation }) => {
        const sign = correlation < 0 ? "unit-bar below" : "unit-bar";
        const bar = elman.make("span", { class: sign, "aria-hidden": "true" });
        bar.style.setProperty("--part", String(Math.abs(correlation)));
        const text = app.t("inside.unit", { unit, correlation: app.words.number(correlation, 2) });
        const pressed = String(unit === this.unit);
        const button = elman.make("button", { type: "button", value: unit, "aria-pressed": pressed }, text, bar);
        return elman.make("li", {}, button);
      }));
    }
  }

  elman.app.addPanel("inside", (root, app) => new Inside(root, app));
})();
