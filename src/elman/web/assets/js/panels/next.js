"use strict";

(() => {
  const { elman } = window;
  const { make } = elman;
  const CANDIDATES = 1000; // as many as the server returns
  const CERTAIN = 0.5; // bits of entropy up to which no setting changes much
  const PAUSE = 250; // ms after which the server replaces the estimate of the browser

  elman.app.addPanel("next", (root, app) => {
    const { store } = app;
    const parts = elman.buildNext(root, app);
    const busy = elman.busy(root);
    const estimated = elman.busy(root);
    let found = null; // the answer at temperature 1, and the place in the text; null: not known yet
    let waiting = null;
    let request = null;
    let timer = null;
    let exactRequest = null;

    const settings = () => ({
      temperature: store.get("temperature"),
      topK: store.get("topK"),
      topP: store.get("topP"),
    });

    /** The text before the token at the cursor; without a cursor, the whole text. */
    function place() {
      const text = store.get("text");
      const scored = store.get("scored");
      const cursor = store.get("cursor");
      const token = cursor === null || !scored ? null : scored.tokens[cursor];
      if (!token) return { text, token: null };
      const letters = scored.tokens.slice(0, cursor) // of the same syllable: they are read, too
        .filter((each) => each.start === token.start && elman.letterOf(each.token));
      return { text: elman.slices(text)(0, token.start) + letters.map((each) => each.token).join(""), token };
    }

    async function ask() {
      const { signal } = (request = new AbortController());
      try {
        await find(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (error.code === "unknown_token") showMessage("next.unknown");
        else app.report(error);
      } finally {
        if (!signal.aborted) busy(false);
      }
    }

    async function find(signal) {
      const scored = store.get("scored");
      if (store.get("streaming") || !store.get("model") || !scored) return;
      const at = place();
      const read = at.token ? scored.tokens.slice(0, store.get("cursor")) : scored.tokens;
      if (read.some(({ id }) => id < 0)) return showMessage("next.unknown");
      const answer = await app.source.next(at.text, { top: CANDIDATES }, signal);
      if (signal.aborted) return;
      found = { ...answer, at };
      draw();
    }

    function showMessage(key) {
      parts.note.textContent = app.t(key);
      parts.result.textContent = "";
      parts.rows.forEach((row) => row.show(null));
    }

    /** Asks again in a moment. What is shown until then is of an earlier place, and cannot be appended. */
    function schedule() {
      request?.abort();
      found = null;
      dropEstimate();
      busy(true);
      clearTimeout(waiting);
      waiting = setTimeout(ask, 30);
    }

    function dropEstimate() {
      clearTimeout(timer);
      exactRequest?.abort();
      estimated(false);
    }

    function draw() {
      if (!found) return;
      const lnProbs = found.candidates.map((each) => each.ln_prob);
      const mass = Math.max(0, 1 - lnProbs.reduce((sum, ln) => sum + Math.exp(ln), 0));
      const rest = { mass, count: found.possible - lnProbs.length };
      const { probabilities, exact } = elman.reshape(lnProbs, settings(), rest);
      show(probabilities);
      dropEstimate();
      if (exact) return;
      estimated(true);
      timer = setTimeout(check, PAUSE);
    }

    /** Gets exact probabilities from the server; the browser estimates those beyond the candidates that it knows. */
    async function check() {
      exactRequest = new AbortController();
      const { signal } = exactRequest;
      const { temperature, topK, topP } = settings();
      try {
        const options = { temperature, top_k: topK, top_p: topP, top: parts.rows.length };
        const answer = await app.source.next(found.at.text, options, signal);
        if (signal.aborted) return;
        const known = new Map(answer.candidates.map((each) => [each.id, each.probability]));
        show(found.candidates.map(({ id }) => known.get(id) ?? 0));
      } catch (error) {
        if (!signal.aborted) app.report(error);
      } finally {
        if (!signal.aborted) estimated(false);
      }
    }

    function show(probabilities) {
      const { at, candidates, entropy_bits: entropy } = found;
      const most = Math.max(...probabilities.slice(0, parts.rows.length), 1e-9);
      parts.rows.forEach((row, k) => row.show(candidates[k], probabilities[k], most, at.token));
      parts.note.replaceChildren(...noteOf(at, entropy));
      parts.result.textContent = `${resultOf(probabilities)} ${hesitation(entropy)}`;
    }

    /** A sentence: what the settings do to the most probable token, and to how many tokens the choice is among. */
    function resultOf(probabilities) {
      const { candidates: [first], entropy_bits: entropy } = found;
      const bits = probabilities.reduce((sum, p) => (p > 0 ? sum - p * Math.log2(p) : sum), 0);
      const { temperature, topK, topP } = settings();
      const own = temperature === 1 && topK === 0 && topP === 1;
      return app.t(own ? "next.result.own" : "next.result", {
        token: elman.readable(first.token),
        before: app.words.percent(first.probability),
        after: app.words.percent(probabilities[0]),
        m: app.words.number(2 ** entropy, 1),
        n: app.words.number(2 ** bits, 1),
      });
    }

    /** Where the settings matter more, if the model is certain of this token. */
    function hesitation(entropy) {
      const here = found.at.token?.id;
      const tokens = (store.get("scored")?.tokens ?? []).slice(1).filter(({ id }) => id !== here);
      const most = tokens.reduce((one, other) => (other.entropy_bits > one.entropy_bits ? other : one), tokens[0]);
      if (entropy > CERTAIN || !(most?.entropy_bits > 1)) return "";
      return app.t("next.certain", { other: elman.readable(most.token) });
    }

    function noteOf({ text, token }, entropy) {
      const tail = Array.from(text.trimEnd()).slice(-18).join("").replaceAll("\n", "⏎");
      const after = tail ? app.t("next.after", { text: `…${tail}` }) : app.t("next.start");
      const instead = token ? ` ${app.t("next.instead", { token: elman.readable(token.token) })}` : "";
      const bits = app.t("next.entropy", {
        bits: app.words.number(entropy, 1),
        choices: app.words.number(2 ** entropy, 1),
      });
      return [make("span", { class: "after" }, after + instead), make("span", {}, bits)];
    }

    function choose(candidate) {
      if (!candidate || !found || app.recorded) return;
      const { at } = found;
      app.keepPast?.();
      store.set("cursor", null);
      store.set("text", at.text + candidate.token);
      app.say("next.appended", { token: elman.readable(candidate.token) });
    }

    parts.rows.forEach((row) => row.button.addEventListener("click", () => choose(row.candidate)));
    for (const [key, slider] of Object.entries(parts.sliders)) {
      slider.input.addEventListener("input", () => store.set(key, Number(slider.input.value)));
      store.on(key, () => {
        slider.show(store.get(key));
        draw();
      });
    }
    parts.reset.addEventListener("click", () => {
      store.set("temperature", 1);
      store.set("topK", 0);
      store.set("topP", 1);
    });
    store.on("scored", schedule);
    store.on("cursor", schedule);
    store.on("language", () => {
      app.words.fill(root);
      for (const [key, slider] of Object.entries(parts.sliders)) slider.show(store.get(key));
      draw();
    });
  });
})();
