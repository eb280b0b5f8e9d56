"use strict";

(() => {
  const { elman } = window;
  const VIEWS = ["influence", "gradient"];
  const SIDES = ["one", "other"];

  function build(root) {
    const { make } = elman;
    const side = (name) => make("div", { class: "time-side", id: `time-side-${name}` },
      make("h3", { id: `time-title-${name}` }), make("div", { id: `time-bars-${name}` }),
      make("p", { id: `time-reading-${name}`, class: "result" }));
    const views = VIEWS.map((name) => make("button",
      { type: "button", value: name, "data-t": `time.${name}`, "aria-pressed": String(name === VIEWS[0]) }));
    root.append(
      make("div", { class: "controls" },
        make("div", { id: "time-view", class: "switch", role: "group", "data-t-label": "time.view" }, ...views),
        make("label", { for: "time-other", "data-t": "time.other" }), make("select", { id: "time-other" })),
      make("p", { id: "time-explained", class: "quiet" }),
      make("div", { id: "time-text", "data-t-label": "time.text" }),
      make("p", { id: "time-none", class: "hint" }),
      make("div", { id: "time-body", class: "time-sides", hidden: true }, ...SIDES.map(side)),
      make("output", { id: "time-readout" }));
  }

  class Time {
    constructor(root, app) {
      this.app = app;
      this.other = null;
      this.found = null;
      this.viewName = VIEWS[0];
      build(root);
      this.$ = (id) => root.querySelector(`#time-${id}`);
      this.bars = SIDES.map((name, k) => new elman.Bars(this.$(`bars-${name}`), {
        id: `time-list-${name}`,
        onlook: (index) => this.read(k, index),
        onpick: (index) => this.back(k, index),
      }));
      this.$("bars-one").querySelector(".time-scroll").addEventListener("scroll", () => this.syncScroll(0, 1));
      this.$("bars-other").querySelector(".time-scroll").addEventListener("scroll", () => this.syncScroll(1, 0));
      this.load = elman.loader(root, app, (signal) => this.ask(signal), (found, error) => this.show(found, error));
      this.$("other").addEventListener("change", () => {
        this.other = this.$("other").value || null;
        this.load();
      });
      this.$("view").addEventListener("click", (event) => {
        const name = event.target.closest("button")?.value;
        if (name && name !== this.viewName) this.choose(name);
      });
      this.listen();
    }

    choose(name) {
      this.viewName = name;
      for (const each of this.$("view").children) each.setAttribute("aria-pressed", String(each.value === name));
      this.explain();
      this.load();
    }

    explain() {
      const { t, recorded } = this.app;
      const training = this.viewName === "gradient" && !recorded ? [t("time.gradient.training")] : [];
      this.$("explained").textContent = [t(`time.${this.viewName}.about`), ...training].join(" ");
    }

    listen() {
      const { store } = this.app;
      store.on("models", () => this.choices());
      store.on("model", () => {
        this.choices();
        this.load();
      });
      store.on("scored", () => {
        this.text();
        this.load();
      });
      store.on("cursor", (cursor) => {
        this.view?.setCursor(cursor);
        this.load();
      });
      store.on("scheme", () => this.text());
      store.on("language", () => {
        this.choices();
        this.explain();
        this.draw();
      });
    }

    /** The models to compare with: those that read the same texts. */
    choices() {
      const { store } = this.app;
      const models = store.get("models") || [];
      const own = models.find(({ id }) => id === store.get("model"));
      const fit = models.filter(({ id }) => own?.comparable.includes(id));
      const unlike = fit.find(({ cell }) => cell !== own.cell) ?? fit[0];
      if (!fit.some(({ id }) => id === this.other)) this.other = unlike?.id ?? null;
      const option = (value, text) => elman.make("option", { value, selected: (value || null) === this.other }, text);
      const options = fit.map(({ id, cell }) => option(id, cell ? `${id} (${elman.cellName(cell)})` : id));
      this.$("other").replaceChildren(option("", this.app.t("time.alone")), ...options);
      this.$("other").disabled = !fit.length;
    }

    text() {
      const { store } = this.app;
      const scored = store.get("scored");
      if (!scored) return;
      this.view = elman.tokens.draw(this.$("text"), scored.tokens, {
        text: scored.text,
        value: (token) => token.surprisal_bits,
        colour: elman.colour.surprisal,
        cursor: store.get("cursor"),
        onpick: (index) => store.set("cursor", index),
      });
    }

    async ask(signal) {
      const { store, source } = this.app;
      const name = this.viewName;
      const view = elman.timeViews[name];
      const scored = store.get("scored");
      const about = (store.get("models") || []).find(({ id }) => id === store.get("model"));
      if (about && !about.cell && !view.everyModel) return { none: "inside.none" };
      if (!scored) return store.get("text") ? null : { none: "inside.empty" };
      if (scored.model !== store.get("model")) return null; // the tokens are those of the previous model
      if (!scored.tokens.length) return { none: "inside.empty" };
      const index = store.get("cursor") ?? scored.tokens.length - 1;
      if (scored.tokens.slice(0, index + 1).some(({ id }) => id < 0)) return { none: "next.unknown" };
      const fields = { text: scored.text, index };
      const unless = (error) => {
        if (error.kind !== "refused") throw error;
        return null; // this model cannot read the text; only the other one is shown
      };
      const [one, other] = await Promise.all([
        view.ask(source, fields, signal),
        this.other && view.ask(source, { ...fields, model: this.other }, signal).catch(unless),
      ]);
      const same = other && other.token === one.token;
      return { text: scored.text, name, view, sides: same ? [one, other] : [one] };
    }

    show(found, error) {
      const said = error?.code === "no_hidden_units" ? "inside.none" : "inside.refused";
      if (error) return this.say(said, { message: error.message });
      if (!found) return;
      if (found.none) return this.say(found.none);
      this.found = found;
      this.said = null;
      this.draw();
    }

    say(key, values) {
      this.said = [key, values];
      this.found = null;
      this.draw();
    }

    draw() {
      const { app, found } = this;
      const none = found && !found.sides[0].values.length ? ["time.first"] : this.said;
      this.$("none").hidden = !none;
      this.$("none").textContent = none ? app.t(...none) : "";
      this.$("body").hidden = Boolean(none) || !found;
      this.$("readout").textContent = "";
      if (none || !found) return;
      const slice = elman.slices(found.text);
      this.names = found.sides.map(({ inputs }) => inputs.map((token) =>
        token.start === token.end && token === inputs[0] ? "⊢" : elman.nameOf(token, slice)));
      const axis = found.view.axis(found.sides.map(({ values }) => values));
      SIDES.forEach((name, k) => {
        const side = found.sides[k];
        this.$(`side-${name}`).hidden = !side;
        if (!side) return;
        this.$(`title-${name}`).textContent = this.titleOf(side);
        const { values } = side;
        this.$(`list-${name}`).setAttribute("aria-label", app.t(`time.${found.name}.bars`, { model: side.model }));
        const label = (index) => this.describe(k, index);
        this.bars[k].draw({ values, names: this.names[k], axis, label, deciding: found.view.deciding(values) });
        this.$(`reading-${name}`).textContent = found.view.reading(app, side, (index) => this.names[k][index]);
      });
      if (found.sides.length > 1) this.syncScroll(0, 1);
    }

    titleOf({ model, token, surprisal_bits: bits }) {
      const about = (this.app.store.get("models") || []).find(({ id }) => id === model);
      const cell = about?.cell ? ` (${elman.cellName(about.cell)})` : "";
      const values = { model: `${model}${cell}`, token: elman.readable(token),
        probability: this.app.words.percent(bits === null ? 0 : 2 ** -bits) };
      return this.app.t("time.of", values);
    }

    describe(k, index) {
      const side = this.found.sides[k];
      const steps = this.app.words.number(side.values.length - index);
      return this.found.view.describe(this.app, side, index, (at) => this.names[k][at], steps);
    }

    read(k, index) {
      this.$("readout").textContent = `${this.found.sides[k].model}: ${this.describe(k, index)}`;
    }

    /** Moves the cursor to the token of a bar, so that its own past is shown. */
    back(k, index) {
      const { inputs } = this.found.sides[k];
      const cursor = index - (inputs.length - this.found.sides[k].index);
      if (cursor >= 0) this.app.store.set("cursor", cursor);
    }

    syncScroll(from, to) {
      const [one, other] = [this.bars[from].scroller, this.bars[to].scroller];
      const right = (scroller) => scroller.scrollWidth - scroller.clientWidth - scroller.scrollLeft;
      if (Math.abs(right(one) - right(other)) <= 1) return;
      other.scrollLeft = other.scrollWidth - other.clientWidth - right(one);
    }
  }

  elman.app.addPanel("time", (root, app) => new Time(root, app));
})();
