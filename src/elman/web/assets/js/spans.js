"use strict";

(() => {
  const elman = (window.elman = window.elman || {});

  /**
   * Makes the tokens of a text selectable: `span` in the store, [from, to). With Shift and the arrow keys, by dragging,
   * or by touching the first and the last token one after the other; a third touch begins anew.
   */
  elman.selectSpans = (container, store) => {
    let anchor = null;
    let touched = null; // the first token of a passage, until the last one is touched
    const indexOf = (event) => {
      const token = event.target.closest?.("[data-index]");
      return token ? Number(token.dataset.index) : null;
    };
    const select = (index) => store.set("span", [Math.min(anchor, index), Math.max(anchor, index) + 1]);

    container.addEventListener("keydown", (event) => {
      const from = indexOf(event);
      if (from === null || !event.key.startsWith("Arrow") && event.key !== "Home" && event.key !== "End") return;
      if (!event.shiftKey) {
        anchor = null;
        store.set("span", null);
        return;
      }
      anchor ??= from;
      setTimeout(() => {
        const to = document.activeElement?.closest("[data-index]");
        if (to && container.contains(to)) select(Number(to.dataset.index));
      });
    }, true);

    container.addEventListener("pointerdown", (event) => {
      const index = indexOf(event);
      if (index === null || event.pointerType === "touch") return;
      if (event.shiftKey && store.get("cursor") !== null) anchor = store.get("cursor");
      else {
        anchor = index;
        store.set("span", null);
      }
    });
    container.addEventListener("pointerover", (event) => {
      const index = indexOf(event);
      if (event.buttons === 1 && index !== null && anchor !== null && event.pointerType !== "touch") select(index);
    });
    container.addEventListener("click", (event) => {
      const index = indexOf(event);
      if (event.shiftKey && index !== null && anchor !== null) select(index);
      if (event.pointerType === "touch" && index !== null) touch(index);
    });

    function touch(index) {
      const first = touched === null || store.get("span") !== null;
      if (first) store.set("span", null);
      anchor = first ? index : touched;
      touched = first ? index : null;
      if (!first) select(index);
    }
  };
})();
