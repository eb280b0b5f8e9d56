"use strict";

(() => {
  const elman = (window.elman = window.elman || {});

  /** The state that the panels share: `get`, `set`, and `on(key, listener)`, called now and at each change. */
  elman.Store = class {
    #values = new Map();
    #listeners = new Map();

    get(key) {
      return this.#values.get(key);
    }

    set(key, value) {
      if (this.#values.has(key) && Object.is(this.#values.get(key), value)) return;
      this.#values.set(key, value);
      this.touch(key);
    }

    /** Calls the listeners of a key though its value has not changed. */
    touch(key) {
      for (const listener of [...(this.#listeners.get(key) || [])]) listener(this.#values.get(key));
    }

    /** Adds a listener; returns a function that removes it. */
    on(key, listener) {
      if (!this.#listeners.has(key)) this.#listeners.set(key, new Set());
      this.#listeners.get(key).add(listener);
      if (this.#values.has(key)) listener(this.#values.get(key));
      return () => this.#listeners.get(key).delete(listener);
    }
  };
})();
