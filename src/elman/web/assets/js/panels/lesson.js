"use strict";

(() => {
  const { elman } = window;
  const BATCHES = 5; // between two reports
  const ROUND = 200; // batches, after which Play pauses by itself
  const LEARNT = 0.9; // P(right name) of a network that has learnt it

  class Lesson {
    constructor(root, app) {
      Object.assign(this, { app, busy: elman.busy(root), finding: elman.busy(root) });
      this.view = new elman.LessonView(root, app);
      this.offer = null; // what the server offers; null: not known yet
      this.forget();
      const on = (id, type, listener) => this.view.$(id).addEventListener(type, listener);
      on("names", "click", ({ target }) => target.closest("button") && this.guess(target.value));
      on("play", "click", () => (this.playing ? this.pause() : this.play()));
      on("step", "click", () => this.step());
      on("again", "click", () => this.restart());
      for (const name of ["cell", "hidden", "time_size", "lr"]) on(name, "change", () => this.restart());
      app.store.on("language", () => this.translate());
      app.store.on("scheme", () => this.draw());
      app.store.on("connected", (connected) => connected || this.pause());
      app.store.on("models", (models) => models.length && this.find());
      elman.onVisible(root, (visible) => visible || this.pause());
    }

    /** Asks, once, what the server offers. */
    async find() {
      if (this.offer) return;
      this.finding(true);
      try {
        this.offer = await this.app.source.lessonOffer();
      } catch (error) {
        this.app.report(error, this);
        return;
      } finally {
        this.finding(false);
      }
      this.view.$("off").hidden = this.offer.offered;
      this.view.$("body").hidden = !this.offer.offered;
      this.translate();
    }

    get question() {
      return this.offer?.questions[this.app.store.get("language")];
    }

    translate() {
      if (!this.question) return;
      this.guessed = null;
      this.view.ask(this.question);
      this.restart();
    }

    guess(name) {
      this.guessed = name;
      this.view.judge(name, this.question);
      if (!this.report) this.begin();
    }

    /** Forgets the lesson. An answer to an earlier request is not shown any more. */
    forget() {
      this.pause();
      this.lesson = this.report = null;
      this.request = null;
      this.history = [];
      this.learnt = {}; // by network: the batches and the seconds after which it had learnt the name
      this.seconds = 0;
    }

    /** Starts again with the chosen settings: at once if networks are shown, else when they are needed. */
    restart() {
      const begun = this.report !== null;
      this.forget();
      if (begun || this.guessed) this.begin();
      else this.draw();
    }

    begin() {
      const language = this.app.store.get("language");
      return this.ask(() => this.app.source.lesson({ language, ...this.view.settings() }));
    }

    async step() {
      if (!this.lesson) await this.begin();
      const { lesson } = this;
      if (lesson) await this.ask(() => this.app.source.lessonStep({ lesson, batches: BATCHES }), true);
    }

    async play() {
      this.playing = true;
      this.view.playing(true);
      const from = this.report?.batches ?? 0;
      const round = (this.round = {}); // another press of Play starts another round
      while (this.playing && this.round === round) {
        await this.step();
        if (this.round === round && (this.report?.batches ?? 0) - from >= ROUND) this.pause();
      }
    }

    pause() {
      this.playing = false;
      this.view.playing(false);
    }

    /** Sends a request, unless one is on its way, and shows its answer. Training time counts. */
    async ask(send, training = false) {
      if (this.request) return this.request;
      const request = (this.request = send());
      this.busy(true);
      const start = performance.now();
      try {
        const report = await request;
        if (this.request !== request) return;
        if (training) this.seconds += (performance.now() - start) / 1000;
        this.add(report);
      } catch (error) {
        if (this.request !== request) return;
        this.pause();
        if (error.code === "lesson_not_found") this.forget();
        this.draw();
        this.app.report(error, this);
      } finally {
        if (this.request === request) this.request = null;
        if (!this.request) this.busy(false);
      }
    }

    add(report) {
      const [, rnn, gated] = report.models;
      Object.assign(this, { report, lesson: report.lesson });
      this.history.push({ batches: report.batches, rnn: rnn.right, gated: gated.right });
      for (const { name, right } of [rnn, gated]) {
        if (right <= LEARNT || this.learnt[name]) continue;
        this.learnt[name] = { batches: report.batches, seconds: this.seconds };
        this.app.say("lesson.spoken", { model: elman.LessonView.named(name) });
      }
      this.app.clearError(this);
      this.draw();
    }

    draw() {
      if (!this.question) return;
      this.view.show(this.report, this.history, this.sentence(), this.question.text.split(" "));
    }

    /** One sentence of numbers, and one that says what they mean. */
    sentence() {
      const { t, words } = this.app;
      if (!this.report) return t("lesson.start");
      const [, rnn, gated] = this.report.models;
      const cell = elman.LessonView.named(gated.name);
      const guess = 1 / this.question.names.length;
      const percents = { rnn: words.percent(rnn.right), gated: words.percent(gated.right), guess: words.percent(guess) };
      const numbers = t("lesson.result", { n: words.number(this.report.batches), cell, ...percents });
      return `${numbers} ${this.meaning(rnn, gated, guess)}`;
    }

    meaning(rnn, gated, guess) {
      const { t, words } = this.app;
      const pair = [gated, rnn];
      const winners = pair.filter(({ name, right }) => right > LEARNT && this.learnt[name]);
      if (winners.length === 2) return t("lesson.both");
      if (winners.length === 1) {
        const [winner] = winners;
        const other = pair.find((each) => each !== winner);
        const { batches, seconds } = this.learnt[winner.name];
        const { named } = elman.LessonView;
        const values = { winner: named(winner.name), other: named(other.name), n: words.number(batches),
          seconds: words.number(seconds, 1) };
        return t(other.right < 1.5 * guess ? "lesson.guesses" : "lesson.behind", values);
      }
      const { time_size: T } = this.view.settings();
      const [[least], [, most]] = [this.report.spans[0], this.report.spans[this.report.spans.length - 1]];
      return T < least ? t("lesson.cut", { T, least, most }) : t("lesson.neither");
    }
  }

  elman.app.addPanel("lesson", (root, app) => {
    if (app.recorded) root.hidden = true;
    else new Lesson(root, app);
  });
})();
