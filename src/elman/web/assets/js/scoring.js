"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const PAUSE = 180; // ms without a keystroke before the text is scored
  const TOP = 6;

  /** Keeps `scored` up to date with `text`. If the text changes during a request, the request is repeated. */
  elman.keepScored = (app) => {
    const { store } = app;
    let timer = null;
    let request = null;

    async function score() {
      const text = store.get("text");
      request = new AbortController();
      const { signal } = request;
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
      request?.abort();
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
