"use strict";

(() => {
  const elman = (window.elman = window.elman || {});

  /** Calls listener(true) when a section becomes visible, in a visible tab, and listener(false) when it is no longer. */
  elman.onVisible = (section, listener) => {
    let near = false;
    let before = null;
    const update = () => {
      const now = near && document.visibilityState === "visible";
      if (now !== before) listener((before = now));
    };
    const observer = new IntersectionObserver((entries) => {
      near = entries[entries.length - 1].isIntersecting;
      update();
    }, { rootMargin: "200px" });
    observer.observe(section);
    document.addEventListener("visibilitychange", update);
  };

  const waiting = new WeakMap(); // section to those of its parts that do not show yet what they will show

  /** Returns a function that marks a part of a section as busy, or not. The section is busy while one of its parts is. */
  elman.busy = (section) => {
    const part = {};
    if (!waiting.has(section)) waiting.set(section, new Set());
    const parts = waiting.get(section);
    return (now) => {
      if (now) parts.add(part);
      else parts.delete(part);
      if (parts.size) section.setAttribute("aria-busy", "true");
      else section.removeAttribute("aria-busy");
    };
  };

  /**
   * Returns a function that calls ask(signal) again as soon as the section is visible, and then show(answer, error).
   * Only the latest request is shown. Errors are also reported. Until then the section is busy.
   */
  elman.loader = (section, app, ask, show) => {
    let visible = false;
    let stale = false;
    let request = null;
    const busy = elman.busy(section);

    async function load() {
      if (!visible || !stale) return;
      stale = false;
      const { signal } = (request = new AbortController());
      try {
        const answer = await ask(signal);
        if (!signal.aborted) show(answer, null);
      } catch (error) {
        if (signal.aborted) return;
        if (error.kind !== "refused") app.report(error);
        show(null, error);
      } finally {
        if (!signal.aborted) busy(false);
      }
    }

    elman.onVisible(section, (now) => {
      visible = now;
      load();
    });
    return () => {
      stale = true;
      request?.abort();
      busy(true);
      load();
    };
  };

  /** A short name of a token: its letter or its text, with visible whitespace. */
  elman.nameOf = (token, slice) => {
    const letter = elman.letterOf(token.token);
    if (letter) return letter;
    const text = (slice && token.end > token.start ? slice(token.start, token.end) : token.token) || "";
    return text.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll(" ", "␣");
  };

  /** A number with so many significant digits, formatted for the language. */
  elman.significant = (value, digits = 3) => {
    const written = (number) => styleOf(digits).format(number);
    const size = Math.abs(value);
    if (!Number.isFinite(size) || size === 0 || (size >= 1e-3 && size < 1e7)) return written(value);
    const [mantissa, power] = value.toExponential(digits - 1).split("e");
    return `${written(Number(mantissa))} × 10${raised(Number(power))}`;
  };

  const styles = new Map(); // a format costs a millisecond to make

  function styleOf(digits) {
    const language = elman.app.store.get("language");
    const key = language + digits;
    if (!styles.has(key)) styles.set(key, new Intl.NumberFormat(language, { maximumSignificantDigits: digits }));
    return styles.get(key);
  }

  const raised = (power) =>
    Array.from(String(power), (each) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(each)]).join("");
})();
