"use strict";

(() => {
  const { elman } = window;
  const INTERVAL = 1000; // ms between two requests for a run's metrics
  const QUANTITIES = { perplexity: (value) => value, nats: Math.log, bits: Math.log2 };

  class Train {
    constructor(root, app) {
      Object.assign(this, { app, root, busy: elman.busy(root) });
      this.busy(true);
      this.metrics = new elman.Metrics();
      this.counted = new elman.CountedRuns(app.source);
      this.current = null; // the index of the point at the cursor; null: the last point
      this.run = null;
      elman.buildRun(root, Object.keys(QUANTITIES));
      this.$ = (id) => root.querySelector(`#train-${id}`);
      const onlook = (index) => this.look(index);
      this.loss = new elman.Curve(this.$("loss"), { height: 260, onlook });
      this.gradient = new elman.Curve(this.$("gradient"), { height: 130, onlook });
      this.$("run").addEventListener("change", () => this.pick(this.$("run").value));
      this.$("quantity").addEventListener("change", () => this.draw());
      this.$("plot").addEventListener("keydown", (event) => this.key(event));
      app.store.on("language", () => this.draw());
      app.store.on("scheme", () => this.draw());
      app.store.on("connected", () => this.poll());
      app.store.on("models", () => this.poll());
      app.store.on("model", (model) => this.follow(model));
      elman.onVisible(root, (visible) => {
        this.visible = visible;
        this.poll();
      });
    }

    async names() {
      const runs = await this.app.source.runs();
      this.listed = true;
      const shown = [...this.$("run").options].map(({ value }) => value);
      if (runs.join("\n") === shown.join("\n") && this.run) return;
      this.$("run").replaceChildren(...runs.map((name) => elman.make("option", { value: name }, name)));
      this.$("run").disabled = runs.length < 2;
      if (!runs.includes(this.run)) this.choose(this.first(runs));
      this.$("run").value = this.run;
    }

    /** The first run to show: one that is watched but not served, since it is being trained; else the model's. */
    first(runs) {
      const model = this.app.store.get("model");
      return runs.find((name) => !this.served(name)) ?? (runs.includes(model) ? model : runs[0] ?? null);
    }

    served(run) {
      return (this.app.store.get("models") || []).some(({ id }) => id === run);
    }

    /** Shows a run that the reader has chosen. The other panels show its model, if the server has it. */
    pick(run) {
      this.choose(run);
      if (this.served(run)) this.app.store.set("model", run);
    }

    /** Shows the run of the model that the page has turned to. */
    follow(model) {
      const runs = [...this.$("run").options].map(({ value }) => value);
      if (runs.includes(model) && model !== this.run) {
        this.$("run").value = model;
        this.choose(model);
      } else this.draw();
    }

    choose(run) {
      this.run = run;
      this.busy(true);
      this.current = null;
      this.metrics = new elman.Metrics();
      this.draw();
      this.poll();
    }

    async poll() {
      clearTimeout(this.timer);
      const { store } = this.app;
      if (!this.visible || !store.get("connected") || !store.get("models").length || this.requesting) return;
      this.requesting = true;
      const run = this.run;
      let more = false; // lines that did not fit into the answer
      try {
        more = await (run ? this.ask(run) : this.names());
      } catch (error) {
        if (error.kind === "refused") this.say("train.unreadable", { message: error.message });
        else this.app.report(error);
      }
      this.requesting = false;
      const complete = run === this.run && !more;
      if (complete) this.busy(false);
      if (!this.app.recorded || !complete) this.timer = setTimeout(() => this.poll(), complete ? INTERVAL : 0);
    }

    /** Reads the next lines of a run; returns whether there are more. */
    async ask(run) {
      const answer = await this.app.source.metrics(run, this.metrics.lines);
      if (run !== this.run) return false;
      if (!this.drawn) await this.counted.find([...this.$("run").options].map(({ value }) => value), run);
      if (answer.next < this.metrics.lines) this.metrics = new elman.Metrics(); // the run was started again
      else if (answer.lines.length) this.metrics.add(answer.lines);
      else if (this.drawn) return false;
      this.draw();
      return Boolean(answer.more);
    }

    say(key, values) {
      this.$("none").hidden = !key;
      this.$("none").textContent = key ? this.app.t(key, values) : "";
    }

    draw() {
      const { metrics, app } = this;
      const { points, start } = metrics;
      this.drawn = Boolean(start);
      const empty = metrics.counted ? "train.counted" : "train.begun";
      if (!this.run) this.say(this.listed ? "train.none" : null);
      else this.say(start && !points.length ? empty : null);
      this.$("body").hidden = !start;
      this.$("about").textContent = start ? this.about(start) : "";
      const model = app.store.get("model");
      this.$("apart").hidden = !start || !model || this.served(this.run);
      this.$("apart").textContent = app.t("train.apart", { run: this.run, model });
      if (!start) return;
      this.$("plot").hidden = points.length === 0;
      if (points.length) this.curves(points);
      this.numbers(this.current);
      app.words.fill(this.$("quantity"));
    }

    about(start) {
      const { t, words } = this.app;
      const unit = t(`train.unit.${start.unit}`);
      const values = { corpus: start.corpus, unit, tokens: words.number(start.tokens) };
      if (!start.parameters) return t("train.of.counted", values);
      return t("train.of", { ...values, parameters: words.number(start.parameters) });
    }

    curves(points) {
      const quantity = this.$("quantity").value;
      const of = QUANTITIES[quantity];
      const scheme = elman.colour.scheme();
      const xs = points.map(({ iteration }) => iteration);
      const known = (value, f) => ((value ?? null) === null ? null : f(value));
      const ys = (name, f = (value) => value) => points.map((point) => known(point[name], f));
      const few = (values) => values.filter((value) => value !== null).length < 40;
      const [training, valid, norm] = [ys("perplexity", of), ys("valid", of), ys("norm")];
      const levels = this.counted.references(this.run, this.metrics).map(([name, value]) => ({
        name: `${this.named(name)}: ${elman.significant(of(value), 4)}`, value: of(value),
      }));
      this.loss.draw({ xs, levels, scheme, log: quantity === "perplexity", lines: [
        { ys: training, colour: "--curve-training", points: points.length === 1 },
        { ys: valid, colour: "--curve-valid", width: 2, points: few(valid), dash: [] },
      ] });
      this.root.querySelector(".key-valid").hidden = valid.every((value) => value === null);
      this.root.querySelector(".key-level").hidden = levels.length === 0;
      const norms = norm.some((value) => value !== null);
      this.$("gradient").hidden = this.$("norm-title").hidden = !norms;
      const line = { ys: norm, colour: "--curve-norm", points: points.length === 1 };
      if (norms) this.gradient.draw({ xs, levels: [], scheme, log: true, lines: [line] });
    }

    named(name) {
      return name === "lowest possible" ? this.app.t("train.lowest") : name;
    }

    look(index) {
      if (index === this.current) return;
      this.current = index;
      this.loss.look(index);
      this.gradient.look(index);
      this.numbers(index);
    }

    numbers(index) {
      const { metrics, app } = this;
      const last = metrics.points.length - 1;
      const at = Math.min(index ?? last, last);
      const point = last >= 0 ? metrics.known(at) : {};
      const texts = elman.RUN_ROWS.map((name) => [name, this.written(name, point[name])]);
      for (const [name, text] of texts) {
        this.$(name).textContent = text ?? "–";
        this.$(name).parentNode.hidden = text === null;
      }
      this.$("where").textContent = app.t(index === null ? "train.now" : "train.then");
      this.showReferences();
      this.sample(point.iteration);
      const plot = this.$("plot");
      plot.setAttribute("aria-valuemin", 0);
      plot.setAttribute("aria-valuemax", Math.max(0, last));
      plot.setAttribute("aria-valuenow", Math.max(0, at));
      const given = texts.filter(([, text]) => text !== null);
      const spoken = given.map(([name, text]) => `${app.t(`train.row.${name}`)} ${text}`);
      plot.setAttribute("aria-valuetext", spoken.join(", "));
    }

    written(name, value) {
      if (value === null || value === undefined) return null;
      if (name === "iteration" || name === "epoch") return this.app.words.number(value);
      return name === "seconds" ? `${this.app.words.number(value, 1)} s` : elman.significant(value, 4);
    }

    showReferences() {
      const rows = this.counted.references(this.run, this.metrics).map(([name, value]) => elman.make("tr", {},
        elman.make("th", { scope: "row" }, this.named(name)), elman.make("td", {}, elman.significant(value, 4))));
      this.$("references").replaceChildren(...rows);
    }

    sample(iteration) {
      const sample = this.current === null
        ? this.metrics.samples[this.metrics.samples.length - 1] : this.metrics.sampleAt(iteration);
      this.root.querySelector("figure").hidden = !sample;
      if (!sample || (sample === this.sampled && this.language === this.app.store.get("language"))) return;
      this.sampled = sample;
      this.language = this.app.store.get("language");
      const values = { iteration: this.app.words.number(sample.iteration) };
      this.$("sample-title").textContent = this.app.t("train.sample", values);
      this.$("sample").textContent = sample.text;
    }

    key(event) {
      const last = this.metrics.points.length - 1;
      const from = this.current ?? last;
      const far = Math.max(1, Math.round(last / 10));
      const steps = { ArrowLeft: from - 1, ArrowDown: from - 1, ArrowRight: from + 1, ArrowUp: from + 1,
        PageDown: from - far, PageUp: from + far, Home: 0, End: last };
      if (last < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
      if (event.key === "Escape") this.look(null);
      if (!(event.key in steps)) return;
      event.preventDefault();
      this.look(Math.min(last, Math.max(0, steps[event.key])));
    }
  }

  elman.app.addPanel("train", (root, app) => new Train(root, app));
})();
