"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const READ = 600_000; // tokens that a request for influences may read, over all replacements
  const REPLACEMENTS = 8;
  const MATTERS = 0.5; // bits: a smaller influence is as good as none
  const FADED = 0.01; // of the last step's gradient: a smaller one has faded

  const infinite = (value) => (value === null ? Infinity : value);
  const indexOfMost = (values) =>
    values.reduce((best, value, k) => (infinite(value) > infinite(values[best]) ? k : best), 0);

  /** How far back the values are at least `least`, in tokens; 0 if none is. */
  elman.reach = (values, least) => {
    const first = values.findIndex((value) => infinite(value) >= least);
    return first < 0 ? 0 : values.length - first;
  };

  /** What the influence of earlier tokens shows: how many bits an answer changes by when another token stands there. */
  const influence = {
    everyModel: true,
    async ask(source, fields, signal) {
      const replacements = Math.max(1, Math.min(REPLACEMENTS, Math.floor(READ / (fields.index ** 2 || 1))));
      const found = await source.influence({ ...fields, replacements }, signal);
      return { ...found, values: found.bits };
    },
    axis: (all) => elman.linearAxis(1, ...all),
    deciding(values) {
      const most = indexOfMost(values);
      return infinite(values[most]) >= MATTERS ? most : null;
    },
    describe(app, side, index, name, steps) {
      const others = side.replacements[index].map(elman.readable).join(", ");
      const values = { token: name(index), steps, bits: bitsOf(app, side.values[index]), others };
      return app.t(others ? "time.influence.told" : "time.influence.fixed", values);
    },
    reading(app, { values, token }, name) {
      const most = indexOfMost(values);
      const number = (value) => app.words.number(value);
      const target = elman.readable(token);
      if (infinite(values[most]) < MATTERS) {
        return app.t("time.influence.nothing", { target, limit: app.words.number(MATTERS, 1) });
      }
      const far = elman.reach(values, MATTERS);
      const steps = number(values.length - most);
      return app.t(far < values.length ? "time.influence.most" : "time.influence.whole", {
        token: name(most), target, steps, bits: bitsOf(app, values[most]), far: number(far),
        limit: app.words.number(MATTERS, 1),
      });
    },
  };

  const bitsOf = (app, value) =>
    app.words.number(value, value !== null && value < 0.095 ? 3 : value !== null && value < 9.95 ? 2 : 1);

  /** What the gradient shows: the norm at every step, relative to that at the last one. */
  const gradient = {
    everyModel: false,
    async ask(source, fields, signal) {
      const found = await source.throughTime(fields, signal);
      const last = found.norms.at(-1) || 1;
      return { ...found, values: found.norms.map((norm) => norm / last) };
    },
    axis: (all) => elman.logAxis(...all),
    deciding: () => null,
    describe(app, side, index, name, steps) {
      const norm = elman.significant(side.norms[index], 2);
      return app.t("time.told", { token: name(index), steps, norm, ratio: elman.significant(side.values[index], 2) });
    },
    reading(app, { values, norms }) {
      if (!(norms.at(-1) > 0)) return app.t("time.nothing");
      const far = elman.reach(values, FADED);
      const steps = app.words.number(far);
      if (far < values.length) return app.t("time.fallen", { steps, part: `${app.words.number(100 * FADED)}%` });
      return app.t("time.still", { steps, ratio: elman.significant(values[0], 2) });
    },
  };

  /** The views of the panel, by name. */
  elman.timeViews = { influence, gradient };
})();
