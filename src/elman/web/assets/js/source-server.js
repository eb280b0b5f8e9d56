"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const KEY = "elman.key";

  /** The failure of a request. kind: "network", "key" (missing or wrong) or "refused". */
  elman.Failure = class extends Error {
    constructor(kind, message, status = 0, code = null) {
      super(message);
      this.name = "Failure";
      Object.assign(this, { kind, status, code });
    }
  };

  const isAbort = (error) => error?.name === "AbortError";
  const wellFormed = (text) => (text.toWellFormed ? text.toWellFormed() : text); // no half surrogate pairs

  async function request(path, { body, signal } = {}) {
    const headers = {};
    const key = elman.kept("sessionStorage", KEY);
    if (key) headers.Authorization = `Bearer ${key}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const options = { headers, signal, method: body === undefined ? "GET" : "POST", cache: "no-store" };
    if (body !== undefined) options.body = JSON.stringify(body);
    let answer;
    try {
      answer = await fetch(path, options);
    } catch (error) {
      if (isAbort(error)) throw error;
      throw new elman.Failure("network", String(error.message));
    }
    if (!answer.ok) throw await failure(answer);
    return answer;
  }

  async function failure(answer) {
    const body = await answer.json().catch(() => ({}));
    const { message = answer.statusText, code = null } = body.error || {};
    return new elman.Failure(answer.status === 401 ? "key" : "refused", message, answer.status, code);
  }

  async function json(path, options) {
    const answer = await request(path, options);
    try {
      return await answer.json();
    } catch (error) {
      if (isAbort(error)) throw error;
      throw new elman.Failure("network", String(error.message));
    }
  }

  /** Yields the data of server-sent events. */
  async function* events(answer) {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const part of parts) if (part.startsWith("data: ")) yield part.slice(6);
    }
  }

  /** Answers from the server of this page. `model()` returns the name of the current model. */
  elman.ServerSource = class {
    constructor(model) {
      this.model = model;
    }

    /** The strings of both languages. */
    async strings(signal) {
      const [en, ko] = await Promise.all(
        ["en", "ko"].map((name) => json(`/page/strings/${name}.json`, { signal })),
      );
      return { en, ko };
    }

    async models(signal) {
      const { data } = await json("/v1/models", { signal });
      const more = await json("/inside/models", { signal }).catch((error) => {
        if (error.status === 404) return { models: [] };
        throw error;
      });
      const about = new Map(more.models.map((each) => [each.id, each]));
      return data.map(({ id }) => ({
        id,
        unit: null,
        cell: null,
        layers: null,
        hidden: null,
        comparable: [],
        ...about.get(id),
      }));
    }

    async score(text, top = 0, signal = undefined) {
      const body = { model: this.model(), text: wellFormed(text), top, eos: false };
      const answer = await json("/score", { body, signal });
      return { ...answer.results[0], unit: answer.unit, model: answer.model };
    }

    next(text, options = {}, signal = undefined) {
      return json("/next", { body: { model: this.model(), prompt: wellFormed(text), ...options }, signal });
    }

    rescore(candidates, signal) {
      return json("/rescore", { body: { model: this.model(), candidates: candidates.map(wellFormed) }, signal });
    }

    /** Calls ontoken(text, {tokens: [{token, surprisal_bits, top, start}]}) for each chunk; returns the finish reason. */
    async generate(text, options, ontoken, signal) {
      const body = { model: this.model(), prompt: wellFormed(text), ...options, stream: true, logprobs: 5 };
      const answer = await request("/v1/completions", { body, signal });
      let finish = null;
      try {
        for await (const data of events(answer)) {
          if (data === "[DONE]") return finish;
          const event = JSON.parse(data);
          if (event.error) throw new elman.Failure("refused", event.error.message, 400, event.error.code);
          const choice = event.choices[0];
          if (!choice) continue;
          ontoken(choice.text, { tokens: tokensOf(choice.logprobs) });
          finish = choice.finish_reason || finish;
        }
      } catch (error) {
        if (isAbort(error) || error instanceof elman.Failure) throw error;
        throw new elman.Failure("network", String(error.message));
      }
      throw new elman.Failure("network", "the stream ended early");
    }

    inside(fields, signal) {
      return json("/inside", { body: { model: this.model(), ...fields, text: wellFormed(fields.text) }, signal });
    }

    units(fields, signal) {
      return json("/units", { body: { model: this.model(), ...fields, text: wellFormed(fields.text) }, signal });
    }

    throughTime(fields, signal) {
      return json("/through-time", {
        body: { model: this.model(), ...fields, text: wellFormed(fields.text) },
        signal,
      });
    }

    /** {offered, questions}: whether the server trains on request, and what it asks, by language. */
    lessonOffer(signal) {
      return json("/lesson/offer", { signal });
    }

    /** Begins a lesson; returns its report. */
    lesson(settings, signal) {
      return json("/lesson", { body: settings, signal });
    }

    /** Trains the networks of a lesson; returns its report. */
    lessonStep(fields, signal) {
      return json("/lesson/step", { body: fields, signal });
    }

    influence(fields, signal) {
      return json("/influence", {
        body: { model: this.model(), ...fields, text: wellFormed(fields.text) },
        signal,
      });
    }

    /** Texts that show what a model has learnt, in words that it knows. */
    examples(model, signal) {
      return json("/examples", { body: { model }, signal });
    }

    unroll(text, signal) {
      return json("/unroll", { body: { model: this.model(), text: wellFormed(text) }, signal });
    }

    async runs(signal) {
      return (await json("/runs", { signal })).runs;
    }

    /** {run, lines, next, more}: lines of a run's metrics from number `after` on; `more` if there are others. */
    metrics(run, after = 0, signal = undefined) {
      return json(`/runs/${encodeURIComponent(run)}/metrics?after=${after}`, { signal });
    }

    health(signal) {
      return json("/health", { signal });
    }

    /** Stores the API key until the tab is closed. */
    useKey(key) {
      elman.keep("sessionStorage", KEY, key);
    }
  };

  function tokensOf(logprobs) {
    if (!logprobs) return [];
    return logprobs.tokens.map((token, k) => ({
      token,
      surprisal_bits: Math.max(0, -logprobs.token_logprobs[k] / Math.LN2),
      start: logprobs.text_offset[k],
      top: Object.entries(logprobs.top_logprobs[k] || {}).map(([name, ln]) => ({
        token: name,
        probability: Math.exp(ln),
      })),
    }));
  }
})();
