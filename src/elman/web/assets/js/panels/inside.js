"use strict";

(() => {
  const { elman } = window;
  const ALL = 10000;

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
      this.automatic = true; // the property is the one that a unit follows best, until somebody chooses
      elman.buildInside(root);
      this.$ = (id) => root.querySelector(`#inside-${id}`);
      const [title, text, curve] = ["picked-title", "text", "curve"].map(this.$);
      this.list = new elman.UnitList({ said: this.$("said"), found: this.$("found"), story: this.$("story") }, app);
      this.view = new elman.UnitView({ title, text, curve }, app);
      this.map = new elman.HeatMap(this.$("map"), {
        onmove: (row, column, keyed) => this.move(row, column, keyed),
        onpick: (row, column) => {
          this.automatic = false;
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
      this.$("property").addEventListener("change", () => {
        this.automatic = false;
        this.find();
      });
      this.$("found").addEventListener("click", (event) => {
        const unit = event.target.closest("button")?.value;
        if (unit === undefined) return;
        this.automatic = false;
        this.pick(Number(unit));
      });
      store.on("model", () => {
        this.$("layer").replaceChildren();
        this.$("what").replaceChildren();
        this.unit = this.current = null;
        this.automatic ||= this.$("property").value !== "span";
      });
      store.on("scored", () => this.load());
      store.on("cursor", (cursor) => {
        this.map.mark({ column: cursor, shown: cursor !== null });
        this.view.setCursor(cursor);
        this.read(this.row, cursor);
      });
      store.on("span", (span) => {
        if (span) {
          this.automatic = false;
          this.$("property").value = "span";
        }
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
      const { app: { t }, data: { cell, choices } } = this;
      const inBlock = choices.some((name) => elman.stateName(name) !== name);
      if (inBlock && what === "h") return t("inside.block.h");
      const own = elman.stateName(what);
      const key = `inside.${cell}.${own}`;
      const found = t(key);
      return found === key ? own : found; // a cell that the page does not know
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
      this.listFound();
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
      const property = this.automatic ? "" : this.$("property").value;
      if (!this.data || !(property || this.automatic)) return null;
      const { text, layer, what, tokens } = this.data;
      const span = this.app.store.get("span");
      if (property === "span" && (!span || span[1] > tokens.length)) return { hint: "inside.nospan" };
      const of = property === "span" ? { span: [tokens[span[0]].start, tokens[span[1] - 1].end] } : { property };
      return this.app.source.units({ text, layer, what, top: ALL, ...(property ? of : {}) }, signal);
    }

    showFound(answer, error) {
      this.hint = answer?.hint ? [answer.hint] : null;
      if (error?.code === "constant_property") this.hint = ["inside.constant"];
      else if (error) this.hint = ["inside.refused", { message: error.message }];
      this.found = answer?.units || [];
      this.property = answer?.property ?? null;
      if (this.automatic && this.found.length) {
        this.$("property").value = this.property;
        this.$("order").value = "found";
        this.unit = this.current = this.found[0].unit;
      }
      if (this.$("order").value === "found") this.draw();
      else this.listFound();
    }

    listFound() {
      const { found, unit, hint } = this;
      this.list.draw({ found, unit, hint, key: this.property ? `inside.property.${this.property}` : "inside.span" });
    }
  }

  elman.app.addPanel("inside", (root, app) => new Inside(root, app));
})();
