"use strict";

(() => {
  const elman = (window.elman = window.elman || {});

  /** Calls told(true) when a section comes into view on a page that is looked at, told(false) when it leaves. */
  elman.onVisible = (section, told) => {
    let near = false;
    let before = null;
    const tell = () => {
      const now = near && document.visibilityState === "visible";
      if (now !== before) told((before = now));
    };
    const observer = new IntersectionObserver((entries) => {
      near = entries[entries.length - 1].isIntersecting;
      tell();
    }, { rootMargin: "200px" });
    observer.observe(section);
    document.addEventListener("visibilitychange", tell);
  };

  /**
   * Returns a function that lets ask(signal) be asked anew as soon as the section is in view; show(answer, error)
   * is told, of the last question only. An error is reported, too.
   */
  elman.loader = (section, app, ask, show) => {
    let visible = false;
    let stale = false;
    let asking = null;

    async function load() {
      if (!visible || !stale) return;
      stale = false;
      const { signal } = (asking = new AbortController());
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
      asking?.abort();
      load();
    };
  };

  /** What a token is called where there is little room: its text, with marks for blanks. */
  elman.nameOf = (token, slice) => {
    const text = (slice && token.end > token.start ? slice(token.start, token.end) : token.token) || "";
    return text.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll(" ", "␣");
  };

  /** A number with so many significant digits, as the language writes it. */
  elman.significant = (value, digits = 3) => {
    const style = new Intl.NumberFormat(elman.app.store.get("language"), { maximumSignificantDigits: digits });
    const written = (number) => style.format(number);
    const size = Math.abs(value);
    if (!Number.isFinite(size) || size === 0 || (size >= 1e-3 && size < 1e7)) return written(value);
    const [mantissa, power] = value.toExponential(digits - 1).split("e");
    return `${written(Number(mantissa))} × 10${raised(Number(power))}`;
  };

  const raised = (power) =>
    Array.from(String(power), (each) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(each)]).join("");
})();
