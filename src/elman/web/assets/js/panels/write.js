"use strict";

(() => {
  const { elman } = window;
  const MAX_SHOWN = 3000; // tokens; of a longer text, the last ones
  const SAMPLE = { word: 24, char: 140, character: 140, jamo: 140, byte: 140, subword: 40 };

  elman.app.addPanel("write", (root, app) => {
    const { store } = app;
    const parts = elman.buildWrite(root, app);
    const past = []; // texts, for undo
    let live = null; // the text being generated: {from, end, text, tokens}, with from and end in code points
    let stopping = null;
    let running = null; // the promise of the generation
    let untouched = true; // nobody has edited the sample of the page

    const unit = () => store.get("models").find(({ id }) => id === store.get("model"))?.unit || "token";

    parts.text.addEventListener("input", () => {
      untouched = false;
      app.clearError("generate");
      store.set("cursor", null);
      store.set("text", parts.text.value);
    });
    parts.text.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) generate();
      if (event.key === "Escape") stop();
    });
    parts.generate.addEventListener("click", () => generate());
    parts.stop.addEventListener("click", stop);
    parts.clear.addEventListener("click", () => {
      keepPast();
      untouched = false;
      store.set("cursor", null);
      store.set("text", "");
      parts.text.focus();
    });
    parts.undo.addEventListener("click", () => {
      if (past.length) store.set("text", past.pop());
      parts.undo.disabled = !past.length;
    });

    function keepPast() {
      const text = store.get("text");
      if (text && past.at(-1) !== text) past.push(text);
      parts.undo.disabled = !past.length;
    }
    app.keepPast = keepPast;

    function generate(request = {}) {
      if (!stopping && store.get("model")) running = run(request);
    }

    async function run(request) {
      if (!request.sample) {
        untouched = false;
        keepPast();
      }
      const prompt = store.get("text");
      const from = Array.from(prompt).length;
      live = { from, end: from, text: prompt, tokens: [...(store.get("scored")?.tokens || [])] };
      stopping = new AbortController();
      setBusy(true);
      try {
        await app.source.generate(prompt, { ...settings(), ...request.options }, streamed, stopping.signal);
        app.clearError("generate");
      } catch (error) {
        app.report(error, "generate");
      } finally {
        const { text } = live;
        live = null;
        stopping = null;
        setBusy(false, text);
      }
    }

    function settings() {
      const value = {
        temperature: store.get("temperature"),
        top_k: store.get("topK"),
        top_p: store.get("topP"),
      };
      const seed = parts.seed.value.trim();
      return {
        ...value,
        max_tokens: Math.min(4000, Math.max(1, Math.round(Number(parts.most.value)) || 1)),
        ...(/^-?\d{1,15}$/.test(seed) ? { seed: Number(seed) } : {}),
      };
    }

    function streamed(text, { tokens }) {
      const from = live.from;
      live.text += text;
      live.end += Array.from(text).length;
      tokens.forEach((token, k) => {
        const next = tokens[k + 1];
        live.tokens.push({ ...token, start: from + token.start, end: next ? from + next.start : live.end });
      });
      schedule();
    }

    let frame = null;
    function schedule() {
      frame ??= requestAnimationFrame(() => {
        frame = null;
        if (!live) return;
        write(live.text);
        draw(live.tokens, live.text, true);
        parts.view.scrollTop = parts.view.scrollHeight;
      });
    }

    function setBusy(busy, text) {
      const [from, to] = busy ? [parts.generate, parts.stop] : [parts.stop, parts.generate];
      const wasFocused = document.activeElement === from;
      store.set("streaming", busy);
      parts.text.readOnly = busy || app.recorded;
      parts.generate.disabled = busy;
      parts.clear.disabled = busy;
      parts.stop.disabled = !busy;
      root.classList.toggle("streaming", busy);
      if (wasFocused) to.focus(); // a disabled button loses the focus
      if (busy) return app.say("write.writing");
      app.say("write.done");
      if (text !== store.get("text")) store.set("text", text);
      else store.touch("text");
    }

    function stop() {
      stopping?.abort();
    }

    function write(text) {
      if (parts.text.value !== text) {
        parts.text.value = text;
        parts.text.scrollTop = parts.text.scrollHeight;
      }
    }

    function draw(all, text, appended = false) {
      const hidden = Math.max(0, all.length - MAX_SHOWN);
      parts.more.hidden = hidden === 0;
      parts.more.textContent = hidden ? app.t("write.more", { n: app.words.number(MAX_SHOWN) }) : "";
      const tokens = hidden ? all.slice(hidden) : all;
      const cursor = store.get("cursor");
      parts.view.classList.toggle("empty", tokens.length === 0);
      view = elman.tokens.draw(parts.view, tokens, {
        text,
        appended: appended && !hidden,
        from: hidden ? tokens[0].start : 0,
        value: (token) => token.surprisal_bits,
        colour: elman.colour.surprisal,
        label: (token) => elman.tokenLabel(app, token, text),
        cursor: cursor === null || cursor < hidden ? null : cursor - hidden,
        onpick: (index) => pick(index, hidden),
        onenter: (index, span) => elman.tip.show(span, ...elman.tokenDetail(app, tokens[index], text)),
        onleave: (_, span) => elman.tip.hide(span),
      });
    }
    let view = null;

    function pick(index, hidden) {
      if (live) return;
      store.set("cursor", index === null ? null : index + hidden);
    }

    store.on("text", (text) => {
      if (!live) write(text);
      parts.summary.classList.add("stale");
    });
    store.on("scored", (scored) => {
      if (!scored || live) return;
      draw(scored.tokens, scored.text);
      summarise(scored);
    });
    store.on("cursor", (cursor) => view && view.setCursor(cursor));
    store.on("scheme", redraw);
    store.on("language", () => {
      redraw();
      app.words.fill(root);
    });
    store.on("model", sample);

    function redraw() {
      elman.colour.legend(parts.legend);
      const scored = store.get("scored");
      if (!scored) return;
      draw(scored.tokens, scored.text);
      summarise(scored);
    }

    function summarise(scored) {
      parts.summary.classList.remove("stale");
      parts.summary.replaceChildren(...elman.writeSummary(app, scored));
    }

    /** Opens on a text that shows what the model has learnt or else on what it writes, until somebody edits the text. */
    async function sample(model) {
      if (!model || app.recorded || !untouched) return;
      stop();
      store.set("opening", true);
      const [{ opening }] = await Promise.all([elman.examplesOf(app, model), running]);
      if (model !== store.get("model")) return; // the other model opens
      store.set("opening", false);
      if (!untouched) return;
      if (opening) {
        if (opening.text !== store.get("text")) store.set("cursor", opening.position);
        store.set("text", opening.text);
        return;
      }
      store.set("cursor", null);
      store.set("text", "");
      const options = { max_tokens: SAMPLE[unit()] || 60, temperature: 0.6, seed: 1, top_k: 0, top_p: 1 };
      generate({ sample: true, options });
    }
  });
})();
