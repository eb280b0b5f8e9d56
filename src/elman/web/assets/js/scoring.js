"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const PAUSE = 180; // ms without a keystroke before the text is scored
  const TOP = 6;

  /** Keeps `scored` the answer of the source for `text`; a text that is changed while it is asked for is asked anew. */
  elman.keepScored = (app) => {
    const { store } = app;
    let timer = null;
    let asked = null;

    async function score() {
      const text = store.get("text");
      asked = new AbortController();
      const { signal } = asked;
      try {
        const scored = await app.source.score(text, TOP, signal);
        if (signal.aborted) return;
        app.clearError("text");
        const kept = keptCursor(store.get("cursor"), scored.tokens);
        store.set("scored", { ...scored, text });
        store.set("cursor", kept);
      } catch (error) {
        if (!signal.aborted) app.report(error, "text");
      }
    }

    function changed() {
      clearTimeout(timer);
      asked?.abort();
      store.set("scored", null);
      if (!store.get("model") || store.get("streaming")) return;
      timer = setTimeout(score, PAUSE);
    }

    const keptCursor = (cursor, tokens) => (cursor !== null && cursor < tokens.length ? cursor : null);
    store.on("text", changed);
    store.on("model", changed);
    store.on("streaming", changed);
  };
})();
