"use strict";

(() => {
  const { elman } = window;
  const VANISHED = 0.01; // of the largest norm: a smaller gradient has vanished
  const SIDES = ["one", "other"];

  function build(root) {
    const { make } = elman;
    const side = (name) => make("div", { class: "time-side", id: `time-side-${name}` },
      make("h3", { id: `time-title-${name}` }), make("div", { id: `time-bars-${name}` }),
      make("p", { id: `time-reading-${name}`, class: "time-reading" }));
    root.append(
      make("div", { class: "controls" },
        make("label", { for: "time-other", "data-t": "time.other" }), make("select", { id: "time-other" })),
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
      this.listen();
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
        this.draw();
      });
    }

    /** The models to compare with: those with hidden units that read the same kind of tokens. */
    choices() {
      const { store } = this.app;
      const models = store.get("models") || [];
      const own = models.find(({ id }) => id === store.get("model"));
      const fit = models.filter(({ id, unit, cell }) => own && id !== own.id && cell && unit === own.unit);
      const unlike = fit.find(({ cell }) => cell !== own.cell) ?? fit[0];
      if (!fit.some(({ id }) => id === this.other)) this.other = unlike?.id ?? null;
      const option = (value, text) => elman.make("option", { value, selected: (value || null) === this.other }, text);
      const options = fit.map(({ id, cell }) => option(id, `${id} (${cell.toUpperCase()})`));
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
      const scored = store.get("scored");
      const about = (store.get("models") || []).find(({ id }) => id === store.get("model"));
      if (about && "cell" in about && !about.cell) return { none: "inside.none" };
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
        source.throughTime(fields, signal),
        this.other && source.throughTime({ ...fields, model: this.other }, signal).catch(unless),
      ]);
      return { text: scored.text, sides: other && other.token === one.token ? [one, other] : [one] };
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
      const none = found && !found.sides[0].norms.length ? ["time.first"] : this.said;
      this.$("none").hidden = !none;
      this.$("none").textContent = none ? app.t(...none) : "";
      this.$("body").hidden = Boolean(none) || !found;
      this.$("readout").textContent = "";
      if (none || !found) return;
      const slice = elman.slices(found.text);
      this.names = found.sides.map(({ inputs }) => inputs.map((token) =>
        token.start === token.end && token === inputs[0] ? "⊢" : elman.nameOf(token, slice)));
      const [foot, head] = elman.decades(...found.sides.map(({ norms }) => norms));
      SIDES.forEach((name, k) => {
        const side = found.sides[k];
        this.$(`side-${name}`).hidden = !side;
        if (!side) return;
        this.$(`title-${name}`).textContent = this.titleOf(side);
        this.$(`list-${name}`).setAttribute("aria-label", app.t("time.bars", { model: side.model }));
        const label = (index) => this.describe(k, index);
        this.bars[k].draw({ values: side.norms, names: this.names[k], foot, head, label });
        this.$(`reading-${name}`).textContent = this.reading(side.norms);
      });
    }

    titleOf({ model, token, surprisal_bits: bits }) {
      const about = (this.app.store.get("models") || []).find(({ id }) => id === model);
      const cell = about?.cell ? ` (${about.cell.toUpperCase()})` : "";
      const values = { model: `${model}${cell}`, token: elman.readable(token), bits: elman.significant(bits, 3) };
      return this.app.t("time.of", values);
    }

    describe(k, index) {
      const { norms } = this.found.sides[k];
      return this.app.t("time.told", {
        token: this.names[k][index],
        steps: this.app.words.number(norms.length - index),
        norm: elman.significant(norms[index], 2),
        part: this.app.words.percent(norms[index] / (Math.max(...norms) || 1)),
      });
    }

    /** A sentence: after how many steps less than a hundredth of the largest norm is left. */
    reading(norms) {
      const { t, words } = this.app;
      const most = Math.max(...norms);
      if (!(most > 0)) return t("time.nothing");
      let left = 0;
      while (left < norms.length && norms[left] < VANISHED * most) left += 1;
      const steps = norms.length - left;
      const part = `${words.number(100 * VANISHED)}%`;
      if (left > 0) return t("time.fallen", { steps: words.number(steps), part });
      return t("time.still", { steps: words.number(norms.length), part: words.percent(norms[0] / most) });
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
