"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const RETRY = 2000; // ms between two attempts to reach a server that does not answer
  const SETTLED = 900; // ms after which the panels are shown, when their layout is stable
  const HEARTBEAT = 5000; // ms between two checks that the server still answers
  const DEFAULTS = {
    text: "",
    scored: null,
    cursor: null,
    span: null,
    models: [],
    model: null,
    connected: true,
  };
  const SAMPLING = { temperature: 0.8, topK: 0, topP: 1 };

  const store = new elman.Store();
  const mounts = [];
  const $ = (id) => document.getElementById(id);
  let started = false;

  const app = (elman.app = {
    store,
    source: null,
    recorded: false,
    words: new elman.Words({ en: {}, ko: {} }, store),
    t: (key, values) => app.words.t(key, values),
    addPanel,
    report,
    say,
    refresh,
  });

  /** Has mount(root, app) fill the section `panel-NAME` when the page has started. */
  function addPanel(name, mount) {
    if (started) fill(name, mount);
    else mounts.push([name, mount]);
  }

  function fill(name, mount) {
    const root = $(`panel-${name}`);
    try {
      mount(root, app);
    } catch (error) {
      report(error); // the other panels still work
    }
    app.words.fill(root);
  }

  /** Starts the page with a source of answers. options: recorded (true in a replay), strings ({en, ko}). */
  elman.start = async (source, options = {}) => {
    app.source = source;
    app.recorded = Boolean(options.recorded);
    document.documentElement.classList.toggle("recorded", app.recorded);
    for (const [key, value] of Object.entries({ ...DEFAULTS, ...SAMPLING })) store.set(key, value);
    store.set("language", elman.firstLanguage());
    setTimeout(() => document.documentElement.classList.remove("starting"), SETTLED);
    app.words.strings = options.strings || elman.strings || (await source.strings());
    mountShell();
    started = true;
    for (const [name, mount] of mounts.splice(0)) fill(name, mount);
    elman.keepScored?.(app);
    await refresh();
    store.set("ready", true);
    if (source.health) setInterval(heartbeat, HEARTBEAT);
  };

  function mountShell() {
    $("language").addEventListener("click", (event) => {
      const language = event.target.closest("button")?.value;
      if (!language) return;
      elman.keepLanguage(language);
      store.set("language", language);
    });
    store.on("language", (language) => {
      document.documentElement.lang = language;
      app.words.fill(document.documentElement);
      document.title = app.t("page.title");
      for (const button of $("language").querySelectorAll("button")) {
        button.setAttribute("aria-pressed", String(button.value === language));
      }
      showModels();
    });
    $("model").addEventListener("change", () => store.set("model", $("model").value));
    store.on("models", showModels);
    store.on("model", showModels);
    $("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      app.source.useKey($("key").value.trim());
      $("key").value = "";
      $("key-form").hidden = true;
      refresh();
    });
    $("alert-close").addEventListener("click", () => show(null));
    elman.followPanels();
    elman.colour.onScheme(() => store.set("scheme", elman.colour.scheme()));
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.isComposing) return;
      elman.tip.hide();
      store.set("cursor", null);
      store.set("span", null);
    });
  }

  function showModels() {
    const models = store.get("models") || [];
    const chosen = store.get("model");
    const known = models.map(({ id }) => elman.make("option", { value: id, selected: id === chosen }, id));
    $("model").replaceChildren(...known);
    $("model").disabled = models.length < 2;
    const about = models.find(({ id }) => id === chosen);
    $("model-about").textContent = about ? describe(about) : "";
  }

  function describe({ unit, cell, layers, hidden, parameters, vocabulary }) {
    const parts = [];
    if (cell)
      parts.push(
        app.t("model.cell", {
          cell: elman.cellName(cell),
          layers: app.words.number(layers),
          hidden: app.words.number(hidden),
        }),
      );
    if (parameters) parts.push(app.t("model.parameters", { n: app.words.number(parameters) }));
    if (vocabulary)
      parts.push(
        app.t(`model.vocabulary.${unit in UNITS ? unit : "token"}`, { n: app.words.number(vocabulary) }),
      );
    return parts.join(" · ");
  }

  const UNITS = { word: 1, char: 1, character: 1, jamo: 1, byte: 1, subword: 1 };

  /** Loads the models again and refreshes all panels. */
  async function refresh() {
    try {
      const models = await app.source.models();
      store.set("models", models);
      if (!models.some(({ id }) => id === store.get("model"))) store.set("model", models[0]?.id ?? null);
      connect(true);
      store.touch("text");
    } catch (error) {
      report(error);
    }
  }

  /** Writes a message to the status line, for screen readers. */
  function say(key, values) {
    $("status").textContent = key ? app.t(key, values) : "";
  }

  let errorOrigin = null; // of the error that is shown

  /** Shows an error. If the server does not answer, shows that and retries until it does. */
  function report(error, origin = null) {
    if (!error || error.name === "AbortError") return;
    if (error.kind === "network") return connect(false);
    if (error.kind === "key") return askForKey();
    if (error.kind !== "refused") console.error(error);
    errorOrigin = origin;
    show(error.kind === "refused" ? "error.refused" : "error.page", error.message);
  }

  function show(key, message = "") {
    $("alert").hidden = !key;
    $("alert-text").textContent = key ? app.t(key, { message }) : "";
  }

  /** Hides the error of this origin. */
  app.clearError = (origin) => errorOrigin === origin && show(null);

  function askForKey() {
    const tried = elman.kept("sessionStorage", "elman.key");
    $("key-hint").textContent = app.t(tried ? "key.wrong" : "key.needed");
    if (!$("key-form").hidden) return;
    $("key-form").hidden = false;
    $("key").focus();
  }

  let retryTimer = null;

  function connect(connected) {
    const before = store.get("connected");
    store.set("connected", connected);
    $("away").hidden = connected;
    if (connected && !before) say("status.back");
    if (!connected && retryTimer === null) retryTimer = setTimeout(retry, RETRY);
  }

  /** Detects a lost server while there are no other requests. */
  async function heartbeat() {
    if (document.hidden || !store.get("connected")) return;
    await app.source.health().catch((error) => error.kind === "network" && report(error));
  }

  async function retry() {
    retryTimer = null;
    try {
      await app.source.health();
    } catch (error) {
      if (error.kind === "network") {
        retryTimer = setTimeout(retry, RETRY);
        return;
      }
    }
    await refresh();
  }
})();
