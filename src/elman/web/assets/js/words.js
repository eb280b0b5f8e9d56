"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const LANGUAGES = ["en", "ko"];
  const KEY = "elman.language";
  const ATTRIBUTES = [
    ["data-t-label", "aria-label"],
    ["data-t-title", "title"],
    ["data-t-placeholder", "placeholder"],
  ];

  /** The strings of the page in the current language, and numbers in the format of that language. */
  elman.Words = class {
    #formats = new Map();

    constructor(strings, store) {
      this.strings = strings;
      this.store = store;
    }

    /** The string of a key; `{name}` in it is replaced by values.name. */
    t(key, values = {}) {
      const language = this.store.get("language") || "en";
      const found = (this.strings[language] || {})[key] ?? (this.strings.en || {})[key] ?? key;
      return found.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
    }

    /** A number with so many decimals. */
    number(value, digits = 0) {
      if (value === null || value === undefined || value === Infinity) return "∞";
      const style = { minimumFractionDigits: digits, maximumFractionDigits: digits };
      return this.#format(style).format(value).replace("-", "−");
    }

    /** A probability, in percent. */
    percent(value) {
      const digits = value === 0 || value >= 0.0995 ? 0 : value >= 0.00995 ? 1 : value >= 0.000995 ? 2 : 3;
      const least = 0.00001;
      const style = { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits };
      return value > 0 && value < least
        ? `< ${this.#format({ ...style, minimumFractionDigits: 3 }).format(least)}`
        : this.#format(style).format(value);
    }

    /** Words as a sentence lists them: "a, b and c". */
    list(all) {
      return new Intl.ListFormat(this.store.get("language") || "en", { style: "long" }).format(all);
    }

    #format(style) {
      const language = this.store.get("language") || "en";
      const key = language + JSON.stringify(style);
      if (!this.#formats.has(key)) this.#formats.set(key, new Intl.NumberFormat(language, style));
      return this.#formats.get(key);
    }

    /** Fills elements with the strings that their attributes name. */
    fill(root) {
      const all = (attribute) =>
        [root, ...root.querySelectorAll(`[${attribute}]`)].filter((e) => e.hasAttribute?.(attribute));
      for (const element of all("data-t")) element.textContent = this.t(element.dataset.t);
      for (const [from, to] of ATTRIBUTES) {
        for (const element of all(from)) element.setAttribute(to, this.t(element.getAttribute(from)));
      }
    }
  };

  /** The language of the last visit, or that of the browser. */
  elman.firstLanguage = () => {
    const kept = elman.kept("localStorage", KEY);
    if (LANGUAGES.includes(kept)) return kept;
    const wanted = (navigator.languages || [navigator.language]).map((name) => name.slice(0, 2));
    return wanted.find((name) => LANGUAGES.includes(name)) || "en";
  };

  /** Stores the language for the next visit. */
  elman.keepLanguage = (language) => elman.keep("localStorage", KEY, language);

  /** A value from the browser's storage; null if there is none or no storage. */
  elman.kept = (storage, key) => {
    try {
      return window[storage].getItem(key);
    } catch {
      return null;
    }
  };

  /** Stores a value in the browser's storage, if the browser allows it. */
  elman.keep = (storage, key, value) => {
    try {
      window[storage].setItem(key, value);
    } catch {
      return;
    }
  };
})();
