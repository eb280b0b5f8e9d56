"use strict";

(() => {
  const { elman } = window;
  elman.start(new elman.ServerSource(() => elman.app.store.get("model") ?? undefined));
})();
