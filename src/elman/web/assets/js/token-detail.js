"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const { make } = elman;

  const nameOf = (token, text) => elman.readable(elman.written(token, text));

  /** What a screen reader says of a token. */
  elman.tokenLabel = (app, token, text) => {
    const { words } = app;
    const values = { token: nameOf(token, text), bits: words.number(token.surprisal_bits, 1) };
    return app.t(token.unknown ? "write.token.unknown" : "write.token", values);
  };

  /** The content of the tooltip of a token. */
  elman.tokenDetail = (app, token, text) => {
    const { words } = app;
    const probability = token.surprisal_bits === null ? 0 : 2 ** -token.surprisal_bits;
    const facts = make("dl", {});
    const fact = (key, value) => facts.append(make("dt", {}, app.t(key)), make("dd", {}, value));
    fact("tip.probability", words.percent(probability));
    fact("tip.surprisal", `${words.number(token.surprisal_bits, 2)} ${app.t("unit.bits")}`);
    if (token.rank) fact("tip.rank", words.number(token.rank));
    const found = [make("p", { class: "tip-token" }, nameOf(token, text)), facts];
    if (token.unknown) found.push(make("p", { class: "quiet" }, app.t("tip.unknown")));
    if (token.top?.length) found.push(make("p", { class: "quiet" }, app.t("tip.top")), topList(app, token));
    return found;
  };

  function topList(app, token) {
    const rows = token.top.slice(0, 6).map((each) => {
      const same = each.token === token.token;
      const mark = make(
        "li",
        same ? { class: "same" } : {},
        make("span", {}, elman.readable(each.token)),
        make("span", {}, app.words.percent(each.probability)),
      );
      return mark;
    });
    return make("ol", { class: "tip-top" }, ...rows);
  }
})();
