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

  /**
   * Returns a function that calls ask(signal) again as soon as the section is visible, and then show(answer, error).
   * Only the latest request is shown. Errors are also reported.
   */
  elman.loader = (section, app, ask, show) => {
    let visible = false;
    let stale = false;
    let request = null;

    async function load() {
      if (!visible || !stale) return;
      stale = false;
      const { signal } = (request = new AbortController());
      section.setAttribute("aria-busy", "true");
      try {
        const answer = await ask(signal);
        if (!signal.aborted) show(answer, null);
      } catch (error) {
        if (signal.aborted) return;
        if (error.kind !== "refused") app.report(error);
        show(null, error);
      } finally {
        if (!signal.aborted) section.removeAttribute("aria-busy");
      }
    }

    elman.onVisible(section, (now) => {
      visible = now;
      load();
    });
    return () => {
      stale = true;
      request?.abort();
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
